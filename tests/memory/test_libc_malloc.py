"""glibc's thresholds rise when a pool is installed, once, and only if nobody else has set them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")

# Whether glibc maps a block of 20 MiB by itself, and so returns it to the system each time it is freed.
LIBRARY = """
    import ctypes
    import bufpool

    c = ctypes.CDLL(None)
    c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
    MIB = 1 << 20

    info, number = (c.mallinfo2, ctypes.c_size_t) if hasattr(c, "mallinfo2") else (c.mallinfo, ctypes.c_int)
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

    class Info(ctypes.Structure):
        _fields_ = [(name, number) for name in names.split()]

    info.restype = Info

    def maps(size=20 * MIB):
        before = info().hblks
        c.malloc(size)                          # not freed: that would raise the threshold
        return info().hblks > before
"""


def told(code: str, **variables: str) -> str:
    """What a program prints, in an environment in which nobody tunes malloc but these variables."""
    ours = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "BUFPOOL_CONF")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(LIBRARY) + textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


INSTALLATIONS = {
    "with": "with bufpool.BufferPool(): pass",
    "install": "bufpool.BufferPool().install()",
    "decorator": "bufpool.BufferPool()(len)([])",
    "thread_pool": "bufpool.BufferPool().thread_pool(1).submit(len, []).result()",
}


@pytest.mark.parametrize("how", INSTALLATIONS)
def test_an_installation_raises_them(how: str) -> None:
    assert told(f"{INSTALLATIONS[how]}\nprint(maps(), maps(31 * MIB), maps(33 * MIB))") == "False False True"


def test_without_an_installation_nothing_changes() -> None:
    assert told("pool = bufpool.BufferPool(); a = pool.ones(10); print(maps())") == "True"


def test_a_run_raises_them_and_a_plain_one_does_not(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(LIBRARY) + "print(maps())\n", encoding="utf-8")
    path = str(script)
    run = (
        "import subprocess, sys; subprocess.run([sys.executable, '-m', 'bufpool', 'run', *{!r}], check=True)"
    )
    assert told(run.format([path])) == "False"
    assert told(run.format(["--plain", path])) == "True"


def test_the_freed_top_of_the_heap_stays_up_to_64_mib() -> None:
    code = """
        with bufpool.BufferPool(): pass
        for count in 3, 5:
            blocks = [c.malloc(16 * MIB) for _ in range(count)]
            for block in blocks:
                c.free(block)
            print(info().keepcost >= 16 * count * MIB)
    """
    assert told(code).split() == ["True", "False"]


def test_a_librarys_own_buffers_cost_no_more_faults() -> None:
    """Its memory was returned to the system in each round, because glibc never saw NumPy's large arrays."""
    code = """
        import resource
        import numpy as np
        def work():
            a = np.ones(2_800_000, "f4"); b = a * 2
            blocks = [c.malloc(2_800_000) for _ in range(3)]
            for block in blocks: ctypes.memset(block, 1, 2_800_000)
            for block in blocks: c.free(block)
        with bufpool.BufferPool():
            for _ in range(3): work()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(20): work()
            print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 20)
    """
    assert int(told(code)) < 100  # 2,018 before
    assert int(told(code, BUFPOOL_CONF="tune_malloc=false")) > 500


# --- when not ---

WITH = "with bufpool.BufferPool(): pass\nprint(maps())"


@pytest.mark.parametrize(
    "variables",
    [
        {"MALLOC_ARENA_MAX": "2"},
        {"MALLOC_TRIM_THRESHOLD_": "100000"},
        {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"},
        {"BUFPOOL_CONF": "tune_malloc=false"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_who_tunes_malloc_by_a_variable_is_left_alone(variables: dict[str, str]) -> None:
    assert told(WITH, **variables) == "True"


def test_a_variable_for_something_else_is_ignored() -> None:
    assert told(WITH, GLIBC_TUNABLES="glibc.rtld.optional_static_tls=16384") == "False"


def test_a_pool_may_be_told_not_to_and_the_next_one_does() -> None:
    code = """
        with bufpool.BufferPool(tune_malloc=False): pass
        print(maps())
        with bufpool.BufferPool(): pass
        print(maps())
    """
    assert told(code).split() == ["True", "False"]


def test_a_threshold_that_the_program_has_set_stays() -> None:
    """Higher or lower than ours; mallopt turns glibc's own adjustment off, and ours is that."""
    code = """
        assert c.mallopt(-3, {} * MIB) == 1     # M_MMAP_THRESHOLD
        with bufpool.BufferPool(): pass
        print(maps({} * MIB))
    """
    assert told(code.format(1, 2)) == "True"
    # Older ones of glibc take 32 MiB at most.
    assert told(code.format(24, 20)) == "False"
    assert told(code.format(24, 28)) == "True"


def test_it_is_done_once() -> None:
    """A second time would take the block from the heap and enlarge it."""
    code = """
        pool = bufpool.BufferPool()
        with pool: pass
        before = info().arena
        for _ in range(3):
            with pool: pass
            with bufpool.BufferPool(): pass
        print(info().arena - before < MIB)
    """
    assert told(code) == "True"
