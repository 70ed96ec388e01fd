"""Workers beside other pools, without threads, after a fork, and at the end of a program."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest

from bufpool import Pool
from tests.support.accounting import run_python
from tests.support.background import NAME, no_threads, until_soon
from tests.support.clients import Client, Thing, until, waiting_client
from tests.support.factories import Gates, Steps, soon

# --- other pools, threads, processes ---


@pytest.mark.parametrize("where", ["check", "close"])
def test_a_callback_that_hangs_does_not_stop_the_maintenance_of_other_pools(gates: Gates, where: str) -> None:
    gate = gates()
    if where == "check":
        hung = Pool(Thing, workers=1, check=gate, check_on="idle", check_interval=0.01)
    else:
        hung = Pool(Thing, workers=1, close=gate, max_idle=0.01)
    hung.release(hung.acquire())
    gate.reached()
    steps = Steps()
    other = Pool(steps, workers=1, max_idle=0.05, close=steps.close)
    other.release(other.acquire())
    with soon(5):
        until(lambda: steps.closed)
    assert other.size == 0


def test_workers_end_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds, here less, though the pool is there."""
    monkeypatch.setattr("bufpool.objects.workers.LINGER", 0.3)
    steps = Steps()
    pool = Pool(steps, workers=1, close=lambda _: steps.threads.append(threading.current_thread()))
    pool.discard(pool.acquire())
    until(lambda: len(steps.threads) == 2)
    assert any(each.is_alive() for each in steps.threads)
    until(lambda: not any(each.is_alive() for each in steps.threads))
    assert pool.acquire(timeout=20).number == 1


def test_idle_workers_do_not_keep_a_dropped_pool() -> None:
    """Its objects are freed at once."""
    pool = Pool(Thing, workers=1)
    thing = pool.acquire()
    seen = weakref.ref(thing)
    pool.release(thing)
    del thing, pool
    with soon():
        until(lambda: gc.collect() >= 0 and seen() is None)


def test_without_threads_the_client_creates_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system has no more of them."""
    closing: list[int] = []
    steps = Steps()
    pool = Pool(steps, max_size=1, workers=2, close=lambda _: closing.append(threading.get_ident()))

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(3):
        pool.discard(pool.acquire(timeout=5))
    pool.wait(1, timeout=5)
    pool.close()
    assert steps.idents == {threading.get_ident()}
    assert closing == [threading.get_ident()] * 4


def test_without_threads_an_error_of_the_factory_reaches_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the pool goes on."""
    error = OSError("down")
    pool = Pool(Steps(error), max_size=1, workers=2, backoff=None)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - compared below
        pool.acquire(timeout=5)
    assert caught.value is error
    assert pool.acquire(timeout=5).number == 1


ENDING = {
    "factory": "pool = Pool(hang, workers=1); client(pool.acquire)",
    "to keep ready": "pool = Pool(hang, workers=1, min_size=1)",
    "close": "pool = Pool(list, workers=1, close=hang); pool.discard(pool.acquire())",
    "maintenance": """
pool = Pool(list, workers=1, check=hang, check_on="idle", check_interval=0.01)
pool.release(pool.acquire())
""",
}


@pytest.mark.parametrize("what", ENDING)
def test_a_program_ends_while_a_callback_hangs(what: str) -> None:
    """With its own status, soon after the end of the main thread."""
    head = """
import sys, threading, time
from bufpool import Pool
hangs, never = threading.Event(), threading.Lock()
never.acquire()
def hang(*_):
    hangs.set()
    never.acquire()
def client(function):
    threading.Thread(target=function, daemon=True).start()
"""
    tail = """
assert hangs.wait(20)
print(time.time(), flush=True)
sys.exit(3)
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + ENDING[what] + tail],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert (result.returncode, result.stderr) == (3, "")
    assert time.time() - float(result.stdout) < 5


FORK = """
import os, threading, time, warnings
from bufpool import Pool
warnings.simplefilter("ignore", DeprecationWarning)       # 3.12: fork in a program with threads
parent, hung, never = os.getpid(), threading.Event(), threading.Lock()
never.acquire()
hanging = False
makers = []
closed = []
class Thing:
    def __init__(self):
        makers.append((os.getpid(), threading.get_ident()))
        if hanging and os.getpid() == parent:
            hung.set()
            never.acquire()
def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
def child():
    makers.clear()
    assert (pool.size, pool.idle, pool.in_use) == (0, 0, 0)
    one, two = pool.acquire(timeout=20), pool.acquire(timeout=20)
    assert all(process == os.getpid() and ident != threading.get_ident() for process, ident in makers)
    pool.discard(one)
    until(lambda: closed == [one])
    pool.release(two)
    pool.close(20)
    assert closed == [one, two]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("busy", [False, True], ids=["idle workers", "busy workers"])
def test_in_the_child_of_a_fork_the_pool_works_anew(busy: bool) -> None:
    """Creation and closing, whatever the workers of the parent were doing."""
    program = """
        pool = Pool(Thing, max_size=2, workers=1, close=closed.append)
        pool.release(pool.acquire())
        if BUSY:
            hanging = True
            pool.acquire()
            assert pool.try_acquire() is None
            assert hung.wait(20)
        in_child(child)
        print("well", pool.size)
        never.release()
    """
    out = run_python(FORK + textwrap.dedent(program).replace("BUSY", str(busy)))
    assert out == f"well {1 + busy}\n"


# --- how many threads there are ---


def worker_threads() -> int:
    return sum(each.name == NAME for each in threading.enumerate())


async def test_tasks_that_ask_for_their_own_view_of_a_pool_share_its_threads() -> None:
    """One view per request, as of a web server."""
    pool = Pool(Thing, max_size=1, check=lambda _: True)
    before = worker_threads()
    for _ in range(30):
        async with pool.as_async().lease():
            pass
    assert worker_threads() <= before + 3


@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_the_workers_of_a_pool_that_is_over_end_at_once(how: str) -> None:
    """They do not wait some seconds for more work."""
    steps, closing = Steps(), Steps()
    pool = Pool(steps, max_size=2, workers=2, close=lambda _: closing())
    if how == "with":
        with pool, pool.lease(timeout=5) as thing:
            pool.discard(thing)
    else:
        pool.discard(pool.acquire(timeout=5))
        until(lambda: closing.count == 1)
        if how == "close":
            pool.close()
    threads = [steps.threads[0], closing.threads[0]]
    del pool
    gc.collect()
    until_soon(lambda: not any(each.is_alive() for each in threads), "the threads have ended", 3)


def test_without_threads_a_client_in_the_factory_takes_nothing_from_those_behind_it(
    gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes back goes to one that waits, or comes."""
    no_threads(monkeypatch)
    gate = gates()
    steps = Steps(None, gate)
    pool = Pool(steps, max_size=2, workers=2, fair=True)
    held = pool.acquire(timeout=5)
    creates = Client(pool.acquire, timeout=20)
    gate.reached()
    waits = waiting_client(pool, pool.acquire, timeout=20)
    pool.release(held)
    with soon():
        assert waits.result() is held
        pool.release(held)
        assert pool.acquire(timeout=5) is held
    gate.open()
    assert creates.result() is steps.made[1]
