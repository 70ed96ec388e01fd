"""A lease, and its end: an object goes to one client, comes back once, and every other try is an error with a name."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from collections.abc import Iterator

import pytest

import bufpool
from bufpool import Pool
from bufpool.errors import DoubleReleaseError, ForeignReleaseError, ReleasedError
from tests.support.accounting import run_python
from tests.support.clients import Client, Maker, Thing, balanced, usable


@pytest.fixture
def pool(maker: Maker) -> Iterator[Pool[Thing]]:
    pool = Pool(maker, max_size=3, close=maker.close, name="things")
    yield pool
    assert usable(pool)
    assert pool.size == len(maker.alive)
    pool.close()
    assert maker.alive == []


def test_an_object_goes_out_and_comes_back_to_go_out_again(pool: Pool[Thing], maker: Maker) -> None:
    for _ in range(5):
        with pool.lease() as thing:
            assert balanced(pool, out=1)
        x = pool.acquire()
        assert x is thing
        pool.release(x)
    assert maker.made == [thing]


def test_two_clients_never_have_the_same(pool: Pool[Thing]) -> None:
    with pool.lease() as a, pool.lease() as b:
        c = pool.acquire()
        assert len({a, b, c}) == 3
        assert pool.try_acquire() is None
        pool.release(c)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), GeneratorExit(), SystemExit(3)])
def test_an_exception_in_the_block_returns_the_object(pool: Pool[Thing], error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, pool.lease():
        raise error
    assert caught.value is error
    assert pool.idle == pool.size == 1


@pytest.mark.parametrize("kinds", [OSError, (KeyError, OSError)])
def test_an_exception_of_discard_on_discards_the_object(maker: Maker, kinds) -> None:
    """`discard_on`, subclasses too, and nothing else."""
    pool = Pool(maker, close=maker.close, discard_on=kinds)
    with pytest.raises(ValueError, match="mine"), pool.lease():
        raise ValueError("mine")
    assert maker.closed == []
    with pytest.raises(BrokenPipeError), pool.lease() as thing:
        raise BrokenPipeError
    assert maker.closed == [thing]
    assert pool.stats().discards["discarded"] == 1
    assert usable(pool)


def test_a_generator_that_is_closed_ends_its_lease(pool: Pool[Thing]) -> None:
    """Closed, thrown into, or dropped."""

    def steps() -> Iterator[Thing]:
        with pool.lease() as thing:
            yield thing
            yield thing

    first, second, third = steps(), steps(), steps()
    assert len({next(first), next(second), next(third)}) == 3
    first.close()
    assert balanced(pool, out=2)
    with pytest.raises(KeyError):
        second.throw(KeyError())
    assert balanced(pool, out=1)
    del third
    gc.collect()
    assert balanced(pool)


# --- an end too many ---


def test_a_second_release_is_an_error(pool: Pool[Thing]) -> None:
    thing = pool.acquire()
    pool.release(thing)
    for again in (pool.release, pool.discard):
        with pytest.raises(DoubleReleaseError, match=r"'things' has this object back already: Thing\(0\)"):
            again(thing)
    assert pool.idle == 1


def test_a_discarded_object_is_foreign(pool: Pool[Thing], maker: Maker) -> None:
    thing = pool.acquire()
    pool.discard(thing)
    assert maker.closed == [thing]
    for again in (pool.release, pool.discard):
        with pytest.raises(ForeignReleaseError, match=r"'things' has no such object: Thing\(0\)"):
            again(thing)
    assert pool.size == 0


@pytest.mark.parametrize("how", ["release", "discard"])
def test_a_lease_ended_in_its_block_is_over(pool: Pool[Thing], maker: Maker, how: str) -> None:
    """The lease has no object then, a second end is an error, and the end of the block does nothing."""
    with pool.lease() as thing:
        pass
    with pool.lease() as thing:
        pass
    lease = pool.lease()
    with lease:
        assert lease.object is thing
        assert not lease.released
        getattr(lease, how)()
        assert lease.released
        for again in (lease.release, lease.discard, lambda: lease.object):
            with pytest.raises(ReleasedError, match="PoolLease of pool 'things': over"):
                again()
    assert lease.released
    assert maker.closed == ([thing] if how == "discard" else [])


def test_what_a_lease_has_is_not_released_behind_its_back(pool: Pool[Thing]) -> None:
    """Only its end returns it."""
    with pool.lease() as thing:
        with pytest.raises(DoubleReleaseError, match="'things': a lease has this object"):
            pool.release(thing)
        assert balanced(pool, out=1)


def test_an_object_may_be_discarded_behind_a_leases_back(pool: Pool[Thing], maker: Maker) -> None:
    lease = pool.lease()
    with lease as thing:
        pool.discard(thing)
        assert lease.released
        assert maker.closed == [thing]
        with pytest.raises(ReleasedError):
            lease.release()
        with pytest.raises(ForeignReleaseError):
            pool.discard(thing)
    assert balanced(pool)


def test_a_stale_release_leaves_the_next_client_alone(pool: Pool[Thing]) -> None:
    """Of a lease, and of a client whose former object a lease has now."""
    stale = pool.lease()
    with stale as thing:
        stale.release()
        again = pool.acquire()
        assert again is thing
        with pytest.raises(ReleasedError):
            stale.release()
        with pytest.raises(ReleasedError):
            stale.discard()
    assert balanced(pool, out=1)
    pool.release(again)
    with pool.lease() as third:
        assert third is thing
        with pytest.raises(DoubleReleaseError):
            pool.release(again)
        assert balanced(pool, out=1)


def test_of_two_releases_at_once_one_is_an_error(pool: Pool[Thing]) -> None:
    barrier = threading.Barrier(2)

    def release(thing: Thing) -> str:
        barrier.wait()
        try:
            pool.release(thing)
        except DoubleReleaseError:
            return "double"
        return "released"

    for _ in range(100):
        thing = pool.acquire()
        both = [Client(release, thing), Client(release, thing)]
        assert sorted(each.result() for each in both) == ["double", "released"]
        assert balanced(pool)


def test_a_lease_ended_by_several_threads_ends_once(pool: Pool[Thing]) -> None:
    barrier = threading.Barrier(2)

    def release(lease: bufpool.objects.native._lease.PoolLease) -> str:
        barrier.wait()
        try:
            lease.release()
        except ReleasedError:
            return "over"
        return "released"

    for _ in range(100):
        lease = pool.lease()
        with lease:
            both = [Client(release, lease), Client(release, lease)]
            assert sorted(each.result() for each in both) == ["over", "released"]
        assert balanced(pool)


def test_what_is_not_the_pools_is_foreign(pool: Pool[Thing]) -> None:
    """Another pool's, one equal to ours, None, a lease, the pool."""
    other = Pool(Thing, name="other")
    thing = other.acquire()
    with pool.lease() as mine:
        lease = pool.lease()
        for what in (thing, copy.copy(mine), None, 0, "things", lease, pool, Thing):
            for end in (pool.release, pool.discard):
                with pytest.raises(ForeignReleaseError, match="pool 'things' has no such object"):
                    end(what)
        assert balanced(pool, out=1)
    other.release(thing)
    assert usable(other)


def test_an_object_may_come_back_from_another_thread(pool: Pool[Thing]) -> None:
    thing = pool.acquire()
    Client(pool.release, thing).result()
    lease = pool.lease()
    Client(lease.__enter__).result()
    assert lease.object is thing
    Client(lease.__exit__, None, None, None).result()
    assert balanced(pool)


# --- leases ---


def test_a_lease_serves_one_block(pool: Pool[Thing]) -> None:
    lease = pool.lease()
    with pytest.raises(ReleasedError, match="not entered"):
        lease.release()
    with pytest.raises(ReleasedError, match="not entered"):
        _ = lease.object
    assert not lease.released
    with lease:
        assert "Thing(0)" in repr(lease)
        with pytest.raises(ReleasedError, match="one 'with' block"):
            lease.__enter__()
    with pytest.raises(ReleasedError, match="one 'with' block"):
        lease.__enter__()
    assert lease.__exit__(None, None, None) is False
    assert balanced(pool)


def test_a_lease_is_made_by_its_pool_alone(pool: Pool[Thing]) -> None:
    lease = pool.lease()
    kind = type(lease)
    with lease:
        for make in (
            kind,
            lambda: copy.copy(lease),
            lambda: copy.deepcopy(lease),
            lambda: pickle.dumps(lease),
        ):
            with pytest.raises(TypeError):
                make()
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle or copy pool 'things'"):
            make(pool)
    empty = kind.__new__(kind)
    assert "no pool" in repr(empty)
    for use in (empty.__enter__, empty.release, empty.discard, lambda: empty.object):
        with pytest.raises(ReleasedError):
            use()
    assert empty.__exit__(None, None, None) is False


def test_a_pool_that_was_never_set_up_says_so() -> None:
    """A subclass that forgets its base."""
    out = run_python("""
        from bufpool import Pool
        class Mine(Pool):
            def __init__(self):
                pass
        for pool in (Mine(), Pool.__new__(Pool)):
            for use in ("acquire", "try_acquire", "lease", "stats", "close", "drain", "leases", "maintain", "wait"):
                try:
                    thing = getattr(pool, use)()
                    if use == "lease":
                        thing.__enter__()
                except Exception as error:
                    pass
                else:
                    print(use, "works")
            for use in ("release", "discard"):
                try:
                    getattr(pool, use)(1)
                except Exception:
                    pass
                else:
                    print(use, "works")
        print("alive")
    """)
    assert out == "alive\n"
