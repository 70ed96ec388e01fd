"""A fork: the child begins with an empty pool, and what the parent has open is neither used nor closed there."""

from __future__ import annotations

import os
import textwrap

import pytest

from tests.support.accounting import run_python
from tests.verify.bug import has_gil

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

BEGIN = """
import gc, os, sys, threading, time, warnings
from bufpool import Pool
from bufpool.errors import *
warnings.simplefilter("ignore", DeprecationWarning)       # 3.12: fork in a program with threads

class Thing:
    def __init__(self):
        self.made_in = os.getpid()
    def __del__(self):
        if sys is not None and os.getpid() != self.made_in:
            os.write(1, b"destroyed in the child\\n")

def close(thing):
    if os.getpid() != thing.made_in:
        os.write(1, b"closed in the child\\n")

def in_child(function):
    \"\"\"What the child finds, which must end well.\"\"\"
    child = os.fork()
    if child == 0:
        try:
            function()
            gc.collect()
            sys.stdout.flush()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def mine(thing):
    assert thing.made_in == os.getpid()
"""


def run(program: str) -> str:
    return run_python(BEGIN + textwrap.dedent(program))


def test_a_child_begins_with_an_empty_pool() -> None:
    """Idle objects and objects in use belong to the parent."""
    out = run("""
        pool = Pool(Thing, max_size=3, close=close, min_size=1)
        out, idle = pool.acquire(), pool.acquire()
        pool.release(idle)
        def child():
            assert (pool.size, pool.idle, pool.in_use, pool.leases()) == (0, 0, 0, ())
            held = [pool.acquire(0) for _ in range(3)]
            for thing in held:
                mine(thing)
                pool.release(thing)
            pool.drain()
            pool.wait()
            pool.maintain()
            pool.close(1)
        in_child(child)
        assert (pool.size, pool.idle, pool.in_use) == (2, 1, 1)
        pool.release(out)
        assert pool.acquire() is out
        print("well")
    """)
    assert out == "well\n"


def test_a_fork_hook_gets_no_object_of_the_parent() -> None:
    """Hooks run in the order in which they were registered, and this one is older than the package."""
    out = run_python(
        textwrap.dedent("""
        import os, threading
        found = []
        def early():
            for pool in pools:
                with pool.lease(0) as one, early_leases.pop() as other:
                    found.append((one.made_in, other.made_in, pool.size, len(pool.leases())))
                pool.release(out)
        os.register_at_fork(after_in_child=early)
        """)
        + BEGIN
        + textwrap.dedent("""
        pools = [Pool(Thing, max_size=3, close=close, max_idle=60)]
        out, idle = pools[0].acquire(), pools[0].acquire()
        pools[0].release(idle)
        early_leases = [pools[0].lease(0)]               # made in the parent, entered in the child
        def child():
            assert found == [(os.getpid(), os.getpid(), 2, 2)], found
            assert (pools[0].size, pools[0].idle) == (2, 2)
            assert "bufpool-maintenance" in [each.name for each in threading.enumerate()]
        in_child(child)
        assert (pools[0].size, pools[0].idle) == (2, 1)
        print("well")
        """)
    )
    assert out == "well\n"


def test_threads_of_the_child_begin_with_one_pool() -> None:
    """Whichever uses it first."""
    out = run("""
        pool = Pool(Thing, max_size=4, close=close)
        pool.release(pool.acquire())
        def child():
            start, end = threading.Barrier(4), threading.Barrier(4)
            held = []
            def use():
                start.wait(20)
                with pool.lease(20) as thing:
                    mine(thing)
                    held.append(thing)
                    end.wait(20)
            threads = [threading.Thread(target=use) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(set(map(id, held))) == 4
            assert (pool.size, pool.idle) == (4, 4), repr(pool)
        for _ in range(10):
            in_child(child)
        print("well")
    """)
    assert out == "well\n"


def test_what_was_inherited_is_returned_in_silence() -> None:
    """By every call, several times, without effect."""
    out = run("""
        pool = Pool(Thing, close=close, reset=close, check=close)
        a, b, c, idle = [pool.acquire() for _ in range(4)]
        pool.release(idle)
        leases = [pool.lease() for _ in range(4)]
        things = [lease.__enter__() for lease in leases]
        def child():
            for _ in range(2):
                pool.release(a)
                pool.discard(b)
            leases[0].release()
            leases[1].discard()
            leases[2].__exit__(None, None, None)
            for lease in leases:
                assert lease.released
                try:
                    lease.object
                except ReleasedError:
                    pass
                else:
                    raise AssertionError(lease)
            pool.release(things[3])
            leases.clear()
            gc.collect()
            for thing in (object(), None):
                try:
                    pool.release(thing)
                except ForeignReleaseError:
                    pass
                else:
                    raise AssertionError
            with pool.lease() as thing:
                mine(thing)
            assert (pool.size, pool.idle) == (1, 1)
        in_child(child)
        assert (pool.size, pool.in_use) == (7, 7 - pool.idle)
        for lease in leases:
            lease.release()
        for thing in (a, b, c):
            pool.release(thing)
        assert pool.idle == pool.size == 7
        print("well")
    """)
    assert out == "well\n"


def test_the_block_of_a_lease_ends_in_parent_and_child() -> None:
    out = run("""
        pool = Pool(Thing, close=close)
        with pool.lease() as thing:
            child = os.fork()
        if child == 0:
            os._exit(0 if (pool.size, pool.idle) == (0, 0) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.idle == 1
        print("well")
    """)
    assert out == "well\n"


def test_a_pool_that_goes_in_the_child_touches_nothing() -> None:
    """Not even by the destructors of what it inherited... unless the process ends."""
    out = run("""
        pools = [Pool(Thing, close=close)]
        pools[0].wait(2)
        def child():
            assert pools[0].acquire(0) is not None
            pools[0].close()
        in_child(child)
        assert pools[0].idle == 2
        print("well")
    """)
    assert out == "well\n"


def test_a_closed_pool_is_closed_in_the_child() -> None:
    out = run("""
        pool = Pool(Thing, close=close)
        pool.close()
        def child():
            try:
                pool.acquire()
            except ClosedError:
                print("closed")
        in_child(child)
    """)
    assert out == "closed\n"


@pytest.mark.skipif(
    not has_gil(), reason="without the GIL a fork may find CPython's own locks taken by other threads"
)
def test_waiters_of_the_parent_are_none_in_the_child() -> None:
    """Threads that wait, make, check and return while the process forks again and again."""
    out = run("""
        pool = Pool(Thing, max_size=2, close=close, reset=lambda thing: None)
        end = threading.Event()
        def work():
            while not end.is_set():
                with pool.lease(30):
                    pass
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        def child():
            assert pool.waiting == 0
            held = [pool.acquire(5), pool.acquire(5)]
            assert pool.try_acquire() is None
            for thing in held:
                mine(thing)
                pool.release(thing)
            assert (pool.size, pool.idle, pool.waiting) == (2, 2, 0)
        for _ in range(25):
            in_child(child)
        end.set()
        for thread in threads:
            thread.join()
        assert (pool.idle, pool.waiting) == (pool.size, 0)
        print("well")
    """)
    assert out == "well\n"


def test_the_child_has_a_maintenance_thread_of_its_own() -> None:
    """The parent's thread is not in the child."""
    out = run("""
        pool = Pool(Thing, max_idle=0.04, close=close)
        pool.release(pool.acquire())
        def child():
            pool.release(pool.acquire())
            end = time.monotonic() + 20
            while pool.size:
                assert time.monotonic() < end
                time.sleep(0.002)
            print("kept")
        in_child(child)
    """)
    assert out == "kept\n"


@pytest.mark.parametrize("role", ["factory", "check", "reset", "close"])
def test_a_callback_may_fork(role: str) -> None:
    """The child returns from the callback into the pool."""
    out = run(f"""
        role = {role!r}
        parent = os.getpid()
        forks = []
        def fork(thing=None):
            if not forks:
                forks.append(os.fork())
            return True if thing is not None else Thing()
        kept = {{role: fork}} if role != "factory" else {{}}
        pool = Pool(fork if role == "factory" else Thing, max_size=2, **kept)
        thing = pool.acquire()
        (pool.discard if role == "close" else pool.release)(thing)
        if role == "check":
            pool.release(pool.acquire())
        for _ in range(3):
            with pool.lease(5) as one, pool.lease(5) as other:
                assert one is not other
                if os.getpid() != parent and role != "factory":
                    mine(one), mine(other)
        if role != "factory" or os.getpid() == parent:
            assert (pool.size, pool.idle, pool.in_use) == (2, 2, 0), repr(pool)
        if os.getpid() != parent:
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(forks[0], 0)[1]) == 0
        print("well")
    """)
    assert out == "well\n"


@pytest.mark.parametrize(
    ("role", "settings", "use"),
    [
        ("reset", {"check": "bool_of", "check_on": "return"}, "pool.release(held[0])"),
        ("close", {}, "pool.drain()"),
        ("close", {}, "pool.close()"),
        ("close", {}, "pool.resize(max_size=1)"),
        ("check", {"check_on": "idle", "check_interval": 0.01}, "time.sleep(0.1), pool.maintain()"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fork_in_a_callback_leaves_others_in_turn(role: str, settings: dict[str, object], use: str) -> None:
    """The child returns into the middle of an operation on several objects."""
    out = run(f"""
        parent = os.getpid()
        forks = []
        def bool_of(thing):
            return True
        def fork(thing):
            if not forks:
                forks.append(os.fork())
            return True
        settings = {settings!r}
        if "check" in settings:
            settings["check"] = bool_of
        pool = Pool(Thing, max_size=4, {role}=fork, **settings)
        held = [pool.acquire() for _ in range(4)]
        if {role!r} != "reset":
            for thing in held:
                pool.release(thing)
        {use}
        if os.getpid() != parent:
            if not pool.closed:
                with pool.lease(5) as thing:
                    mine(thing)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(forks[0], 0)[1]) == 0
        print("well")
    """)
    assert out == "well\n"
