"""`bufpool.pools`: what the pools of the process hold, those without a pool object too; with threads, after a fork."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import threading
import time

import pytest

import bufpool
from bufpool import BufferPool, PoolsReading, PoolStats
from tests.support.accounting import run_python

MIB = 1 << 20


def of(name: str) -> list[PoolStats]:
    return [each for each in bufpool.pools() if each.name == name]


def test_each_pool_is_what_its_own_stats_say() -> None:
    pools = [BufferPool(limit, name="each one") for limit in (None, 64 * MIB)]
    kept = [pool.empty(n, "u1") for pool in pools for n in (1000, 3 * MIB)]
    pools[0].empty(5 * MIB, "u1")
    assert of("each one") == [pool.stats() for pool in pools]  # the older one first
    del kept


def test_pools_are_in_order_of_creation() -> None:
    first = BufferPool(name="order, first")
    later = BufferPool(name="order, later")
    del first
    last = BufferPool(name="order, last")  # in the first one's arena
    names = [each.name for each in bufpool.pools() if each.name.startswith("order")]
    assert names == ["order, later", "order, last"]
    del later, last


def test_memory_of_arrays_whose_pool_is_gone_is_counted() -> None:
    before = bufpool.pools().reserved_bytes
    pool = BufferPool(name="gone")
    a, b = pool.empty(3 * MIB, "u1"), pool.buffer(5 * MIB)
    pool.empty(7 * MIB, "u1")
    del pool
    (left,) = of("gone")
    assert (left.state, left.in_use_bytes, left.idle_bytes) == ("deleted", 8 * MIB, 0)
    assert bufpool.pools().reserved_bytes == before + 8 * MIB
    assert "(deleted) 'gone'" in str(bufpool.pools())
    del a
    assert of("gone")[0].in_use_bytes == 5 * MIB
    del b
    assert of("gone") == []
    assert bufpool.pools().reserved_bytes == before


def test_an_empty_pool_is_listed_until_it_is_gone() -> None:
    pool = BufferPool(name="empty")
    assert [each.state for each in of("empty")] == ["open"]
    pool.close()
    assert [each.state for each in of("empty")] == ["closed"]
    assert "(closed) 'empty'" in str(bufpool.pools())
    del pool
    gc.collect()
    assert of("empty") == []


def test_a_pool_that_was_never_set_up_is_none() -> None:
    count = len(bufpool.pools())
    unready = BufferPool.__new__(BufferPool)
    with pytest.raises(bufpool.SettingError):
        BufferPool(limit=-1)
    with pytest.raises(bufpool.AlignmentError):
        BufferPool(alignment=3)
    assert len(bufpool.pools()) == count
    assert unready.closed


def test_totals_are_sums() -> None:
    pools = [BufferPool(name="sums") for _ in range(3)]
    kept = [pool.empty(3 * MIB, "u1") for pool in pools]
    pools[0].empty(5 * MIB, "u1")
    found = bufpool.pools()
    for name in ("in_use_bytes", "idle_bytes", "reserved_bytes"):
        assert getattr(found, name) == sum(getattr(each, name) for each in found) > 0
        assert found.as_dict()[name] == getattr(found, name)
    assert found.in_use_bytes + found.idle_bytes == found.reserved_bytes
    assert len(found.as_dict()["pools"]) == len(found)
    del kept


def test_the_table_has_a_line_for_each_and_a_total() -> None:
    assert run_python("""
        import bufpool
        a = bufpool.BufferPool(name="frames")
        b = bufpool.BufferPool(1 << 30, name="sockets")
        x, y = a.empty(3 << 20, "u1"), b.buffer(1 << 20)
        b.empty(2 << 20, "u1")
        del b
        print(bufpool.pools())
        print(repr(bufpool.pools()))
    """) == (
        "pool                   limit   in use  idle    total\n"
        "'frames'                none  3.0 MiB   0 B  3.0 MiB\n"
        "(deleted) 'sockets'  1.0 GiB  1.0 MiB   0 B  1.0 MiB\n"
        "2 pools                       4.0 MiB   0 B  4.0 MiB\n"
        "<PoolsReading: 2 pools, 4.0 MiB in use, 0 B idle>\n"
    )


def test_a_process_without_pools() -> None:
    assert run_python("import bufpool; print(bufpool.pools()); print(len(bufpool.pools()))") == (
        "pool     limit  in use  idle  total\n0 pools            0 B   0 B    0 B\n0\n"
    )


def test_a_snapshot_is_frozen_and_can_be_pickled() -> None:
    pool = BufferPool(name="snapshot")
    found = bufpool.pools()
    assert isinstance(found, PoolsReading)
    pool.empty(3 * MIB, "u1")
    assert next(each for each in found if each.name == "snapshot").idle_bytes == 0
    with pytest.raises(AttributeError):
        found.more = 1  # type: ignore[attr-defined]
    for again in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert type(again) is PoolsReading
        assert again == found
    assert PoolsReading() == ()


def test_a_reading_holds_no_pool() -> None:
    BufferPool(name="not held")
    found = bufpool.pools()
    assert of("not held") == []
    assert len(found) == len(bufpool.pools())


def test_read_while_threads_make_and_drop_pools() -> None:
    """Without the GIL too: names go with their pools, and no figure is out of its range."""
    wrong: list[object] = []
    done = threading.Event()

    def work(name: str, nbytes: int) -> None:
        while not done.is_set():
            pool = BufferPool(1 << 30, name=name)
            kept = pool.empty(nbytes, "u1")
            del pool
            del kept

    sizes = {f"threads, {i}": (i + 1) * MIB for i in range(4)}
    threads = [threading.Thread(target=work, args=each) for each in sizes.items()]
    for each in threads:
        each.start()
    seen: set[str] = set()
    until, rounds = time.monotonic() + 60, 0
    while (rounds < 300 or seen != set(sizes)) and time.monotonic() < until:
        rounds += 1
        for each in bufpool.pools():
            if each.name not in sizes:
                continue
            seen.add(each.name)
            if each.reserved_bytes not in (0, sizes[each.name]) or each.limit != 1 << 30:
                wrong.append(each)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert seen == set(sizes)
    assert [each for each in bufpool.pools() if each.name in sizes] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_the_child_of_a_fork_reads_its_own() -> None:
    """Also if other threads were reading, making and dropping pools at that moment."""
    out = run_python("""
        import os, signal, threading, warnings, bufpool
        warnings.simplefilter("ignore", DeprecationWarning)       # 3.12: fork in a program with threads
        pool = bufpool.BufferPool(name="parent's")
        kept = pool.empty(3 << 20, "u1")
        done = threading.Event()
        def work():
            while not done.is_set():
                bufpool.BufferPool(name="passing").empty(1 << 20, "u1")
                bufpool.pools()
        threads = [threading.Thread(target=work) for _ in range(2)]
        for each in threads:
            each.start()
        statuses = set()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(20)                                  # a lock that is shut would hold it for ever
                mine = bufpool.BufferPool(name="child's")
                more = mine.empty(5 << 20, "u1")
                found = {each.name: each.in_use_bytes for each in bufpool.pools() if each.name != "passing"}
                os._exit(found != {"parent's": 3 << 20, "child's": 5 << 20})
            statuses.add(os.waitpid(child, 0)[1])
        done.set()
        for each in threads:
            each.join()
        print(statuses, [each.name for each in bufpool.pools() if each.name == "child's"])
    """)
    assert out == "{0} []\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(
    "use",
    [
        "bufpool.default_pool()",
        "bufpool.BufferPool(name=f'pool {next(numbers)}').buffer(8)",
        "bufpool.BufferPool(limit='1 MiB', max_retained='1 KiB')",
    ],
    ids=["default pool", "names", "sizes as text"],
)
def test_the_child_of_a_fork_finds_no_lock_shut(use: str) -> None:
    """Without the GIL lookups in dictionaries and in Python's table of strings take locks."""
    out = run_python(f"""
        import itertools, os, signal, threading, time, warnings, bufpool
        warnings.simplefilter("ignore", DeprecationWarning)       # 3.12: fork in a program with threads
        numbers = itertools.count()
        def use():
            {use}
        use()
        done = threading.Event()
        def work():
            while not done.is_set():
                use()
        threads = [threading.Thread(target=work) for _ in range(2)]
        for each in threads:
            each.start()
        statuses = set()
        until = time.monotonic() + 4
        while time.monotonic() < until:
            child = os.fork()
            if child == 0:
                signal.alarm(20)                                  # a lock that is shut would hold it for ever
                use()
                os._exit(0)
            statuses.add(os.waitpid(child, 0)[1])
        done.set()
        for each in threads:
            each.join()
        print(statuses)
    """)
    assert out == "{0}\n"


def test_references_to_names_are_counted() -> None:
    out = run_python("""
        import sys, bufpool
        name = "".join(["count", "ed"])
        before = sys.getrefcount(name)
        pool = bufpool.BufferPool(name=name)
        made = sys.getrefcount(name)
        for _ in range(20):
            bufpool.pools()
        print(sys.getrefcount(name) - made)
        del pool
        bufpool.BufferPool(name="next")          # reuses the memory behind it
        print(sys.getrefcount(name) - before)
    """)
    assert out == "0\n0\n"


def test_threads_read_pools_that_others_make() -> None:
    """Without the GIL a name was used after another thread had freed it."""
    out = run_python("""
        import threading, time, bufpool
        until = time.monotonic() + 4
        def work():
            while time.monotonic() < until:
                bufpool.BufferPool(name="passing").empty(1 << 20, "u1")
                bufpool.pools()
        bufpool.pools()
        threads = [threading.Thread(target=work) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        print({each.name for each in bufpool.pools()} <= {"passing"})
    """)
    assert out == "True\n"
