"""Idle memory goes back by time alone: the maintenance thread of the core, and what goes on without it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bufpool import BufferPool
from tests.support.accounting import conserved, run_python

MIB = 1 << 20
FLOOR = 16 * MIB

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")


def burst(pool: BufferPool, mebibytes: int) -> None:
    blocks = [pool.empty(MIB, "u1") for _ in range(mebibytes)]
    del blocks


def threads_of_ours() -> int:
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except OSError:  # it has just ended
            continue
    return names.count("bufpool")


def before_long(so: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not so():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_memory_goes_back_with_nothing_called() -> None:
    pool = BufferPool(max_idle=0.2)
    burst(pool, 128)
    assert pool.stats().idle_bytes > 100 * MIB
    assert before_long(lambda: pool.stats().idle_bytes <= FLOOR)
    assert (
        pool.stats().dropped_bytes["aged_out"] + pool.stats().dropped_bytes["over_max_retained"] >= 100 * MIB
    )
    assert conserved(pool).in_use_bytes == 0


def test_memory_ages_while_only_small_arrays_are_used() -> None:
    pool = BufferPool(max_idle=0.2)
    burst(pool, 128)

    def works_on() -> bool:
        for _ in range(1000):
            pool.empty(1000, "u1")
        return pool.stats().idle_bytes <= FLOOR + MIB

    assert before_long(works_on)


def test_memory_goes_back_from_between_survivors() -> None:
    pool = BufferPool(max_idle=0.2)
    rows = [pool.empty(4096, "u1") for _ in range(20_000)]
    kept = rows[::100]
    del rows
    assert before_long(lambda: pool.stats().idle_bytes <= FLOOR + MIB)
    assert conserved(pool).in_use_bytes == len(kept) * 4096


def test_survivors_do_not_stop_reuse_of_large_blocks() -> None:
    pool = BufferPool(max_idle=0.2)
    rows = [pool.empty(1000, "u1") for _ in range(250_000)]
    kept = rows[::4]
    del rows
    time.sleep(1)  # several times max_idle
    assert pool.stats().pinned_bytes > 128 * MIB  # more than may be idle
    before = pool.stats()
    for _ in range(200):
        pool.empty(MIB, "u1")
    did = pool.stats() - before
    assert did.misses <= 20
    assert len(kept) == 62_500


def test_the_caches_of_idle_threads_are_drained() -> None:
    pool = BufferPool(max_idle=0.2)
    ready, end = threading.Barrier(9), threading.Event()

    def work() -> None:
        blocks = [pool.empty(16 << 10, "u1") for _ in range(100)]
        del blocks
        ready.wait(60)
        end.wait(60)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    ready.wait(60)
    large = pool.empty(32 * MIB, "u1")  # with less than the floor resident nothing needs to go
    try:
        assert before_long(lambda: pool.stats().cached_bytes == 0)
    finally:
        end.set()
        for each in threads:
            each.join()
    del large


def test_the_thread_ends_when_there_is_nothing_to_do() -> None:
    assert (
        run_python("""
        import time, bufpool
        from pathlib import Path
        def there():
            names = []
            for task in Path("/proc/self/task").iterdir():
                try:
                    names.append((task / "comm").read_text().strip())
                except OSError:
                    pass
            return "bufpool" in names
        def before_long(so):
            until = time.monotonic() + 20
            while not so() and time.monotonic() < until:
                time.sleep(0.01)
            return so()
        pool = bufpool.BufferPool(max_idle=0.1)
        print(there())
        for _ in range(3):
            blocks = [pool.empty(1 << 20, "u1") for _ in range(64)]
            print(before_long(there), end=" ")
            del blocks
            print(before_long(lambda: not there()))
    """)
        == "False\nTrue True\nTrue True\nTrue True\n"
    )


def test_without_the_thread_calls_do_the_work() -> None:
    assert (
        run_python("""
        import time, bufpool
        from pathlib import Path
        pool = bufpool.BufferPool(max_idle=0.1, maintenance_thread=False)
        blocks = [pool.empty(1 << 20, "u1") for _ in range(128)]
        del blocks
        names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
        print(names.count("bufpool"))
        time.sleep(0.5)
        print(pool.stats().idle_bytes > 100 << 20)
        for _ in range(3):
            pool.empty(1 << 20, "u1")
            time.sleep(0.1)
        print(pool.stats().idle_bytes <= 17 << 20)
    """)
        == "0\nTrue\nTrue\n"
    )


def test_the_environment_turns_the_thread_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUFPOOL_CONF", "maintenance_thread=false,max_idle=0.1")
    assert (
        run_python("""
        import time, bufpool
        pool = bufpool.BufferPool()
        blocks = [pool.empty(1 << 20, "u1") for _ in range(128)]
        del blocks
        time.sleep(0.5)
        print(pool.stats().idle_bytes > 100 << 20)
    """)
        == "True\n"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_starts_its_own_thread_at_a_return() -> None:
    pool = BufferPool(max_idle=0.2)
    blocks = [pool.empty(MIB, "u1") for _ in range(64)]
    assert before_long(lambda: threads_of_ours() == 1)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if threads_of_ours() == 0:
                blocks.clear()
                status = 0 if before_long(lambda: pool.stats().idle_bytes <= FLOOR) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(blocks) == 64


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on threads is Linux's")
def test_a_thread_that_cannot_start_stops_nobody() -> None:
    """Calls do the thread's work, and a second later it is started again."""
    assert (
        run_python("""
        import resource, time, bufpool
        import bufpool.memory.native
        soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        pool = bufpool.BufferPool(max_idle=0.1)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
        blocks = [pool.empty(1 << 20, "u1") for _ in range(64)]
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
        del blocks
        time.sleep(1.1)
        until = time.monotonic() + 20
        while pool.stats().idle_bytes > 17 << 20 and time.monotonic() < until:
            pool.empty(1 << 20, "u1")
            time.sleep(0.05)
        print(pool.stats().idle_bytes <= 17 << 20)
    """)
        == "True\n"
    )
