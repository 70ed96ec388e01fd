"""What the process does around the pool: forks, exits in the middle of the work, a second interpreter."""

from __future__ import annotations

import pytest

from tests.support.accounting import run_python
from tests.verify import faults

forking = pytest.mark.skipif(bool(faults.LACKS_FORK), reason=faults.LACKS_FORK)


@forking
def test_children_of_a_fork_under_load() -> None:
    """Other threads are inside the pool; everything works in the child, and nothing is owned twice."""
    assert faults.forks(40).violations == ()


@forking
def test_exits_while_daemon_threads_are_in_the_pool() -> None:
    """The interpreter ends at a random moment of their work."""
    assert faults.exits(24).violations == ()


@pytest.mark.parametrize("seed", range(3))
def test_an_interpreter_ends_with_daemons_in_the_pool(seed: int) -> None:
    """In a new process, not in a fork."""
    assert run_python(f"from tests.verify.processes import finish\nfinish({seed})") == ""


@forking
def test_os_exit_while_holding() -> None:
    """No clean-up runs in the child; the parent's pool and array are untouched."""
    assert faults.os_exits(8).violations == ()


def test_os_exit_keeps_its_status() -> None:
    """The program holds every kind of block, and its threads are at work."""
    out = run_python("""
        import os, subprocess, sys
        program = '''if True:
            import os, numpy as np
            from tests.verify.processes import Workers
            workers = Workers(2, daemon=True)
            a, b = workers.free.ones(1000), workers.limited.buffer(1 << 20)
            with workers.free, workers.free.lease(10) as c:
                os._exit(7)
        '''
        print(subprocess.run([sys.executable, "-c", program], timeout=60).returncode)
    """)
    assert out == "7\n"


IN_ANOTHER = {
    "legacy": """
        import _testcapi
        def in_another(code):
            assert _testcapi.run_in_subinterp(code) == 0
    """,
    # From 3.13 on with a GIL of its own.
    "isolated": """
        try:
            import _interpreters
            def in_another(code):
                another = _interpreters.create("isolated")
                assert _interpreters.exec(another, code) is None
                _interpreters.destroy(another)
        except ImportError:
            import _xxsubinterpreters
            def in_another(code):
                another = _xxsubinterpreters.create()
                _xxsubinterpreters.run_string(another, code)
                _xxsubinterpreters.destroy(another)
    """,
}


@pytest.mark.parametrize("first", ["main", "subinterpreter"])
@pytest.mark.parametrize("kind", IN_ANOTHER)
def test_subinterpreters_are_refused(kind: str, first: str) -> None:
    """The error says why; the main interpreter's pools work before and after, whichever interpreter imported first."""
    pytest.importorskip("_testcapi", reason="Python has no _testcapi")
    asked = """if True:
        for module in ("bufpool", "bufpool.memory.native._arena", "bufpool.memory.buffer_pool"):
            try:
                __import__(module)
            except ImportError as error:
                print(type(error).__name__, error, flush=True)
    """
    use = "import bufpool; a = bufpool.BufferPool().ones(1000)" if first == "main" else "pass"
    out = run_python(f"""
        {IN_ANOTHER[kind].strip()}
        {use}
        for _ in range(2):
            in_another({asked!r})
        import bufpool
        pool = bufpool.BufferPool()
        b = pool.ones(1000)
        assert pool.stats().in_use_bytes == 8192 and b.sum() == 1000
    """)
    lines = out.splitlines()
    assert len(lines) == 6
    reason = "ImportError bufpool works in the main interpreter only, and this is a subinterpreter: "
    assert all(each.startswith(reason) for each in lines)
