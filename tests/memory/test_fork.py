"""A fork: what the child inherited is its own copy. Under load: `test_hazards.py`."""

from __future__ import annotations

import os
import textwrap

import pytest

from tests.support.accounting import run_python
from tests.support.programs import python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def test_a_child_releases_what_it_inherited() -> None:
    """The block goes back to the child's own copy of the pool; the parent's array is untouched."""
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
    ran = python("-c", textwrap.dedent(program))
    assert ran.returncode == 0, ran.stderr


def test_the_parents_thread_caches_serve_the_child() -> None:
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
