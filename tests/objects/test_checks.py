"""When an object is checked: on its way out, on its way in, or while it is idle; and what that hinders."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bufpool import Pool
from tests.support.clients import Client, Gate, Maker, Thing, until, usable

A_WHILE = 0.03


class Checked:
    """A check that remembers, and finds broken what it is told."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.broken: set[int] = set()

    def __call__(self, thing: Thing) -> bool:
        self.seen.append(thing.number)
        return thing.number not in self.broken


@pytest.fixture
def check() -> Checked:
    return Checked()


by_hand = pytest.mark.usefixtures("alone")


def use(pool: Pool[Thing]) -> int:
    with pool.lease() as thing:
        return thing.number


def make(check: Any, **settings: Any) -> tuple[Pool[Thing], Maker]:
    maker = Maker()
    return Pool(maker, close=maker.close, check=check, **settings), maker


def test_a_new_object_is_sound(check: Checked) -> None:
    pool, _ = make(check)
    use(pool)
    assert check.seen == []


def test_a_check_on_checkout(check: Checked) -> None:
    pool, maker = make(check)
    assert [use(pool), use(pool), use(pool)] == [0, 0, 0]
    assert check.seen == [0, 0]
    check.broken.add(0)
    assert use(pool) == 1
    assert [each.number for each in maker.closed] == [0]
    assert pool.stats().discards["broken"] == 1
    pool.maintain()
    assert check.seen == [0, 0, 0]


def test_a_check_on_checkout_of_what_was_idle_for_a_while(check: Checked) -> None:
    pool, _ = make(check, check_after=1000)
    assert [use(pool) for _ in range(3)] == [0, 0, 0]
    assert check.seen == []
    pool, _ = make(check, check_after=A_WHILE)
    use(pool)
    time.sleep(2 * A_WHILE)
    use(pool)
    assert check.seen == [0]


def test_a_check_on_return(check: Checked) -> None:
    pool, maker = make(check, check_on="return")
    with pool.lease():
        assert check.seen == []
    assert check.seen == [0]
    check.broken.add(0)
    use(pool)
    assert pool.size == 0
    assert [each.number for each in maker.closed] == [0]


@by_hand
def test_a_check_of_what_is_idle(check: Checked) -> None:
    """By maintenance, once in an interval, and nothing is made in the place of what is broken unless it is needed."""
    pool, maker = make(check, check_on="idle", check_interval=A_WHILE)
    pool.wait(3)
    time.sleep(2 * A_WHILE)
    check.broken.add(1)
    pool.maintain()
    assert sorted(set(check.seen)) == [0, 1, 2]
    assert [each.number for each in maker.closed] == [1]
    assert pool.idle == 2
    pool, _ = make(check, check_on="idle", check_interval=1000)
    check.seen.clear()
    pool.wait(3)
    pool.maintain()
    assert check.seen == []


def test_the_maintenance_thread_checks(check: Checked) -> None:
    pool, maker = make(check, check_on={"idle"}, check_interval=0.04)
    pool.wait(2)
    check.broken.add(0)
    until(lambda: pool.size == 1)
    assert [each.number for each in maker.closed] == [0]


@by_hand
def test_a_check_of_what_is_idle_does_not_change_the_order(check: Checked) -> None:
    """What is used last stays the first to go out, and what is idle longest the last."""
    pool, _ = make(check, check_on="idle", check_interval=0)
    pool.wait(3)
    time.sleep(A_WHILE)
    before = use(pool)
    time.sleep(A_WHILE)
    pool.maintain()
    assert len(check.seen) == 3
    assert use(pool) == before


@by_hand
def test_at_every_moment(check: Checked) -> None:
    pool, _ = make(check, check_on=("checkout", "return", "idle"), check_interval=0)
    use(pool)
    assert check.seen == [0]
    use(pool)
    assert check.seen == [0, 0, 0]
    time.sleep(A_WHILE)
    pool.maintain()
    assert check.seen == [0, 0, 0, 0]


@by_hand
def test_a_slow_check_leaves_other_objects_free() -> None:
    """Maintenance checks one object at a time."""
    gate = Gate(lambda _: True)
    pool, _ = make(gate, check_on="idle", check_interval=0, max_size=3)
    pool.wait(3)
    time.sleep(A_WHILE)
    client = Client(pool.maintain)
    gate.reached()
    others = [pool.acquire(0), pool.acquire(0)]
    assert pool.try_acquire() is None
    gate.open()
    client.result()
    for each in others:
        pool.release(each)
    assert usable(pool)


def test_an_object_in_a_check_cannot_be_released() -> None:
    from bufpool.errors import DoubleReleaseError

    gate = Gate(lambda _: True)
    pool, maker = make(gate)
    use(pool)
    client = Client(pool.acquire)
    gate.reached()
    for end in (pool.release, pool.discard):
        with pytest.raises(DoubleReleaseError):
            end(maker.made[0])
    gate.open()
    pool.release(client.result())
    assert usable(pool)


def test_checkouts_are_those_that_got_an_object(check: Checked) -> None:
    """A checkout that first met a broken object counts once."""
    pool, _ = make(check)
    use(pool)
    check.broken.add(0)
    use(pool)
    stats = pool.stats()
    assert (stats.checkouts, stats.created, stats.reuse_rate) == (2, 2, 0.0)


@pytest.mark.parametrize("how", ["lease", "discard", "discard_on", "reset"])
def test_one_broken_object_has_the_others_checked(how: str) -> None:
    """Although they were used a moment ago."""
    gone: list[Thing] = []
    checked: list[Thing] = []

    def check(thing: Thing) -> bool:
        checked.append(thing)
        return thing not in gone

    def reset(thing: Thing) -> None:
        if thing in gone:
            raise OSError("gone")

    pool = Pool(Thing, max_size=3, check=check, check_after=3600, reset=reset, discard_on=OSError)
    things = [pool.acquire() for _ in range(3)]
    for thing in things:
        pool.release(thing)
    with pool.lease():
        assert checked == []
    gone += things  # the server restarts
    time.sleep(A_WHILE)
    lease = pool.lease()
    if how == "discard_on":
        with pytest.raises(OSError, match="gone"), lease:
            raise OSError("gone")
    else:
        with lease as thing:
            if how == "discard":
                pool.discard(thing)
            elif how == "lease":
                lease.discard()
    assert pool.size == 2
    with pool.lease() as thing:
        assert thing not in gone
    assert len(checked) == 2
    with pool.lease():
        assert len(checked) == 2
