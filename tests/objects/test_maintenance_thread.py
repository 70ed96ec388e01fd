"""The thread that maintains pools for threads: when it starts and ends, and that nobody ever waits for it."""

from __future__ import annotations

import logging
import textwrap
import threading
import time
from typing import Any, cast

import pytest

from bufpool import Pool
from bufpool.objects import maintenance_thread
from bufpool.objects.maintenance_thread import MaintenanceThread
from tests.support.accounting import run_python
from tests.support.clients import Maker, filled, until
from tests.verify import exits
from tests.verify.bug import has_gil

NAME = "bufpool-maintenance"


class Maintained:
    """A pool as the thread sees it: counts its rounds."""

    period, over = 0.001, False

    def __init__(self) -> None:
        self.rounds = 0

    def run_in_thread(self) -> None:
        self.rounds += 1

    async def run_quietly(self, runtime: Any) -> None: ...


@pytest.fixture
def maintenance(monkeypatch: pytest.MonkeyPatch) -> MaintenanceThread:
    """A maintenance thread that has no pool yet, in place of the process's own."""
    mine = MaintenanceThread()
    monkeypatch.setattr(maintenance_thread, "_of_process", mine)
    return mine


# --- exits ---


@pytest.mark.parametrize("kind", exits.PROGRAMS)
def test_a_program_ends(kind: str) -> None:
    """Whatever the maintenance thread was doing. `make exits` runs each program 500 times."""
    assert exits.programs(4, kind).violations == ()


@pytest.mark.skipif(bool(exits.LACKS_FORK), reason=exits.LACKS_FORK)
def test_forks_while_the_thread_starts() -> None:
    assert exits.forks(30).violations == ()


def test_thread_ends_before_the_interpreter_kills_it() -> None:
    """So it holds no lock of `logging` or of an import then. Exit functions registered earlier run later."""
    out = run_python(f"""
        import atexit, threading
        atexit.register(lambda: print([each.name for each in threading.enumerate()]))
        import bufpool
        pool = bufpool.Pool(list, max_idle=60)
        with pool.lease():
            print({NAME!r} in [each.name for each in threading.enumerate()])
    """)
    assert out == "True\n['MainThread']\n"


def test_a_callback_that_hangs_does_not_hang_the_exit() -> None:
    """The thread never returns from the callback."""
    began = time.monotonic()
    out = run_python("""
        import bufpool, threading
        hangs, never = threading.Event(), threading.Lock()
        never.acquire()
        def check(thing):
            hangs.set()
            never.acquire()
        pool = bufpool.Pool(list, check=check, check_on="idle", check_interval=0.01)
        with pool.lease():
            pass
        assert hangs.wait(20)
        print("ends")
    """)
    assert out == "ends\n"
    assert time.monotonic() - began < 20  # not for ever; the thread's grace is a second


def test_a_round_may_finish_at_exit() -> None:
    """A callback that takes a while is not cut off."""
    out = run_python("""
        import bufpool, threading, time
        closing = threading.Event()
        def close(thing):
            closing.set()
            time.sleep(0.1)
            print("closed", flush=True)
        pool = bufpool.Pool(list, max_idle=0.02, close=close)
        with pool.lease():
            pass
        assert closing.wait(20)
    """)
    assert out == "closed\n"


@pytest.mark.parametrize("kind", ["Pool", "AsyncPool"])
def test_no_callback_for_a_lease_dropped_at_exit(kind: str) -> None:
    """A daemon thread was killed in a callback, with its lock; the same callback would wait for ever."""
    out = run_python(
        f"""
        import asyncio, bufpool, sys, threading, warnings
        warnings.simplefilter("ignore")
        lock = threading.Lock()
        def reset(thing):
            if sys.is_finalizing():
                print("called", flush=True)
            with lock:
                pass
        pool = bufpool.{kind}(list, reset=reset)
        lease = pool.lease()
        if {kind!r} == "Pool":
            lease.__enter__()
        else:
            asyncio.run(lease.__aenter__())
        lock.acquire()
        print("ends", flush=True)
        """
    )
    assert out == "ends\n"


# --- no thread ---


def test_clients_do_not_see_that_the_thread_cannot_start(
    maintenance: MaintenanceThread, caplog: pytest.LogCaptureFixture, maker: Maker
) -> None:
    """It is logged once, and maintenance is done as soon as a thread can start."""

    checked: list[object] = []

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as limit, caplog.at_level(logging.WARNING, "bufpool"):
        limit.setattr(threading.Thread, "start", refuse)
        pool = filled(maker, 2, check=checked.append, check_on="idle", check_interval=0.02)
    (record,) = caplog.records
    assert "cannot start" in record.message
    assert "can't start new thread" in record.message
    time.sleep(0.05)
    assert checked == []
    assert maintenance._thread is None
    for _ in range(256):  # one checkout of each object in 128 tries again
        pool.release(pool.acquire())
    until(lambda: len(checked) > 1, "maintenance")
    pool.close()


def test_after_its_end_no_thread_starts(
    maintenance: MaintenanceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter's end has begun: a later thread would be killed."""
    started: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", started.append)
    maintenance.end()
    pool = Maintained()
    maintenance.register(pool)
    assert started == []


# --- two threads, or one that ends as a pool comes ---


def test_a_pool_that_comes_as_the_thread_ends_is_maintained(maintenance: MaintenanceThread) -> None:
    """Its client saw a thread, and started none."""
    first, second = Maintained(), Maintained()

    class LeavesLate(dict[Any, float]):
        """As the thread finds no pool, another one comes."""

        def __bool__(self) -> bool:
            if not len(self) and maintenance._thread is None and not second.rounds:
                maintenance._thread = threading.current_thread()
                maintenance.register(second)
                maintenance._thread = None
            return len(self) > 0

    maintenance._due = LeavesLate()
    maintenance.register(first)
    until(lambda: first.rounds > 0)
    first.over = True
    until(lambda: second.rounds > 1, "the other one's maintenance")
    second.over = True
    until(lambda: maintenance._thread is None, "the thread's end")


class OldestFirst:
    """A bell that wakes the thread that has slept longest."""

    def __init__(self) -> None:
        self.asleep: list[threading.Event] = []

    def acquire(self, timeout: float) -> None:
        woken = threading.Event()
        self.asleep.append(woken)
        if not woken.wait(timeout) and woken in self.asleep:
            self.asleep.remove(woken)

    def release(self) -> None:
        if self.asleep:
            self.asleep.pop(0).set()


def test_of_two_threads_one_ends_and_passes_its_wake_up_on(maintenance: MaintenanceThread) -> None:
    """Two clients may start a thread each, because no lock decides between them."""
    bell = OldestFirst()
    maintenance._bell = cast(Any, bell)
    slow = Maintained()
    slow.period = 60
    maintenance.register(slow)
    until(lambda: len(bell.asleep) == 1)
    first = maintenance._thread
    assert first is not None
    another = threading.Thread(target=maintenance._run, daemon=True)
    another.start()
    until(lambda: len(bell.asleep) == 2)
    quick = Maintained()
    maintenance.register(quick)
    until(lambda: quick.rounds > 1, "its maintenance")
    assert maintenance._thread is another
    until(lambda: not first.is_alive(), "the end of the first")
    slow.over = quick.over = True
    maintenance.register(slow)
    until(lambda: not another.is_alive(), "the end of the other")


def test_the_thread_ends_with_the_last_pool(maintenance: MaintenanceThread) -> None:
    """The next pool starts another thread."""
    for _ in range(3):
        pool = Pool(list, max_idle=60)
        pool.release(pool.acquire())
        until(lambda: maintenance._thread is not None)
        thread = maintenance._thread
        assert thread is not None
        assert thread.name == NAME
        del pool
        thread.join(20)
        assert not thread.is_alive()
        assert maintenance._thread is None


# --- fork ---

# Several threads copy the dictionary, each for milliseconds. CPython then hands its lock from one straight to the next
# that waits, which owns the lock before it runs again. So the fork finds the lock taken (measured: 30 times of 30), and
# its owner is not in the child.
HELD_AT_FORK = """
import bufpool, os, signal, threading, time, warnings
from bufpool.objects import maintenance_thread
warnings.simplefilter("ignore", DeprecationWarning)

def fork_while_held(dictionary, in_child):
    dictionary.update(dict.fromkeys(range(300_000), float("inf")))
    ended = False
    def copy():
        while not ended:
            dictionary.copy()
    threads = [threading.Thread(target=copy) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    statuses = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            in_child()
            os._exit(0)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if statuses[-1]:
            break
    ended = True
    for thread in threads:
        thread.join()
    for number in range(300_000):
        del dictionary[number]
    print("well" if not any(statuses) else statuses)
"""


def test_the_thread_never_imports_logging() -> None:
    """A forked child that logs would wait for an import of a thread that it does not have."""
    out = run_python("""
        import bufpool, sys
        assert "logging" not in sys.modules
        pool = bufpool.Pool(list, max_idle=60)
        with pool.lease():
            print("logging" in sys.modules)
    """)
    assert out == "True\n"


@pytest.mark.skipif(bool(exits.LACKS_FORK), reason=exits.LACKS_FORK)
@pytest.mark.skipif(has_gil(), reason="with the GIL a dictionary has no lock")
def test_a_child_needs_no_lock_of_the_parents_pools() -> None:
    """Without the GIL CPython may hand its lock to a thread that waits, at the moment of the fork."""
    out = run_python(
        HELD_AT_FORK
        + textwrap.dedent("""
        pool = bufpool.Pool(list, max_idle=60)
        with pool.lease():
            pass
        def child():
            global pool
            del pool                                 # takes itself off the list
        fork_while_held(maintenance_thread._of_process._due, child)
    """)
    )
    assert out == "well\n"


@pytest.mark.skipif(bool(exits.LACKS_FORK), reason=exits.LACKS_FORK)
def test_a_callback_of_the_thread_may_fork() -> None:
    """The child ends when it leaves the thread, and does not go on with the parent's maintenance."""
    out = run_python("""
        import bufpool, os, signal, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        children = []
        def check(thing):
            if not children:
                child = os.fork()
                if child == 0:
                    signal.alarm(20)
                    children.append(0)
                    return True
                children.append(child)
            return True
        pool = bufpool.Pool(list, check=check, check_on="idle", check_interval=0.01)
        with pool.lease():
            pass
        while not children:
            time.sleep(0.001)
        print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
    """)
    assert out == "0\n"
