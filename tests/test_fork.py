"""A fork while other threads are inside the pool: everything works in the child, and nothing is owned twice."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from conserving import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

FORKS = """
    import os, random, sys, threading, warnings
    import numpy as np
    import bufpool

    warnings.simplefilter("ignore", DeprecationWarning)       # 3.12: fork in a program with threads
    limited = bufpool.BufferPool(16 << 20)
    free = bufpool.BufferPool(max_idle=0.001)
    stop = threading.Event()

    def churn(seed):
        generator = random.Random(seed)
        while not stop.is_set():
            for pool in (limited, free):
                a = pool.empty(int(2 ** generator.uniform(4, 21)), "u1")
                a[::4096] = seed
                del a
            if generator.random() < 0.1:
                free.trim()

    threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(3)]
    for each in threads:
        each.start()
    bad = 0
    for i in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            try:
                for pool in (limited, free):
                    arrays = [pool.full(int(2 ** (4 + k % 17)), k, "u1") for k in range(40)]
                    assert all((a == k).all() for k, a in enumerate(arrays))
                    del arrays
                # Each of the other threads may have taken one block with it, and no more.
                most = 16 - 3 * 2
                arrays = [limited.empty(1 << 20, "u1") for _ in range(most)]
                free.trim()
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr)
                os._exit(1)
        bad += os.waitpid(child, 0)[1] != 0
    stop.set()
    for each in threads:
        each.join()
    print(bad, "bad children")
"""


def test_children_of_a_fork_under_load() -> None:
    """FAULTS 85."""
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKS), "40"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stdout == "0 bad children\n", ran.stdout + ran.stderr


def test_a_child_releases_what_it_inherited() -> None:
    """FAULTS 86: the block goes back to the child's own copy of the pool; the parent's array is untouched."""
    program = """
        import os, bufpool
        pool = bufpool.BufferPool()
        a = pool.full(1 << 20, 7, "u1")
        child = os.fork()
        if child == 0:
            del a
            b = pool.full(1 << 20, 9, "u1")
            os._exit(pool.stats().in_use_bytes != 1 << 20)
        assert os.waitpid(child, 0)[1] == 0
        assert (a == 7).all() and pool.stats().in_use_bytes == 1 << 20
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_what_the_parents_threads_had_parked_serves_the_child() -> None:
    out = run_python("""
        import os, threading, warnings, bufpool
        warnings.simplefilter("ignore", DeprecationWarning)       # 3.12: fork in a program with threads
        pool = bufpool.BufferPool()
        parked, end = threading.Event(), threading.Event()
        def park():
            arrays = [pool.empty(1000, "u1") for _ in range(20)]
            arrays.clear()
            parked.set()
            end.wait()
        thread = threading.Thread(target=park)
        thread.start()
        parked.wait()
        child = os.fork()
        if child == 0:
            pool.trim()
            os._exit(0 if pool.stats().reserved_bytes == 0 else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        end.set()
        thread.join()
    """)
    assert out == "0\n"
