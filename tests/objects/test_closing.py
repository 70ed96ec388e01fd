"""The end of a pool: nobody waits for what never comes, and every object is closed once."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import ClosedError, ForeignReleaseError, PoolTimeoutError, SettingError
from tests.support.clients import Client, Gate, Maker, Thing, balanced, overdue, until, usable, waiting_client


def test_a_closed_pool_hands_out_nothing_more(maker: Maker) -> None:
    pool = Pool(maker, name="ended", close=maker.close)
    pool.release(pool.acquire())
    assert not pool.closed
    pool.close()
    assert pool.closed
    assert (pool.size, pool.idle, maker.alive) == (0, 0, [])
    for use in (pool.acquire, pool.try_acquire, pool.lease().__enter__, pool.wait, pool.__enter__):
        with pytest.raises(ClosedError, match="pool 'ended' is closed"):
            use()
    assert repr(pool).endswith(", closed>")
    for harmless in (pool.close, pool.drain, pool.maintain, pool.stats, pool.advice, pool.leases):
        harmless()
    pool.resize(max_size=3)
    assert len(maker.made) == 1


def test_who_waits_is_told_at_once(maker: Maker) -> None:
    """All waiters are told, also those that have waited for long, and while objects are in use."""
    pool = Pool(maker, max_size=1, timeout=None, close=maker.close)
    thing = pool.acquire()
    clients = [waiting_client(pool, pool.acquire) for _ in range(3)]
    overdue()
    clients += [waiting_client(pool, pool.lease().__enter__) for _ in range(3)]
    pool.close()
    for client in clients:
        assert isinstance(client.error(), ClosedError)
    assert pool.waiting == 0
    assert maker.alive == [thing]
    pool.release(thing)
    assert maker.alive == []
    assert balanced(pool)


@pytest.mark.parametrize("how", ["release", "end", "discard", "dropped"])
def test_what_is_out_is_closed_when_it_comes_back(maker: Maker, how: str) -> None:
    """By whatever call it returns; a second release is a named error."""
    pool = Pool(maker, close=maker.close)
    lease = pool.lease()
    lease.__enter__()
    thing = pool.acquire()
    pool.close()
    assert lease.object.number == 0
    assert (pool.size, pool.in_use) == (2, 2)
    if how == "release":
        lease.release()
    elif how == "discard":
        lease.discard()
    elif how == "end":
        lease.__exit__(None, None, None)
    else:
        leases = [lease]
        del lease
        with pytest.warns(ResourceWarning, match="dropped without its end"):
            leases.clear()
    pool.release(thing)
    with pytest.raises(ForeignReleaseError):
        pool.release(thing)
    assert maker.alive == []
    assert (pool.size, pool.in_use, pool.idle) == (0, 0, 0)
    assert pool.stats().discards["closed"] == (1 if how == "discard" else 2)


def test_what_is_out_is_not_reset_for_nobody(maker: Maker) -> None:
    resets: list[Thing] = []
    pool = Pool(maker, close=maker.close, reset=resets.append)
    with pool.lease():
        pool.close()
    assert resets == []
    assert maker.alive == []


def test_close_waits_for_what_is_out(maker: Maker) -> None:
    pool = Pool(maker, close=maker.close, name="ended")
    with (
        pool.lease(),
        pytest.raises(PoolTimeoutError, match="'ended': not all objects came back after 0.02 s: 1 in"),
    ):
        pool.close(timeout=0.02)
    assert pool.closed
    pool = Pool(maker, close=maker.close)
    thing = pool.acquire()
    for timeout in (None, 60):
        client = Client(pool.close, timeout)
        until(lambda: pool.closed)
        time.sleep(0.02)
        assert client.busy
        if timeout is None:
            continue
        pool.release(thing)
        client.result()
    pool.close(None)
    assert maker.alive == []


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_close_with_a_wrong_time_does_nothing(timeout: float) -> None:
    pool = Pool(Thing, name="ended")
    with pytest.raises(SettingError, match="'ended': timeout must be 0 seconds or more"):
        pool.close(timeout)
    assert not pool.closed
    assert usable(pool)


def test_close_waits_for_creations_and_surplus_objects(maker: Maker) -> None:
    gate = Gate(maker)
    pool = Pool(gate, close=maker.close, max_size=1, overflow="create")
    client = Client(pool.acquire)
    gate.reached()
    with pytest.raises(PoolTimeoutError):
        pool.close(0.01)
    gate.open()
    assert isinstance(client.error(), ClosedError)
    pool.close(0.01)
    assert maker.alive == []
    pool = Pool(maker, close=maker.close, max_size=1, overflow="create")
    own, extra = pool.acquire(), pool.acquire()
    pool.close()
    pool.release(own)
    with pytest.raises(PoolTimeoutError):
        pool.close(0.01)
    pool.release(extra)
    pool.close(0.01)
    assert maker.alive == []


def test_an_object_made_for_nobody_is_closed_at_the_end(maker: Maker) -> None:
    """The pool was closed while `wait` made it."""
    gate = Gate(maker)
    pool = Pool(gate, close=maker.close, min_size=2)
    client = Client(pool.wait)
    gate.reached()
    pool.close()
    gate.open()
    assert isinstance(client.error(), ClosedError)
    assert pool.size == 0
    assert maker.alive == []


def hand(pool: Pool[Any]) -> None:
    with pool.lease():
        pass


BUSY_WITH: dict[str, tuple[dict[str, Any], Callable[[Pool[Any]], None]]] = {
    "a check of what is idle": ({"check_on": "idle", "check_interval": 0}, lambda pool: pool.maintain()),
    "a check on checkout": ({"check_on": "checkout"}, hand),
    "a check on return": ({"check_on": "return"}, hand),
    "a reset": ({}, hand),
}


@pytest.mark.parametrize("what", BUSY_WITH)
def test_what_a_callback_has_at_the_end_is_closed_too(
    maker: Maker, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing idle is left in a pool that was closed meanwhile."""
    settings, use = BUSY_WITH[what]
    monkeypatch.setattr("bufpool.objects.maintenance_thread.register", lambda pool, within=None: None)
    gate = Gate()
    pool = Pool(maker, close=maker.close, **{("check" if settings else "reset"): gate}, **settings)
    pool.wait(1)
    time.sleep(0.03)
    client = Client(use, pool)
    gate.reached()
    pool.close()
    gate.open()
    client.result()
    pool.close(timeout=5)
    assert (pool.size, pool.idle, maker.alive) == (0, 0, [])


def test_the_end_of_the_block_closes_the_pool(maker: Maker) -> None:
    with Pool(maker, min_size=2, close=maker.close) as pool:
        assert pool.idle == 2
    assert pool.closed
    assert maker.alive == []
    with pytest.raises(KeyError), Pool(maker, min_size=1, close=maker.close) as pool:
        raise KeyError
    assert pool.closed
    assert len(maker.made) == 3
    assert maker.alive == []


def test_a_pool_may_be_closed_again_and_by_several_at_once(maker: Maker) -> None:
    pool = Pool(maker, close=maker.close, max_size=50)
    pool.wait(50)
    barrier = threading.Barrier(4)

    def close() -> None:
        barrier.wait()
        pool.close(timeout=30)

    for client in [Client(close) for _ in range(4)]:
        client.result()
    assert len(maker.closed) == 50


def test_a_pool_goes_with_objects_out() -> None:
    """Objects in use are left alone; a lease keeps the pool alive until its end; a late release is harmless."""
    maker = Maker()
    pool = Pool(maker, close=maker.close)
    gone = weakref.ref(pool)
    mine, lease = pool.acquire(), pool.lease()
    lease.__enter__()
    core = weakref.ref(pool._core)
    del pool
    gc.collect()
    assert gone() is None
    assert lease.object.number == 1
    lease.release()
    assert maker.closed == []
    del lease
    gc.collect()
    assert core() is None
    assert mine.number == 0


def test_a_pool_dropped_in_the_block_of_its_lease() -> None:
    reset: list[Thing] = []
    with Pool(Thing, reset=reset.append).lease() as thing:
        gc.collect()
    assert reset == [thing]


def test_a_dropped_pool_serves_its_waiters() -> None:
    pool = Pool(Thing, max_size=1, timeout=30)

    def get(lease: Any) -> Thing:
        with lease as got:
            return got

    with pool.lease() as thing:
        client = waiting_client(pool, get, pool.lease())
        del pool
        gc.collect()
    assert client.result() is thing


def test_a_dropped_pool_lets_its_objects_go() -> None:
    pool = Pool(Thing)
    thing = weakref.ref(pool.acquire())
    pool.release(thing())
    del pool
    gc.collect()
    assert thing() is None
