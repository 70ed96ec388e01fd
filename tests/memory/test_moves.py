"""Idle pages move to where they are wanted, by ``mremap``: idle memory of any size serves a large block."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bufpool
from bufpool import BufferPool
from tests.support.programs import environment

MIB = 1 << 20
PIECE = 2 * MIB


def kernel_moves() -> bool:
    """Whether this system has MREMAP_DONTUNMAP: Linux from 5.7 on."""
    if not sys.platform.startswith("linux"):
        return False
    mremap = ctypes.CDLL(None, use_errno=True).mremap
    mremap.restype = ctypes.c_void_p
    mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
    first, second = mmap.mmap(-1, mmap.PAGESIZE), mmap.mmap(-1, mmap.PAGESIZE)
    place = [ctypes.addressof(ctypes.c_char.from_buffer(each)) for each in (first, second)]
    return mremap(place[0], mmap.PAGESIZE, mmap.PAGESIZE, 1 | 2 | 4, place[1]) == place[1]


pytestmark = pytest.mark.skipif(not kernel_moves(), reason="needs MREMAP_DONTUNMAP, Linux 5.7")


@pytest.fixture(params=["thp", "plain"])
def pool(request: pytest.FixtureRequest) -> BufferPool:
    return BufferPool(upstream=request.param, max_idle=None)


def with_holes(pool: BufferPool, count: int = 4) -> list[np.ndarray]:
    """Arrays of 30 MiB with as much idle memory between them."""
    return [pool.full(30 * MIB, i, "u1") for i in range(2 * count)][1::2]


def test_idle_memory_of_other_sizes_serves_a_large_block(pool: BufferPool) -> None:
    kept = with_holes(pool)
    before = pool.stats()
    assert before.idle_bytes >= 4 * 30 * MIB
    large = pool.empty(100 * MIB, "u1")
    assert pool.stats().mapped_bytes <= before.mapped_bytes + 2 * PIECE
    large[:] = 7
    assert [int(each.min()) for each in kept] == [int(each.max()) for each in kept] == [1, 3, 5, 7]
    holes = [pool.zeros(30 * MIB, "u1") for _ in range(4)]
    assert not any(each.any() for each in holes)
    assert large.min() == large.max() == 7


def test_lazy_zeros_leave_idle_memory_where_it_is(pool: BufferPool) -> None:
    kept = with_holes(pool)
    before = pool.stats()
    zeros = pool.zeros(200 * MIB, "u1")
    # At most the rest of a huge page right before the zeros is theirs now.
    assert before.idle_bytes - 2 * MIB < pool.stats().idle_bytes <= before.idle_bytes
    assert not zeros[:: 1 << 12].any()
    assert len(kept) == 4


def test_locked_memory_stays_where_it_is() -> None:
    pool = BufferPool(mlock=True, max_idle=None)
    try:
        kept = with_holes(pool)
        before = pool.stats()
        large = pool.empty(100 * MIB, "u1")
    except bufpool.MemoryLockError:
        pytest.skip("this system locks no memory")
    assert pool.stats().mapped_bytes >= before.mapped_bytes + 99 * MIB
    assert len(kept) == 4
    assert large.size == 100 * MIB


def test_a_limit_is_kept(pool: BufferPool) -> None:
    del pool
    pool = BufferPool(limit=256 * MIB, max_idle=None)
    kept = with_holes(pool, 3)
    large = pool.ones(150 * MIB, "u1")
    assert pool.stats().mapped_bytes <= 256 * MIB * 1.05
    assert [int(each.max()) for each in kept] == [1, 3, 5]
    assert large.min() == 1


def test_pages_that_moved_leave_no_maps_behind(pool: BufferPool) -> None:
    def maps() -> int:
        with Path("/proc/self/maps").open() as file:
            return sum(1 for _ in file)

    rng = random.Random(1)
    live: list[np.ndarray] = []
    before = maps()
    most = 0
    for _ in range(300):
        live.append(pool.ones(rng.randrange(MIB, 40 * MIB), "u1"))
        if len(live) > 8:
            del live[rng.randrange(len(live))]
        most = max(most, maps())
    assert most > before + 10  # pages did move
    live.clear()
    pool.trim()
    assert maps() <= before + 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_of_a_fork_moves_its_own_pages(pool: BufferPool) -> None:
    kept = with_holes(pool)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            large = pool.full(100 * MIB, 9, "u1")
            right = [int(each.min()) for each in kept] == [1, 3, 5, 7] and large.min() == 9
            status = 0 if right else 1
        finally:
            os._exit(status)
    large = pool.full(110 * MIB, 8, "u1")
    assert os.waitpid(child, 0)[1] == 0
    assert [int(each.max()) for each in kept] == [1, 3, 5, 7]
    assert large.min() == 8


def test_under_a_limit_of_addresses_nothing_moves() -> None:
    """The system unmaps where pages are to go, and only then looks at such limits."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            """
import resource, bufpool
pool = bufpool.BufferPool(max_idle=None)
large = pool.ones(64 << 20, "u1")
wall = pool.ones(4 << 20, "u1")
del large
pool.trim()
kept = [pool.ones(4 << 20, "u1") for _ in range(8)][1::2]
for what in resource.RLIMIT_DATA, resource.RLIMIT_AS:
    resource.setrlimit(what, (512 << 20, resource.RLIM_INFINITY))
first = None
try:
    first = pool.ones(8 << 20, "u1")
except MemoryError:
    pass
for what in resource.RLIMIT_DATA, resource.RLIMIT_AS:
    resource.setrlimit(what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
before = pool.stats().mapped_bytes
second = pool.zeros(8 << 20, "u1")
assert not second.any()
assert pool.stats().mapped_bytes <= before + (4 << 20)  # now pages do move
assert first is None or first.min() == 1
assert all(each.min() == each.max() == 1 for each in kept)
print("fine")
""",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )
    assert done.stdout == "fine\n", done.stderr


def test_a_programs_advice_on_one_array_does_not_spread(pool: BufferPool) -> None:
    def not_inherited() -> int:
        """Bytes of this process that a child of a fork would not have."""
        found = size = 0
        for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Size:"):
                size = int(line.split()[1]) << 10
            elif line.startswith("VmFlags:") and " dc" in line:
                found += size
        return found

    dont_fork = 10
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    arrays = [pool.ones(30 * MIB, "u1") for _ in range(8)]
    start = -(-arrays[4].ctypes.data // PIECE) * PIECE
    before = not_inherited()
    assert madvise(start, PIECE, dont_fork) == 0
    del arrays[::2]
    large = pool.ones(100 * MIB, "u1")
    assert not_inherited() <= before + PIECE
    assert large.size == 100 * MIB
