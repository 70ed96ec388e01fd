"""``upstream="malloc"``: the C library serves each large block and gets it back, for tools that watch it."""

from __future__ import annotations

import ctypes
import gc
import sys

import numpy as np
import pytest

import bufpool
from bufpool import BufferPool, LimitError
from tests.support.programs import Programs
from tests.support.threads import in_threads

MIB = 1 << 20


class Mallinfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated() -> int:
    """Bytes that this process has from glibc's malloc."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo
    info = mallinfo2()
    return int(info.hblkhd + info.uordblks)


needs_glibc = pytest.mark.skipif(
    not (sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallinfo2")),
    reason="needs glibc 2.33",
)


@pytest.fixture
def pool() -> BufferPool:
    return BufferPool(upstream="malloc")


@needs_glibc
@pytest.mark.parametrize("nbytes", [100_000, 200_000, 3 * MIB, 30 * MIB])
def test_malloc_holds_large_blocks_until_release(pool: BufferPool, nbytes: int) -> None:
    total = 20 * nbytes
    for _ in range(4):  # so often that a pool that recycles would have given the class a list
        before = allocated()
        arrays = [pool.empty(nbytes, "u1") for _ in range(20)]
        during = allocated()
        del arrays
        assert total <= during - before < total * 5 // 3  # whole pieces of 64 KiB
        assert allocated() - before < total // 20
    assert pool.stats().reserved_bytes == 0


def test_nothing_large_is_recycled(pool: BufferPool) -> None:
    for _ in range(40):
        pool.empty(MIB, "u1")
    stats = pool.stats()
    assert (stats.hits, stats.misses, stats.idle_bytes) == (0, 40, 0)


def test_zeros_are_zeros_where_malloc_gives_used_memory(pool: BufferPool) -> None:
    for nbytes in (1000, 100_000, MIB, 130 * MIB):
        for _ in range(3):
            array = pool.zeros(nbytes, "u1")
            assert not array.any()
            array[:] = 1
            del array


def test_arrays_grow_and_shrink(pool: BufferPool) -> None:
    with pool:
        array = np.arange(100_000)
        array.resize(400_000, refcheck=False)
        assert array[99_999] == 99_999
        assert not array[100_000:].any()
        array.resize(20_000, refcheck=False)
        assert array.sum() == sum(range(20_000))


def test_alignment_holds(pool: BufferPool) -> None:
    for alignment in (64, 4096, 2 * MIB):
        assert pool.empty(MIB, "u1", alignment=alignment).ctypes.data % alignment == 0


@pytest.mark.parametrize("nbytes", [70_000, MIB])
def test_a_limit_counts_blocks(nbytes: int) -> None:
    fit = 8 * MIB // bufpool.good_size(nbytes)
    pool = BufferPool(8 * MIB, upstream="malloc")
    arrays = [pool.ones(nbytes, "u1") for _ in range(fit)]
    with pytest.raises(LimitError):
        pool.empty(nbytes, "u1")
    arrays.pop()
    pool.empty(nbytes, "u1")


@pytest.mark.parametrize("setting", ["mlock", "prefault", "wipe"])
def test_other_settings_go_with_it(setting: str) -> None:
    pool = BufferPool(upstream="malloc", **{setting: True})
    for _ in range(3):
        try:
            array = pool.ones(100_000, "u1")
        except bufpool.MemoryLockError:
            pytest.skip("this system locks no memory")
        assert array.sum() == 100_000
        del array
    assert pool.stats().in_use_bytes == 0


def test_blocks_outlive_the_pool(pool: BufferPool) -> None:
    array = pool.ones(MIB, "u1")
    del pool
    gc.collect()
    assert array.sum() == MIB


def test_arenas_are_used_again_by_pools_of_another_upstream() -> None:
    for number in range(200):
        pool = BufferPool(upstream=("malloc", "thp")[number % 2])
        large, small = pool.ones(MIB, "u1"), pool.ones(1000, "u1")
        assert large.sum() == MIB
        assert small.sum() == 1000
        del pool, large, small


def test_threads_share_it(pool: BufferPool) -> None:
    wrong: list[int] = []

    def work(mine: int) -> None:
        for size in range(70_000, 370_000, 1000):
            array = pool.full(size, mine, "u1")
            if (array != mine).any():
                wrong.append(size)

    in_threads(work, range(4))
    assert not wrong
    pool.trim()
    assert pool.stats().reserved_bytes == 0


@needs_glibc
def test_the_environment_sets_it_for_a_program_as_it_is(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUFPOOL_CONF", "upstream=malloc")
    script = programs.write(
        "script.py",
        """
        import ctypes
        import numpy as np

        mallinfo = ctypes.CDLL(None).mallinfo2
        mallinfo.restype = type("info", (ctypes.Structure,), {"_fields_": [(n, ctypes.c_size_t) for n in "abcdefghij"]})
        mapped = lambda: mallinfo().e + mallinfo().h
        before = mapped()
        kept = np.ones(16 << 20, "u1")
        print(mapped() - before >> 20)
        """,
    )
    done = programs.run(script)
    assert done.stdout == "16\n", done.stderr
