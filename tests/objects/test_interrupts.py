"""KeyboardInterrupt at every opcode of a client and of all Python code that it runs: nothing lost, nothing masked."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from bufpool import Pool
from tests.support.clients import PATIENCE, Thing, balanced
from tests.verify.interrupts import Interrupting


class BrokenOnce:
    """A check that finds the first object broken."""

    def __init__(self) -> None:
        self.broken = True

    def __call__(self, thing: Thing) -> bool:
        broken, self.broken = self.broken, False
        return not broken


def lease(pool: Pool[Any]) -> None:
    with pool.lease(20) as thing:
        assert thing is not None


def discard(pool: Pool[Any]) -> None:
    leased = pool.lease(20)
    with leased:
        leased.discard()


def two(pool: Pool[Any]) -> None:
    with pool.lease(20), pool.lease(20):
        pass


def idle(**settings: Any) -> Pool[Any]:
    pool = Pool(Thing, max_size=2, backoff=(1e-6, 1e-6), **settings)
    pool.wait(1)
    return pool


# How the pool is when the client comes, and what the client does.
PATHS: dict[str, tuple[Callable[[], Pool[Any]], Callable[[Pool[Any]], None]]] = {
    "an idle object": (idle, lease),
    "a new object": (lambda: Pool(Thing, max_size=2), lease),
    "both": (idle, two),
    "discarded": (idle, discard),
    "reset and closed": (lambda: idle(reset=lambda thing: None, close=lambda thing: None, max_uses=1), lease),
    "checked": (lambda: idle(check=lambda thing: True, check_on=["checkout", "return"]), lease),
    "broken": (lambda: idle(check=BrokenOnce(), close=lambda thing: None), lease),
    "beyond the size": (lambda: Pool(Thing, max_size=1, overflow="create"), two),
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A lease that the interrupt kept from its `with` block is dropped, and says so; a coroutine never started, too."""
    monkeypatch.setattr("bufpool.objects.maintenance_thread.register", lambda pool, within=None: None)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def interrupted(client: Callable[[Pool[Any]], None], pool: Pool[Any], tracer: Interrupting) -> str:
    """How it ended. The traceback, which holds the client's variables, is gone then."""
    sys.settrace(tracer)
    try:
        client(pool)
    except KeyboardInterrupt:
        return "interrupted"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        sys.settrace(None)
    return "not interrupted"


def nothing_lost(pool: Pool[Any], client: Callable[[Pool[Any]], None]) -> None:
    if pool.in_use:
        gc.collect()
    assert balanced(pool)
    client(pool)
    held = [pool.acquire(0) for _ in range(pool.max_size)]
    for thing in held:
        pool.release(thing)
    assert balanced(pool)


@pytest.mark.parametrize("path", PATHS)
def test_at_every_opcode(path: str) -> None:
    make, client = PATHS[path]
    for opcode in count(1):
        pool = make()
        tracer = Interrupting(opcode)
        ended = interrupted(client, pool, tracer)
        if tracer.left > 0:
            break
        assert (tracer.at, ended) == (tracer.at, "interrupted")
        try:
            nothing_lost(pool, client)
        except AssertionError as error:
            raise AssertionError(f"{path}, opcode {opcode}, {tracer.at}: {pool!r}") from error
    assert opcode > 10


@pytest.mark.parametrize("fair", [False, True])
def test_at_every_opcode_of_a_wait(fair: bool) -> None:
    """Before, during and after it, the hand-over too. The object comes back once somebody waits."""
    begin, done = threading.Semaphore(0), threading.Semaphore(0)
    current: list[Any] = []

    def give_back() -> None:
        while begin.acquire() and current:
            pool, thing, over = current
            while not pool.waiting and not over.is_set():
                time.sleep(0)
            pool.release(thing)
            done.release()

    giver = threading.Thread(target=give_back, daemon=True)
    giver.start()
    for opcode in count(1):
        pool = Pool(Thing, max_size=1, fair=fair)
        over = threading.Event()
        current[:] = [pool, pool.acquire(), over]
        begin.release()
        tracer = Interrupting(opcode)
        ended = interrupted(lease, pool, tracer)
        over.set()
        assert done.acquire(timeout=PATIENCE)
        if tracer.left > 0:
            break
        assert (tracer.at, ended) == (tracer.at, "interrupted")
        try:
            nothing_lost(pool, lease)
        except AssertionError as error:
            raise AssertionError(f"opcode {opcode}, {tracer.at}: {pool!r}") from error
    current.clear()
    begin.release()
    giver.join()
    assert opcode > 50


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_by_a_signal_at_any_moment() -> None:
    """A timer interrupts a loop over all paths at random moments."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    pools = [(make(), client) for make, client in PATHS.values()]
    try:
        for number in range(150):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.00001 * number)
                while True:
                    for pool, client in pools:
                        client(pool)
            except KeyboardInterrupt:
                pass
            for pool, client in pools:
                nothing_lost(pool, client)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
