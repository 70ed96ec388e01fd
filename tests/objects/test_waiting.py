"""Waiting for an object: for how long, with how many others, and what ends it."""

from __future__ import annotations

import gc
import math
import re
import signal
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import (
    PoolExhaustedError,
    PoolTimeoutError,
    SettingError,
    TooManyWaitersError,
)
from tests.support.clients import Client, Failing, Thing, balanced, overdue, until, usable, waiting_client

ASKS: dict[str, Callable[..., Any]] = {
    "acquire": lambda pool, *timeout: pool.acquire(*timeout),
    "lease": lambda pool, *timeout: pool.lease(*timeout).__enter__(),
}


@pytest.fixture(params=ASKS)
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return ASKS[request.param]


def one_out(**settings: Any) -> tuple[Pool[Thing], Thing]:
    """A pool of one object, which is out."""
    pool = Pool(Thing, max_size=1, name="one", **settings)
    return pool, pool.acquire()


# --- how long ---


def test_without_time_there_is_no_wait(ask: Callable[..., Any]) -> None:
    """0 seconds, of the pool or the call; the message has the figures."""
    pool, thing = one_out(timeout=0)
    for timeout in ((), (0,), (0.0,), (False,)):
        state = r"'one': no object within 0 s: 1 of 1 object in use, 0 waiting; leases\(\) says who has them"
        with pytest.raises(PoolTimeoutError, match=state):
            ask(pool, *timeout)
    pool.release(thing)
    assert usable(pool)


def test_who_waited_in_vain_is_told_who_has_the_objects() -> None:
    """The three that are out for longest, with their stacks, and how many are with a callback."""
    begun, end = threading.Event(), threading.Event()

    def make() -> Thing:
        if threading.current_thread().name == "slow":
            begun.set()
            assert end.wait(30)
        return Thing()

    pool = Pool(make, max_size=6, debug=True, name="six")

    def hold() -> Any:
        return pool.acquire()

    def hold_slowly() -> Any:
        threading.current_thread().name = "slow"
        return pool.acquire()

    def hold_as(name: str) -> Any:
        threading.current_thread().name = name
        return hold()

    held = []
    for number in range(5):
        held.append(Client(hold_as, f"t{number}").result())
        time.sleep(0.02)
    slow = Client(hold_slowly)
    assert begun.wait(30)
    with pytest.raises(PoolTimeoutError) as caught:
        pool.acquire(timeout=0.03)
    end.set()
    first, *rest = str(caught.value).split("\n")
    seconds = r"[\d.]+ m?s"
    assert re.fullmatch(
        r"pool 'six': no object within 0\.03 s: 6 of 6 objects in use, 0 waiting; "
        r"1 in creation, in a check, reset or close, or on the way to a client; "
        rf"held longest: 't0' for {seconds}; 't1' for {seconds}; 't2' for {seconds}",
        first,
    )
    assert [line[:7] for line in rest if "acquired at" in line] == ["1. 't0'", "2. 't1'", "3. 't2'"]
    assert sum(line.endswith("in hold") for line in rest) == 3
    for each in [*held, slow.result()]:
        pool.release(each)
    assert usable(pool)


@pytest.mark.parametrize("debug", [False, True])
def test_a_thread_without_a_name_is_a_number(debug: bool) -> None:
    """An error of somebody's class must not replace the pool's own."""

    class Nameless(threading.Thread):
        name = property(lambda self: self.missing)  # type: ignore[assignment]

        def __init__(self) -> None:
            self._name, self.held, self.end = "", None, threading.Event()
            super().__init__(daemon=True)

        def run(self) -> None:
            self.held = pool.acquire()
            self.end.wait(30)

    pool = Pool(Thing, max_size=1, debug=debug)
    pool.release(pool.acquire())
    thread = Nameless()
    thread.start()
    until(lambda: thread.held)
    with pytest.raises(PoolTimeoutError, match=rf"held longest: '{thread.ident}' for"):
        pool.acquire(0.01)
    thread.end.set()
    thread.join()
    pool.release(thread.held)
    assert usable(pool)


def test_what_is_idle_needs_no_time() -> None:
    pool = Pool(Thing, timeout=0, max_size=2)
    first = pool.acquire(0)
    pool.release(first)
    with pool.lease(0) as again:
        assert again is first
    assert usable(pool)


@pytest.mark.parametrize("timeout", [-1, -1e-300, -math.inf, math.nan])
def test_a_negative_time_or_no_number_is_refused(ask: Callable[..., Any], timeout: float) -> None:
    """Also where nobody would have to wait."""
    pool = Pool(Thing, name="one")
    for _ in range(2):
        with pytest.raises(
            SettingError, match="pool 'one': timeout must be 0 seconds or more, or None, not "
        ):
            ask(pool, timeout)
        pool.release(pool.acquire())
    assert usable(pool)


@pytest.mark.parametrize("timeout", ["1", b"1", [], object(), 1j])
def test_a_time_is_a_number(ask: Callable[..., Any], timeout: Any) -> None:
    with pytest.raises(TypeError, match="pool 'one': timeout must be a number of seconds or None, not "):
        ask(Pool(Thing, name="one"), timeout)


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300, 1e9, 1e18, pytest.param(10**400, id="10**400")])
@pytest.mark.parametrize("whose", ["call", "pool"])
def test_a_wait_may_have_no_end(timeout: Any, whose: str) -> None:
    """The waiter sleeps and does not poll."""
    pool, thing = one_out(**({"timeout": timeout} if whose == "pool" else {}))

    def get() -> float:
        began = time.thread_time()
        pool.release(pool.acquire() if whose == "pool" else pool.acquire(timeout))
        return time.thread_time() - began

    client = waiting_client(pool, get)
    time.sleep(0.15)
    assert client.busy
    pool.release(thing)
    assert client.result() < 0.05
    assert usable(pool)


@pytest.mark.parametrize("timeout", [0.03, 1e-9, 5e-324])
def test_a_wait_ends_in_time(ask: Callable[..., Any], timeout: float) -> None:
    pool, thing = one_out(timeout=None)
    began = time.monotonic()
    with pytest.raises(PoolTimeoutError, match="'one': no object within .* s: 1 of 1 object in use"):
        ask(pool, timeout)
    assert timeout <= time.monotonic() - began < 10
    assert pool.stats().timeouts == 1
    pool.release(thing)
    assert usable(pool)


def test_the_wall_clock_may_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a day, forwards and backwards, while a client waits."""
    pool, thing = one_out()
    wall = time.time
    for jump in (86400.0, -86400.0):
        client = waiting_client(pool, pool.acquire, 1.0)
        began = time.monotonic()
        monkeypatch.setattr(time, "time", lambda jump=jump: wall() + jump)
        assert isinstance(client.error(), PoolTimeoutError)
        assert 0.2 < time.monotonic() - began < 10
    client = waiting_client(pool, pool.acquire, 60)
    pool.release(thing)
    assert client.result() is thing


# --- how many ---


def test_no_more_wait_than_may() -> None:
    """The next client is refused at once; a place in the queue that becomes free can be taken."""
    pool, thing = one_out(max_waiting=2)
    first = waiting_client(pool, pool.acquire)
    second = waiting_client(pool, pool.acquire, 1.0)
    with pytest.raises(
        TooManyWaitersError,
        match="'one': max_waiting is 2, and so many wait already; 1 of 1 object in use, 2 waiting",
    ):
        pool.acquire()
    assert isinstance(second.error(), PoolTimeoutError)
    third = waiting_client(pool, pool.acquire)
    pool.release(thing)
    assert first.result() is thing
    pool.release(thing)
    assert third.result() is thing
    pool.release(thing)
    assert pool.stats().refused == 1
    assert usable(pool)


def test_nobody_may_wait() -> None:
    pool, thing = one_out(max_waiting=0, timeout=None)
    with pytest.raises(TooManyWaitersError, match="max_waiting is 0"):
        pool.acquire()
    pool.release(thing)
    assert usable(pool)


def test_a_full_pool_that_does_not_wait_fails_at_once(ask: Callable[..., Any]) -> None:
    """``overflow="fail"``."""
    pool, thing = one_out(overflow="fail", timeout=None)
    with pytest.raises(
        PoolExhaustedError, match="'one' is exhausted, and does not wait: 1 of 1 object in use"
    ):
        ask(pool)
    assert not isinstance(PoolExhaustedError(), TimeoutError)
    pool.release(thing)
    assert pool.stats().refused == 1
    assert usable(pool)


def test_a_full_pool_may_make_objects_beyond_its_size() -> None:
    """``overflow="create"``: closed when they come back, and the pool's own are kept."""
    closed: list[Thing] = []
    pool = Pool(Thing, max_size=1, overflow="create", close=closed.append)
    own = pool.acquire()
    extra = [pool.acquire(), pool.acquire()]
    assert (pool.size, pool.in_use, pool.idle) == (1, 3, 0)
    assert len(pool.leases()) == 3
    pool.release(own)
    assert pool.acquire() is own
    with pool.lease() as third:
        pass
    for each in extra:
        pool.release(each)
    pool.release(own)
    assert closed == [third, *extra]
    assert pool.stats().discards["overflow"] == 3
    assert balanced(pool)


def test_waiters_leave_a_failing_factory_alone() -> None:
    """The pause after a failure holds for all clients."""
    factory = Failing()
    pool = Pool(factory, max_size=1, overflow="create", backoff=(60, 60))
    thing = pool.acquire()
    factory.error = OSError("down")
    with pytest.raises(OSError, match="down"):
        pool.acquire()
    calls = factory.calls
    with pytest.raises(PoolTimeoutError) as caught:
        pool.acquire()
    assert caught.value.__cause__ is factory.error
    assert factory.calls == calls
    pool.release(thing)
    assert balanced(pool)


def test_trying_never_waits() -> None:
    pool, thing = one_out()
    assert pool.try_acquire() is None
    pool.release(thing)
    assert pool.try_acquire() is thing
    pool.release(thing)
    assert usable(pool)


# --- what ends a wait ---

FREES: dict[str, Callable[[Pool[Thing], Any], None]] = {
    "release": lambda pool, lease: lease.release(),
    "discard": lambda pool, lease: lease.discard(),
    "discard by the pool": lambda pool, lease: pool.discard(lease.object),
    "the end of a block": lambda pool, lease: lease.__exit__(None, None, None),
    "an exception": lambda pool, lease: lease.__exit__(ValueError, ValueError(), None),
    "an exception that discards": lambda pool, lease: lease.__exit__(OSError, OSError(), None),
    "resize": lambda pool, lease: pool.resize(max_size=2),
}


@pytest.mark.parametrize("how", FREES)
@pytest.mark.parametrize("patient", [False, True])
def test_what_makes_room_wakes_who_waits(how: str, patient: bool) -> None:
    pool = Pool(Thing, max_size=1, discard_on=OSError)
    lease = pool.lease()
    lease.__enter__()
    client = waiting_client(pool, pool.acquire, None)
    if patient:
        overdue()
    FREES[how](pool, lease)
    pool.release(client.result())
    lease.__exit__(None, None, None)
    pool.resize(max_size=1)
    assert usable(pool)


def test_a_wake_up_that_comes_to_nothing_is_passed_on() -> None:
    """The woken client leaves without an object; the next waiter gets it."""
    pool, thing = one_out(backoff=(0.01, 0.01))
    factory_fails = waiting_client(pool, pool.acquire, 60)
    second = waiting_client(pool, pool.acquire, 60)
    pool._core.engine.factory = Failing(OSError("once"))
    pool.discard(thing)
    assert isinstance(factory_fails.error(), OSError)
    pool._core.engine.factory = Thing
    until(lambda: not second.busy or isinstance(second.error(), OSError))
    assert second.error() is None or isinstance(second.error(), OSError)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
@pytest.mark.parametrize("timeout", [None, 60.0])
def test_ctrl_c_ends_a_wait(
    ask: Callable[..., Any], timeout: float | None, ctrl_c: Callable[[], None]
) -> None:
    """A real signal while blocked; the queue is as before."""
    pool, thing = one_out()

    def interrupt() -> None:
        until(lambda: pool.waiting == 1)
        ctrl_c()

    sender = Client(interrupt)
    with pytest.raises(KeyboardInterrupt):
        ask(pool, timeout)
    sender.result()
    assert pool.waiting == 0
    pool.release(thing)
    assert usable(pool)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_a_signal_whose_handler_returns_changes_no_wait() -> None:
    """A handler that returns makes the wait neither longer nor shorter."""
    pool, thing = one_out()
    came: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: came.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    began = time.monotonic()
    try:
        with pytest.raises(PoolTimeoutError):
            pool.acquire(0.15)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0.15 <= time.monotonic() - began < 10
    assert len(came) > 1
    pool.release(thing)
    assert usable(pool)


def test_waits_are_measured() -> None:
    pool, thing = one_out()
    client = waiting_client(pool, pool.acquire)
    time.sleep(0.05)
    pool.release(thing)
    client.result()
    stats = pool.stats()
    assert stats.waits == 1
    assert 0.04 < stats.wait_p50 <= stats.wait_p99 <= stats.wait_max < 20
    assert threading.active_count() < 50


def test_a_refusal_keeps_no_pool_alive(ask: Callable[..., Any]) -> None:
    """The error is in no reference cycle: without it the pool goes at once."""

    def refused() -> weakref.ref[Any]:
        pool, thing = one_out()
        with suppress(PoolTimeoutError):
            ask(pool, 0)
        assert pool.try_acquire() is None
        pool.release(thing)
        return weakref.ref(pool._core)

    gc.disable()
    try:
        assert refused()() is None
    finally:
        gc.enable()
