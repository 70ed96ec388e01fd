"""How long an object lives, which one goes out first, and what maintenance does: by `maintain`, and by itself."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bufpool import Pool
from bufpool.objects.maintenance_thread import MaintenanceThread
from tests.support.clients import (
    A_WHILE,
    Client,
    Failing,
    Gate,
    Maker,
    Thing,
    balanced,
    filled,
    until,
    usable,
)

by_hand = pytest.mark.usefixtures("alone")


def out_in_turn(pool: Pool[Thing]) -> Iterator[int]:
    while (thing := pool.try_acquire()) is not None:
        yield thing.number


# --- order ---


def test_the_object_used_last_goes_out_first(maker: Maker) -> None:
    assert list(out_in_turn(filled(maker, 4))) == [3, 2, 1, 0]


def test_or_the_one_idle_longest(maker: Maker) -> None:
    """Also when some come back in between."""
    pool = filled(maker, 4, lifo=False)
    assert pool.idle == 4
    first, second = pool.acquire(), pool.acquire()
    assert (first.number, second.number) == (0, 1)
    assert pool.idle == 2
    pool.release(second)
    pool.release(first)
    assert list(out_in_turn(pool)) == [2, 3, 1, 0]
    assert pool.stats().checkouts == 10
    assert pool.stats().peak_in_use == 4


# --- ends ---


@by_hand
def test_max_idle_goes_down_to_min_size(maker: Maker) -> None:
    pool = filled(maker, 5, min_size=2, max_idle=A_WHILE / 2)
    assert pool.size == 5
    time.sleep(A_WHILE)
    pool.maintain()
    assert pool.size == pool.idle == 2
    assert pool.stats().discards["max_idle"] == 3
    assert [each.number for each in maker.alive] == [3, 4]  # those used last
    assert usable(pool)


@by_hand
def test_what_was_idle_for_too_long_is_not_handed_out(maker: Maker) -> None:
    """A process may have been stopped, and a loop blocked, so that no maintenance came."""
    pool = filled(maker, 3, max_idle=A_WHILE / 2)
    time.sleep(A_WHILE)
    with pool.lease() as thing:
        assert thing.number == 3
    assert pool.stats().discards["max_idle"] == 3
    with pool.lease() as again:
        assert again is thing
    assert usable(pool)


@by_hand
def test_what_min_size_keeps_is_handed_out(maker: Maker) -> None:
    pool = filled(maker, 3, min_size=2, max_idle=A_WHILE / 2)
    time.sleep(A_WHILE)
    with pool.lease() as thing:
        assert thing.number == 1  # 2 was the one too many
    assert pool.stats().discards["max_idle"] == 1
    assert pool.stats().created == 3


@by_hand
def test_what_is_used_is_not_idle(maker: Maker) -> None:
    pool = filled(maker, 3, max_idle=1000)
    with pool.lease():
        pool.maintain()
    assert pool.size == 3
    pool = filled(maker, 2, max_idle=0.4)
    until(lambda: (pool.release(pool.acquire()), pool.maintain(), pool.size == 1)[-1])
    assert [each.number for each in maker.alive[3:]] == [4]


@by_hand
def test_where_a_lifetime_ends(maker: Maker) -> None:
    pool = filled(maker, 2, max_lifetime=A_WHILE)
    first = pool.acquire()
    time.sleep(A_WHILE)
    pool.release(first)  # on return
    assert pool.size == 1
    second = pool.acquire()  # on checkout
    assert second.number == 2
    pool.release(second)
    time.sleep(A_WHILE)
    pool.maintain()
    assert pool.size == 0
    assert pool.stats().discards["max_lifetime"] == 3
    assert maker.alive == []
    assert usable(pool)


def test_objects_made_together_do_not_end_together(maker: Maker) -> None:
    """A lifetime is up to a tenth shorter than was set, and never longer."""
    engine = Pool(maker, max_lifetime=100.0)._core.engine
    lifetimes = [engine._lifetime() / 1e9 for _ in range(200)]
    assert 90 <= min(lifetimes) < 93 < 97 < max(lifetimes) <= 100


def test_an_object_is_used_so_many_times(maker: Maker) -> None:
    pool = Pool(maker, close=maker.close, max_uses=3)
    numbers = []
    for _ in range(7):
        with pool.lease() as thing:
            numbers.append(thing.number)
    assert numbers == [0, 0, 0, 1, 1, 1, 2]
    assert pool.stats().discards["max_uses"] == 2
    assert [each.number for each in maker.closed] == [0, 1]


def test_drained_objects_are_replaced(maker: Maker) -> None:
    pool = filled(maker, 3)
    with pool.lease() as thing:
        held = pool.acquire()
        pool.drain()
        assert maker.alive == [held, thing]
        assert pool.size == 2
    pool.release(held)
    assert (pool.size, maker.alive) == (0, [])
    assert pool.stats().discards["drained"] == 3
    assert pool.acquire().number == 3


@by_hand
@pytest.mark.parametrize("how", ["reset", "check on return", "check on idle", "check on checkout", "factory"])
def test_drain_replaces_what_a_callback_holds(maker: Maker, how: str) -> None:
    """After `drain`, no client gets an object that existed before."""
    gate = Gate(lambda *_: None)
    settings: dict[str, Any] = {"check": gate, "check_on": how.rpartition(" ")[2], "check_interval": 0}
    if how == "reset":
        settings = {"reset": gate}
    elif how == "factory":
        settings = {}
        gate.answer = maker
    pool = Pool(gate if how == "factory" else maker, close=maker.close, max_size=1, **settings)
    if how == "factory":
        client = Client(pool.wait, 1)
    else:
        pool.wait(1)
        time.sleep(A_WHILE)
        client = (
            Client(pool.maintain) if how == "check on idle" else Client(lambda: pool.release(pool.acquire()))
        )
    gate.reached()
    pool.drain()
    gate.open()
    client.result()
    assert [each.number for each in maker.closed] == [0]
    assert pool.acquire(5).number == 1


# --- maintenance ---


@by_hand
def test_maintenance_makes_what_is_missing(maker: Maker) -> None:
    pool = Pool(maker, min_size=3)
    pool.maintain()
    assert pool.idle == 3
    pool.discard(pool.acquire())
    pool.maintain()
    assert pool.idle == 3
    assert usable(pool)


@by_hand
def test_maintenance_passes_on_the_error_of_a_factory() -> None:
    factory = Failing(OSError("down"))
    pool = Pool(factory, min_size=1, backoff=(60, 60))
    with pytest.raises(OSError, match="down"):
        pool.maintain()
    pool.maintain()
    assert factory.calls == 1
    assert balanced(pool)


def test_the_maintenance_thread_does_it_by_itself(maker: Maker) -> None:
    """Without any client, objects idle too long are closed and missing ones are created."""
    pool = filled(maker, 4, min_size=1, max_idle=0.05)
    until(lambda: pool.size == 1, "one object")
    pool.discard(pool.acquire())
    until(lambda: pool.idle == 1, "a new object")
    assert usable(pool)
    pool.close()


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(1), KeyboardInterrupt()])
def test_maintenance_survives_errors_of_callbacks(
    maker: Maker, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on with that pool and with the others."""

    def fail(thing: Thing) -> None:
        failed.append(thing)
        raise error

    failed: list[Thing] = []
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    good = filled(maker, 1, max_idle=0.3)
    bad = Pool(Thing, close=fail, max_idle=0.04)
    bad.release(bad.acquire())
    until(lambda: failed, "an end")
    until(lambda: good.size == 0, "the end of another pool's object, though nobody comes")
    bad.release(bad.acquire())
    until(lambda: len(failed) == 2, "the next end")
    until(lambda: bad.size == 0, "no object")
    if not isinstance(error, Exception):
        until(lambda: [each.exc_value for each in told] == [error, error], "two reports")


def test_maintenance_survives_pools_that_vanish() -> None:
    """A garbage collection removes pools while the thread iterates over them."""

    class Looked:
        period, over = 0.0, False

        def __init__(self) -> None:
            self.itself = self

    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what the suite has made so far would be looked through each time
    for moment in range(1, 100):
        maintenance = MaintenanceThread()
        me = maintenance._thread = threading.current_thread()  # it has no thread but this one
        last = Looked()
        gc.collect()
        gc.disable()
        try:
            for pool in [*(Looked() for _ in range(50)), last]:
                maintenance.register(pool)
            del pool
            no_spare_tuples = [(number, number) for number in range(3000)]  # so that each new one is counted
            gc.set_threshold(gc.get_count()[0] + moment)
            gc.enable()
            found = maintenance._next(me)
        finally:
            gc.set_threshold(*thresholds)
            gc.enable()
        assert found is not None
        del no_spare_tuples
    gc.unfreeze()


def test_the_maintenance_thread_keeps_no_pool_alive(maker: Maker) -> None:
    import weakref

    pool = filled(maker, 1, max_idle=0.05)
    gone = weakref.ref(pool._core)
    del pool
    until(lambda: gone() is None)


def test_maintenance_keeps_a_min_size_set_later(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    from bufpool.objects.maintenance import PoolMaintenance

    def period(self: PoolMaintenance) -> float | None:
        core = self._core()
        return 0.02 if core and core.engine.min_size else None

    monkeypatch.setattr(PoolMaintenance, "period", property(period))
    pool = filled(maker, 1)
    pool.resize(min_size=1, max_size=4)
    pool.resize(min_size=3)
    until(lambda: pool.idle == 3, "three objects")
