"""Objects whose own methods are hostile: a pool knows an object by its identity, and asks it nothing."""

from __future__ import annotations

from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import DoubleReleaseError, ForeignReleaseError
from tests.support.clients import balanced, usable


class HostileError(Exception):
    """What a method raises that nobody should call."""


def refuse(*_: object) -> Any:
    raise HostileError


NAMES = (
    "__eq__",
    "__hash__",
    "__bool__",
    "__len__",
    "__iter__",
    "__del__",
    "__call__",
    "__await__",
    "__enter__",
)


def with_methods(*names: str, base: type = object) -> type:
    return type("Hostile", (base,), dict.fromkeys(names, refuse))


class EqualToAll:
    """The same as everything, as far as it says."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7


class NoAttributes:
    """Nothing can be asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise HostileError(name)


class LiesAboutItself:
    """Its class is not what it says."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return int


class Slotted:
    """No dictionary, no weak references."""

    __slots__ = ()


KINDS = {
    "list": list,
    "dict": dict,
    "set": set,
    "bytearray": bytearray,
    "equal to all": EqualToAll,
    "no attributes": NoAttributes,
    "lies": LiesAboutItself,
    "slotted": Slotted,
    "hostile list": with_methods("__eq__", "__len__", "__iter__", "__bool__", base=list),
    "a hostile repr": with_methods("__repr__", "__str__"),
    **{f"a hostile {name}": with_methods(name) for name in NAMES if name != "__del__"},
}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.replace(" ", "-"))
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def test_any_object_can_be_pooled(kind: Any) -> None:
    """By leases, by hand, discarded, drained."""
    closed: list[Any] = []
    pool = Pool(kind, max_size=4, close=closed.append, check=lambda thing: None, reset=lambda thing: None)
    with pool.lease() as a:
        b = pool.acquire()
        assert a is not b
        pool.release(b)
    c = pool.acquire()
    pool.discard(c)
    assert len(closed) == 1
    assert closed[0] is c
    assert usable(pool)
    pool.drain()
    pool.close()
    assert pool.size == 0


def test_errors_name_any_object(kind: Any) -> None:
    """Whatever its `repr` does, a release too many is the error that it is."""
    pool = Pool(kind, name="any")
    thing = pool.acquire()
    pool.release(thing)
    with pytest.raises(DoubleReleaseError, match="'any' has this object back already: .* at 0x"):
        pool.release(thing)
    with pytest.raises(ForeignReleaseError, match="'any' has no such object: .* at 0x"):
        pool.release(kind())
    with pool.lease() as thing:
        with pytest.raises(DoubleReleaseError, match="a lease has this object"):
            pool.release(thing)
        assert pool.leases()[0].object is thing
    assert balanced(pool)


def test_the_repr_of_a_lease_shows_any_object(kind: Any) -> None:
    lease = Pool(kind, name="any").lease()
    with lease:
        assert "any" in repr(lease)


def test_an_object_may_change_while_it_is_out() -> None:
    """Contents, hash, equality and class."""

    class Other:
        pass

    class Changing:
        hashed = 1

        def __hash__(self) -> int:
            return self.hashed

        def __eq__(self, other: object) -> bool:
            return self.hashed == other

    pool = Pool(Changing)
    with pool.lease() as thing:
        thing.hashed = 99
        thing.__class__ = Other
    assert pool.acquire() is thing
    pool.release(thing)
    assert usable(pool)


def test_equal_objects_are_told_apart() -> None:
    """A hundred that are all equal, returned in another order, some discarded."""
    pool = Pool(EqualToAll, max_size=100)
    things = [pool.acquire() for _ in range(100)]
    for thing in things[::2]:
        pool.release(thing)
    for thing in things[1::2]:
        pool.discard(thing)
    assert pool.size == pool.idle == 50
    kept = {id(thing) for thing in things[::2]}
    again = [pool.acquire() for _ in range(50)]
    assert {id(thing) for thing in again} == kept
    for thing in again:
        pool.release(thing)
    assert usable(pool)


def test_a_cycle_of_object_and_pool_is_collected() -> None:
    import gc
    import weakref

    class Connection:
        pool: Any = None

    def make() -> Connection:
        connection = Connection()
        connection.pool = pools[0]
        gone.append(weakref.ref(connection))
        return connection

    gone: list[weakref.ref[Any]] = []
    pools = [Pool(make)]
    with pools[0].lease(), pools[0].lease():
        pass
    gone.append(weakref.ref(pools.pop()))
    del make
    gc.collect()
    assert [each() for each in gone] == [None] * 3
