"""How many objects there are: a pool that grows or shrinks while they are out, and objects made ahead."""

from __future__ import annotations

import time

import pytest

from bufpool import Pool
from bufpool.errors import ClosedError, PoolTimeoutError, SettingError
from tests.support.clients import A_WHILE, Client, Gate, Maker, Thing, filled, usable, waiting_client

by_hand = pytest.mark.usefixtures("alone")


def test_a_pool_may_shrink_below_what_is_out(maker: Maker) -> None:
    """Idle objects go now, the others when they come back, and no more go than must."""
    pool = filled(maker, 6)
    held = [pool.acquire() for _ in range(4)]
    pool.resize(max_size=2)
    assert (pool.size, pool.idle, pool.in_use) == (4, 0, 4)
    assert pool.try_acquire() is None
    for count, thing in enumerate(held, 1):
        pool.release(thing)
        assert pool.size == max(2, 4 - count)
    assert len(maker.alive) == pool.idle == 2
    assert pool.stats().discards["resized"] == 4
    assert usable(pool)


@by_hand
@pytest.mark.parametrize("how", ["reset", "check"])
def test_a_pool_that_shrinks_while_a_callback_has_an_object(maker: Maker, how: str) -> None:
    gate = Gate()
    settings = (
        {"reset": gate} if how == "reset" else {"check": gate, "check_on": ["idle"], "check_interval": 0}
    )
    pool = Pool(maker, close=maker.close, max_size=2, **settings)
    pool.wait(2)
    time.sleep(A_WHILE)
    client = Client(pool.maintain) if how == "check" else Client(lambda: pool.release(pool.acquire()))
    gate.reached()
    pool.resize(max_size=1)
    gate.open()
    client.result()
    assert (pool.size, pool.idle, len(maker.alive)) == (1, 1, 1)
    assert usable(pool)


def test_a_shrunk_pool_serves_waiters_in_turn(maker: Maker) -> None:
    pool = Pool(maker, close=maker.close, max_size=3)
    held = [pool.acquire() for _ in range(3)]
    client = waiting_client(pool, pool.acquire, 30)
    pool.resize(max_size=1)
    pool.release(held.pop())
    pool.release(held.pop())
    assert client.busy
    last = held.pop()
    pool.release(last)
    assert client.result() is last
    pool.release(last)
    assert usable(pool)


def test_a_pool_may_grow(maker: Maker) -> None:
    """Who waits gets a new object at once."""
    pool = filled(maker, 1)
    thing = pool.acquire()
    clients = [waiting_client(pool, pool.acquire, 30) for _ in range(3)]
    pool.resize(max_size=4)
    for client in clients:
        pool.release(client.result())
    pool.release(thing)
    assert pool.size <= pool.max_size == 4
    assert usable(pool)


def test_wrong_bounds_change_nothing(maker: Maker) -> None:
    pool = Pool(maker, min_size=2, max_size=5, name="bounded")
    for bounds in ((-1, None), (6, None), (None, 0), (None, 1), (3, 2), (None, -1), (None, 2**31)):
        with pytest.raises(SettingError, match="pool 'bounded': m.._size must be from"):
            pool.resize(*bounds)
        assert (pool.min_size, pool.max_size) == (2, 5)
    pool.resize(0, 1)
    assert (pool.min_size, pool.max_size) == (0, 1)


# --- made ahead ---


def test_objects_can_be_made_ahead(maker: Maker) -> None:
    pool = Pool(maker, min_size=2, max_size=4, name="ahead")
    pool.wait()
    assert pool.idle == 2
    pool.wait(3)
    pool.wait(1)
    pool.wait(0)
    assert pool.idle == 3
    for ready in (5, -1, True):
        with pytest.raises(SettingError, match="pool 'ahead': ready must be from 0 to 4"):
            pool.wait(ready)
    assert pool.stats().checkouts == 0
    assert usable(pool)


def test_who_waits_for_objects_in_the_making_is_told(maker: Maker) -> None:
    """In time, when they are there, or when the pool is closed."""
    gate = Gate(maker)
    pool = Pool(gate, max_size=1, name="ahead")
    client = Client(pool.acquire)
    gate.reached()
    with pytest.raises(PoolTimeoutError, match="'ahead': not yet 1 object after 0.02 s: 1 in use, 0 idle"):
        pool.wait(1, 0.02)
    other = Client(pool.wait, 1, None)
    time.sleep(0.02)
    assert other.busy
    gate.open()
    other.result()
    pool.release(client.result())
    assert usable(pool)
    pool.discard(pool.acquire())
    pool._core.engine.factory = gate = Gate(maker)
    client = Client(pool.acquire)
    gate.reached()
    other = Client(pool.wait, 1, None)
    time.sleep(0.02)
    pool.close()
    assert isinstance(other.error(), ClosedError)
    gate.open()
    assert isinstance(client.error(), ClosedError)
    assert pool.size == 0


def test_a_waiter_retries_a_creation_that_failed(maker: Maker) -> None:
    gate = Gate()

    def make() -> Thing:
        if not gate.entered.is_set():
            gate()
            raise OSError("once")
        return maker()

    pool = Pool(make, max_size=1)
    client = Client(pool.acquire)
    gate.reached()
    other = Client(pool.wait, 1, 20)
    time.sleep(0.02)
    gate.open()
    assert isinstance(client.error(), OSError)
    other.result()
    assert usable(pool)
