"""Memory is bounded and given back: limit, max_retained, ageing, trim, prewarm, and waiting at the limit."""

from __future__ import annotations

import gc
import mmap
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bufpool
from tests.support.accounting import all_back, conserved, run_python

MIB = 1 << 20


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc"
)


def pages_kept(statement: str, *, warm_up: int, times: int) -> int:
    """Pages by which a fresh process with a `pool` grows while it runs `statement` so often, after a warm-up."""
    return int(
        run_python(f"""
            import gc, threading, bufpool
            from pathlib import Path
            def resident():
                gc.collect()
                return int(Path("/proc/self/statm").read_text().split()[1])
            pool = bufpool.BufferPool()
            def turn(n):
                for _ in range(n):
                    {statement}
            turn({warm_up})
            before = resident()
            turn({times})
            print(resident() - before)
        """)
    )


# --- size classes ---


def test_classes_waste_at_most_an_eighth() -> None:
    generator = random.Random(20)
    for _ in range(20_000):
        nbytes = int(2 ** generator.uniform(10, 30))
        block = bufpool.good_size(nbytes)
        assert nbytes <= block <= nbytes * 1.125
        assert block % 64 == 0
        assert bufpool.good_size(block) == block


@pytest.mark.parametrize("nbytes", [0, 1, 64, 65, 512, 513, 1024, 1025, (1 << 46) - 1, 1 << 46])
def test_classes_at_their_edges(nbytes: int) -> None:
    block = bufpool.good_size(nbytes)
    assert nbytes <= block
    assert bufpool.good_size(block) == block
    step = max(64, 1 << (max(block - 1, 1).bit_length() - 4))
    assert block == 64 or bufpool.good_size(block - step) == block - step


# --- giving back ---


def test_a_burst_leaves_no_more_than_max_retained() -> None:
    pool = bufpool.BufferPool(max_retained=16 * MIB)
    burst = [pool.empty(4 * MIB, "u1") for _ in range(32)]
    del burst
    stats = conserved(pool)
    assert stats.idle_bytes <= 16 * MIB
    assert stats.drops["over_max_retained"] >= 28


def test_after_a_burst_max_retained_is_kept() -> None:
    pool = bufpool.BufferPool(max_retained=4 * MIB)
    burst = [pool.empty(20_000, "u1") for _ in range(2000)]
    del burst
    assert conserved(pool).idle_bytes <= 4 * MIB * 1.05


def test_a_set_above_max_retained_is_not_mapped_again() -> None:
    pool = bufpool.BufferPool(max_retained=16 * MIB)
    count = (16 * MIB + MIB // 4) // (16 << 10)
    for _ in range(20):
        arrays = [pool.empty(16 << 10, "u1") for _ in range(count)]
        del arrays
    stats = conserved(pool)
    assert stats.misses == count
    assert sum(stats.drops.values()) == 0


@pytest.mark.parametrize("nbytes", [1 << 10, 16 << 10])
def test_survivors_keep_no_more_than_max_retained(nbytes: int) -> None:
    """The pages between survivors are purged; only pages that hold a part of a survivor stay."""
    pool = bufpool.BufferPool(max_retained=MIB)
    arrays = [pool.empty(nbytes, "u1") for _ in range((16 * MIB) // nbytes)]
    for number, array in enumerate(arrays):
        array[:] = number % 251
    kept = arrays[::50]
    del arrays, array
    assert conserved(pool).idle_bytes <= MIB * 1.07
    more = [pool.empty(nbytes, "u1") for _ in range(2000)]  # some on pages that went
    for array in more:
        array[:] = 255
    assert [int(each[0]) for each in kept] == [number * 50 % 251 for number in range(len(kept))]
    assert all((each == each[0]).all() for each in kept)
    assert conserved(pool).in_use_bytes == nbytes * (len(kept) + len(more))
    del kept, more, array
    assert all_back(pool)


def test_explicit_huge_pages_go_back_as_wholes() -> None:
    pool = bufpool.BufferPool(upstream="hugetlb", max_retained=3 * MIB)
    blocks = [pool.empty(16 * MIB, "u1") for _ in range(4)]
    del blocks
    assert conserved(pool).idle_bytes in (0, 2 * MIB)
    assert pool.trim(MIB) >= 0
    assert pool.stats().idle_bytes <= MIB


@needs_proc
def test_an_advised_huge_page_keeps_the_limit() -> None:
    """One page fault would make 2 MiB resident for a block of 128 KiB."""
    kib = run_python("""
        import bufpool
        from pathlib import Path
        def resident():
            return int(Path("/proc/self/smaps_rollup").read_text().split("Rss:")[1].split()[0])
        MIB = 1 << 20
        pool = bufpool.BufferPool(256 * MIB)
        before = resident()
        large = pool.full(240 * MIB, 1, "u1")
        del large
        pool.trim()
        small, apart = [], []
        for _ in range(120):
            small.append(pool.empty(128 << 10, "u1"))
            apart.append(pool.empty(15 << 17, "u1"))
        del apart
        pool.trim()
        for each in small:
            each[:] = 1
        print(resident() - before)
    """)
    assert int(kib) < 32 << 10


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on addresses is Linux's")
def test_a_process_with_few_addresses_left_is_served() -> None:
    assert (
        run_python("""
        import resource
        from bufpool import BufferPool
        from pathlib import Path
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        pool = BufferPool()
        resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20), resource.getrlimit(resource.RLIMIT_AS)[1]))
        print(pool.ones(4 << 20, "u1").nbytes)
    """)
        == "4194304\n"
    )


def test_varying_sizes_hold_little_more_than_is_alive() -> None:
    """Nothing is purged: idle memory of one size serves requests of other sizes."""
    pool = bufpool.BufferPool(max_idle=None)
    generator = random.Random(7)
    alive: list[Any] = []
    held = most = 0
    for _ in range(20_000):
        nbytes = int(2 ** generator.uniform(12, 23))
        while held + nbytes > 32 * MIB:
            alive[generator.randrange(len(alive))], gone = alive[-1], alive.pop()
            held = sum(each.nbytes for each in alive)
            del gone
        alive.append(pool.empty(nbytes, "u1"))
        held += nbytes
        most = max(most, held)
    stats = conserved(pool)
    assert stats.reserved_bytes < 3.5 * most
    assert stats.misses < 0.05 * (stats.hits + stats.misses)


def test_a_steady_loop_commits_no_new_memory() -> None:
    pool = bufpool.BufferPool()

    def turns(count: int) -> None:
        for _ in range(count):
            frame = pool.empty(6 * MIB, "u1")
            half, mask = pool.empty(3 * MIB, "u1"), pool.empty(700_000, "u1")
            result = pool.empty(6 * MIB, "u1")
            del frame, half, mask, result

    turns(20)
    assert (
        sum(each.idle for each in pool.stats().classes) == 4
    )  # each size is kept where it is found without a lock
    before = conserved(pool)
    turns(200)
    did = conserved(pool) - before
    assert (did.misses, did.reserved_bytes, sum(did.drops.values())) == (0, 0, 0)


def test_nothing_retained() -> None:
    pool = bufpool.BufferPool(max_retained=0)
    for nbytes in (100, 100_000, 10 * MIB):
        a = pool.empty(nbytes, "u1")
        del a
    pool.trim()
    assert conserved(pool).reserved_bytes == 0


def test_what_was_not_needed_ages_out_down_to_a_floor() -> None:
    pool = bufpool.BufferPool(max_idle=0.04)
    burst = [pool.empty(4 * MIB, "u1") for _ in range(12)]
    del burst
    until = time.monotonic() + 20
    while pool.stats().idle_bytes > 16 * MIB and time.monotonic() < until:
        time.sleep(0.01)
        a = pool.empty(4 * MIB, "u1")
        del a
    for _ in range(10):  # five more windows: the floor stays
        time.sleep(0.01)
        a = pool.empty(4 * MIB, "u1")
        del a
    stats = conserved(pool)
    assert 15 * MIB < stats.idle_bytes <= 16 * MIB
    # The burst's last blocks were made in whole huge pages, and the part of these that no block had was idle, too.
    assert stats.dropped_bytes["aged_out"] == pytest.approx(33 * MIB, abs=2 * MIB)


def test_nothing_below_the_floor_ages_out() -> None:
    pool = bufpool.BufferPool(max_idle=0.03)
    two = [pool.empty(4 * MIB, "u1") for _ in range(2)]
    del two
    for _ in range(8):
        time.sleep(0.02)
        a = pool.empty(2 * MIB, "u1")  # its return looks at the clock
        del a
    stats = conserved(pool)
    assert stats.drops["aged_out"] == 0
    assert stats.idle_bytes >= 8 * MIB


@pytest.mark.parametrize("nbytes", [32 << 10, 8 * MIB])
def test_what_is_needed_does_not_age_out(nbytes: int) -> None:
    """The memory is idle whenever ages are checked, but was in use within each window."""
    pool = bufpool.BufferPool(1 << 30, max_idle=0.06)
    for _ in range(12):
        some = [pool.empty(nbytes, "u1") for _ in range(32 * MIB // nbytes)]
        del some
        time.sleep(0.02)
        a = pool.empty(2 * MIB, "u1")  # another size: its return looks at the clock
        del a
    assert pool.stats().drops["aged_out"] == 0


def test_trim_gives_back_at_once_and_keeps_what_it_is_told() -> None:
    pool = bufpool.BufferPool()
    arrays = [pool.empty(3 * MIB, "u1") for _ in range(4)] + [pool.empty(500, "u1") for _ in range(100)]
    alive = arrays[0]
    alive[:] = 7
    del arrays
    assert pool.trim(keep=6 * MIB) > 0
    assert conserved(pool).idle_bytes <= 6 * MIB
    pool.trim()
    stats = conserved(pool)
    assert (stats.reserved_bytes, stats.in_use_bytes) == (3 * MIB, 3 * MIB)
    assert (alive == 7).all()


@needs_proc
def test_recreated_blocks_leave_no_records_behind() -> None:
    """A block's own records (a slab and a node) serve again; new ones each time would be a thousand pages."""
    assert pages_kept('pool.empty(3 << 20, "u1"); pool.trim()', warm_up=1000, times=30_000) < 256


def test_prewarm_makes_the_next_checkouts_hits() -> None:
    pool = bufpool.BufferPool()
    pool.prewarm(5, (1024, 1024), "f4")
    before = pool.stats()
    assert before.in_use_bytes == 0
    assert 20 * MIB <= before.idle_bytes <= 20 * MIB + 5 * mmap.PAGESIZE
    arrays = [pool.empty((1024, 1024), "f4") for _ in range(5)]
    did = pool.stats() - before
    assert (did.hits, did.misses) == (5, 0)
    del arrays


@needs_proc
def test_prewarmed_memory_is_resident() -> None:
    """All of it, so that no array of those that were asked for causes a page fault."""
    pages = pages_kept('pool.prewarm(16, 4 * 1024 * 1024, "u1")', warm_up=0, times=1)
    assert pages * mmap.PAGESIZE > 15 * 4 * MIB


@pytest.mark.parametrize("upstream", ["plain", "thp", "hugetlb", "malloc"])
@pytest.mark.parametrize("prefault", [False, True])
def test_every_upstream_gives_usable_memory(upstream: str, prefault: bool) -> None:
    """Explicit huge pages are rarely available; then ordinary pages serve, and the stats count that."""
    pool = bufpool.BufferPool(upstream=upstream, prefault=prefault)
    a = pool.zeros(5 * MIB, "u1")
    assert not a.any()
    assert pool.stats().degraded in ((0, 1) if upstream == "hugetlb" else (0,))


def test_locked_memory_or_a_named_error() -> None:
    pool = bufpool.BufferPool(mlock=True, name="locked")
    refusal = ""
    try:
        pool.zeros(1 << 36, "u1")
    except bufpool.MemoryLockError as error:
        refusal = str(error)
    except bufpool.OutOfMemoryError:
        pass
    assert not refusal or "'locked'" in refusal
    assert conserved(pool).in_use_bytes == 0


def test_trimming_under_threads_loses_nothing() -> None:
    pool = bufpool.BufferPool(max_idle=0.002)
    stop = threading.Event()

    def churn(seed: int) -> None:
        generator = random.Random(seed)
        held: list[np.ndarray[Any, Any]] = []
        while not stop.is_set():
            if held and generator.random() < 0.5:
                a = held.pop(generator.randrange(len(held)))
                assert (a[:: max(1, a.size // 7)] == a.size % 251).all()
            else:
                a = pool.empty(int(2 ** generator.uniform(4, 22)), "u1")
                a[:: max(1, a.size // 7)] = a.size % 251
                held.append(a)

    threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        pool.trim(keep=random.randrange(8 * MIB))
        pool.stats()
    stop.set()
    for each in threads:
        each.join()
    gc.collect()
    assert conserved(pool).in_use_bytes == 0
    pool.trim()
    assert conserved(pool).reserved_bytes == 0


# --- at the edges of the bounds ---


def test_in_a_closed_pool_an_array_keeps_no_siblings() -> None:
    pool = bufpool.BufferPool()
    arrays = [pool.empty(MIB, "u1") for _ in range(100)]
    pool.close()
    del arrays[1:]
    assert pool.stats().idle_bytes < 20 * MIB
    del arrays
    assert conserved(pool).reserved_bytes == 0


def test_an_earlier_phase_leaves_room_for_the_next() -> None:
    pool = bufpool.BufferPool(max_retained=64 * MIB, max_idle=0.04)
    earlier = [pool.empty(8 * MIB, "u1") for _ in range(8)]
    del earlier
    until = time.monotonic() + 20
    while time.monotonic() < until:
        before = pool.stats()
        for _ in range(50):
            pool.empty(16 * MIB, "u1")
        if (pool.stats() - before).misses == 0:
            break
        time.sleep(0.01)
    assert (pool.stats() - before).hits == 50


def test_a_new_pool_does_not_pay_for_old_ones() -> None:
    """Creating a pool does not search the memory that abandoned pools have in use."""
    kept = [bufpool.BufferPool().empty(10) for _ in range(300)]
    assert all(a.size == 10 for a in kept)


def test_foreign_memory_is_not_owned() -> None:
    pool = bufpool.BufferPool()
    ours = [pool.empty(size, "u1") for size in (3 * MIB + 5, 70_000, 100)]
    foreign = [mmap.mmap(-1, 4096) for _ in range(200)]
    assert not any(pool.owns(np.frombuffer(each, "u1")) for each in foreign)
    assert all(pool.owns(each) for each in ours)


def test_a_closed_pools_memory_skips_the_thread_cache() -> None:
    """The thread cache keeps small blocks of an open pool, and none of a closed pool."""
    pool = bufpool.BufferPool()
    arrays = [pool.empty(1000, "u1") for _ in range(3)]
    pool.close()
    del arrays
    assert conserved(pool).reserved_bytes == 0


@needs_proc
def test_a_thread_that_ends_leaves_its_cache_to_the_next() -> None:
    """A cache for each thread would be several pages each."""
    turn = 'thread = threading.Thread(target=pool.empty, args=(100, "u1")); thread.start(); thread.join()'
    assert pages_kept(turn, warm_up=50, times=600) < 600


def test_memory_given_back_is_no_longer_the_pools_own() -> None:
    """The system gives the same addresses to others."""
    pool = bufpool.BufferPool()
    mine = [pool.empty(8 * MIB, "u1") for _ in range(8)]
    addresses = [(a.ctypes.data, a.ctypes.data + a.nbytes) for a in mine]
    del mine
    pool.trim()
    others = [np.empty(5 * MIB, "u1") for _ in range(20)]
    starts = [a.ctypes.data for a in others]
    assert not any(pool.owns(a) for a in others)
    if not any(low <= start < high for start in starts for low, high in addresses):
        pytest.skip("the system gave other addresses")
