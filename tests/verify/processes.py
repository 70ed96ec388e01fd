"""Processes that end, or multiply, in the middle of the work: ``python -m tests.verify.processes PROGRAM N``."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from bufpool import BufferPool, Pool
from tests.support.accounting import conserved
from tests.verify.subprocesses import report

MIB = 1 << 20
HANGS = 60  # seconds


class Workers:
    """Threads that are always in the middle of something: arrays of all sizes, scratches, buffers, NumPy's own."""

    def __init__(self, count: int, *, daemon: bool = False) -> None:
        self.limited = BufferPool(16 * MIB, name="limited")
        self.free = BufferPool(max_idle=0.001, name="free")
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.churn, args=(seed,), daemon=daemon) for seed in range(count)]
        for each in self.threads:
            each.start()

    def churn(self, seed: int) -> None:
        generator = random.Random(seed)
        scratch = self.free.scratch(1 << 20, "u1")
        operand = np.ones(70_000)
        while not self.stop.is_set():
            for pool in (self.limited, self.free):
                a = pool.empty(int(2 ** generator.uniform(4, 21)), "u1")
                a[::4096] = seed
                del a
            with scratch as b:
                b[::4096] = seed
            with self.free, self.free.lease(1000) as c, self.free.buffer(1000):
                c[:] = (operand + operand)[:1000]
            if generator.random() < 0.1:
                self.free.trim()

    def end(self) -> None:
        self.stop.set()
        for each in self.threads:
            each.join()


def fork() -> int:
    """`os.fork`, whose child is ended by a signal if it hangs."""
    child = os.fork()
    if child == 0:
        signal.alarm(HANGS)
    return child


def status_of(child: int) -> str:
    """How it ended, if not well."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return f"exit status {status}" if status else ""


def use_in_the_child(workers: Workers) -> None:
    """Everything works, and nothing is owned twice."""
    for pool in (workers.limited, workers.free):
        arrays = [pool.full(int(2 ** (4 + k % 17)), k, "u1") for k in range(40)]
        assert all((a == k).all() for k, a in enumerate(arrays))
        del arrays
    # Each of the other threads may have taken one block with it, of at most 2 MiB, and no more.
    arrays = [workers.limited.empty(MIB, "u1") for _ in range(16 - 2 * len(workers.threads))]
    workers.free.trim()
    del arrays
    assert conserved(workers.limited)
    assert conserved(workers.free)


def forks(count: int) -> Iterator[str]:
    """Fork while other threads are inside the pool."""
    workers = Workers(3)
    for number in range(count):
        child = fork()
        if child == 0:
            try:
                use_in_the_child(workers)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        wrong = status_of(child)
        if wrong:
            yield f"child {number}: {wrong}"
    workers.end()
    for pool in (workers.limited, workers.free):
        if pool.stats().in_use_bytes or not conserved(pool):
            yield f"the parent's pool {pool.name!r}: {pool.stats()}"


def finish(number: int) -> None:
    """The rest of a program: daemon threads at work, arrays alive, and the interpreter is to end some moment later."""
    sys.setswitchinterval(1e-4)  # the end comes between any two steps of theirs
    workers = Workers(2, daemon=True)
    sys.kept = [workers, workers.free.ones(1000), workers.limited.buffer(70_000)]  # type: ignore[attr-defined]
    if number % 3 == 0:
        workers.free.install()
    time.sleep(random.Random(number).random() * 0.005)


def exits(count: int) -> Iterator[str]:
    """End the interpreter while daemon threads are inside the pool: in a fork, which ends as a program does."""
    for number in range(count):
        child = fork()
        if child == 0:
            finish(number)
            raise SystemExit  # through the whole finalization
        wrong = status_of(child)
        if wrong:
            yield f"exit {number}: {wrong}"


def os_exits(count: int) -> Iterator[str]:
    """Leave without any clean-up, while blocks are out and threads at work: the parent's pool notices nothing."""
    pool = BufferPool(16 * MIB, name="parent")
    mine = pool.full(MIB, 7, "u1")
    for number in range(count):
        child = fork()
        if child == 0:
            workers = Workers(2, daemon=True)
            held = [pool.full(n, 9, "u1") for n in (100, 5000, MIB)]
            lease = pool.lease(100)
            with lease as a, workers.free:
                mine[:] = 9
                held += [a, np.ones(MIB), pool.buffer(10)]
                os._exit(0)
        wrong = status_of(child)
        if wrong or not (mine == 7).all() or pool.stats().in_use_bytes != MIB:
            yield f"exit {number}: {wrong}, {pool.stats()}"
    del mine
    if pool.stats().in_use_bytes or not conserved(pool):
        yield str(pool.stats())


def forks_at_start(count: int) -> Iterator[str]:
    """Fork right after a pool's first object, while the maintenance thread starts."""
    for number in range(count):
        pool = Pool(list, max_idle=60)
        with pool.lease():
            pass
        child = fork()
        if child == 0:
            if number % 3 == 0:
                del pool
                os._exit(0)
            if number % 3 == 1:
                with pool.lease():  # starts a thread of the child's own
                    pass
            raise SystemExit  # through the whole finalization
        pool.close()
        del pool
        wrong = status_of(child)
        if wrong:
            yield f"fork {number}: {wrong}"
        time.sleep(0.002)  # without a pool the maintenance thread ends: the next pool starts another


PROGRAMS: dict[str, Callable[[int], Iterator[str]]] = {
    "forks": forks,
    "forks_at_start": forks_at_start,
    "exits": exits,
    "os_exits": os_exits,
}


def main() -> None:
    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork in a program with threads
    what, count = sys.argv[1], int(sys.argv[2])
    report(f"{count:,} {'forks' if 'forks' in what else 'exits'}", PROGRAMS[what](count))


if __name__ == "__main__":
    main()
