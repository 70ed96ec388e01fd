"""Threads, and tasks of a loop in one of them, that mix all that a pool of objects offers, at random:
``python -m tests.verify.random_objects --seconds 10 --threads 4 --seed 1``.

Whoever has an object writes its name on it and finds it there at the end, so that two holders are seen. Objects fail
their checks and resets, factories fail, leases are dropped, pools shrink, grow, are drained, closed and dropped in
between. At the end of each round nothing is out, nobody waits, and every object that was made is idle or was closed.

The last line says how much was done. A program of its own, because a sanitizer must be there from the start.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import logging
import random
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import bufpool
from bufpool import BufpoolError, ClosedError, Pool

STEPS = 300  # of a thread in a round
POOLS: dict[str, dict[str, Any]] = {
    "plain": {"max_size": 2},
    "fair": {"max_size": 2, "fair": True},
    "oldest first": {"max_size": 3, "lifo": False, "max_uses": 5},
    "treated": {"max_size": 3, "check": "check", "reset": "reset", "check_on": ("checkout", "return", "idle")},
    "ageing": {"max_size": 4, "min_size": 1, "max_idle": 0.0, "max_lifetime": 0.01, "max_waiting": 3},
    "bursting": {"max_size": 1, "overflow": "create"},
    "watched": {"max_size": 2, "leak_threshold": 0.0, "debug": True},
}


class ViolationError(Exception):
    """Something that must not be."""


class FailureError(Exception):
    """What callbacks raise."""


class Thing:
    """An object that knows its holder."""

    def __init__(self) -> None:
        self.holder: object = None
        self.closed = False

    def take(self, me: object) -> None:
        if self.closed or self.holder is not None:
            raise ViolationError(f"taken by {me}: closed {self.closed}, holder {self.holder}")
        self.holder = me

    def give(self, me: object) -> None:
        if self.closed or self.holder is not me:
            raise ViolationError(f"given back by {me}: closed {self.closed}, holder {self.holder}")
        self.holder = None


class Subject:
    """A pool and its callbacks."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.chance = chance
        self.made: list[Thing] = []
        settings = {
            key: getattr(self, value) if value in ("check", "reset") else value for key, value in POOLS[name].items()
        }
        self.pool: Pool[Thing] = Pool(
            self.make, name=name, close=self.close, timeout=0.05, backoff=(1e-4, 1e-3), **settings
        )
        self.tasks = self.pool.as_async()

    def fails(self, often: float) -> bool:
        return random.random() < often

    def make(self) -> Thing:
        if self.fails(0.05):
            raise FailureError("make")
        self.made.append(Thing())
        return self.made[-1]

    def check(self, thing: Thing) -> bool:
        thing.take(self)
        thing.give(self)
        if self.fails(0.02):
            raise FailureError("check")
        return not self.fails(0.05)

    def reset(self, thing: Thing) -> None:
        thing.take(self)
        thing.give(self)
        if self.fails(0.05):
            raise FailureError("reset")

    def close(self, thing: Thing) -> None:
        if thing.closed:
            raise ViolationError("closed twice")
        thing.closed = True

    def all_back(self) -> None:
        gc.collect()
        pool = self.pool
        if pool.waiting or pool.leases():
            raise ViolationError(f"{pool!r}, {pool.leases()}")
        # The maintenance thread may have one in hand.
        pool.close(timeout=30)
        if pool.size or pool.in_use or any(not thing.closed for thing in self.made):
            raise ViolationError(f"{pool!r} after its end, {sum(not thing.closed for thing in self.made)} open")


class Worker:
    """One thread."""

    def __init__(self, subjects: list[Subject], seed: str) -> None:
        self.subjects = subjects
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.error = ""

    def begin(self) -> None:
        try:
            for _ in range(STEPS):
                (operation,) = self.chance.choices(list(OPERATIONS), list(OPERATIONS.values()))
                try:
                    operation(self, self.chance.choice(self.subjects))
                except (BufpoolError, FailureError):
                    self.counts["refused"] += 1
                else:
                    self.counts[operation.__name__] += 1
        except BaseException:
            self.error = traceback.format_exc()

    def use(self, thing: Thing) -> None:
        me = object()
        thing.take(me)
        if self.chance.random() < 0.1:
            time.sleep(0)
        thing.give(me)

    def lease(self, subject: Subject) -> None:
        with subject.pool.lease() as thing:
            self.use(thing)

    def acquire(self, subject: Subject) -> None:
        thing = subject.pool.acquire(timeout=self.chance.choice([0, 0.001, 0.05]))
        self.use(thing)
        subject.pool.release(thing)

    def attempt(self, subject: Subject) -> None:
        if (thing := subject.pool.try_acquire()) is not None:
            self.use(thing)
            subject.pool.release(thing)

    def discard(self, subject: Subject) -> None:
        with subject.pool.lease() as thing:
            self.use(thing)
            subject.pool.discard(thing)

    def end_twice(self, subject: Subject) -> None:
        with subject.pool.lease() as thing:
            self.use(thing)
            try:
                subject.pool.release(thing)
            except bufpool.DoubleReleaseError:
                pass
            else:
                raise ViolationError("a lease's object was taken from it")

    def drop(self, subject: Subject) -> None:
        lease = subject.pool.lease()
        self.use(lease.__enter__())
        del lease

    def share(self, subject: Subject) -> None:
        lease = subject.pool.lease()
        self.use(lease.__enter__())
        other = threading.Thread(target=lease.__exit__, args=(None, None, None))
        other.start()
        lease.__exit__(None, None, None)
        other.join()

    def tend(self, subject: Subject) -> None:
        subject.pool.maintain()

    def change(self, subject: Subject) -> None:
        if self.chance.random() < 0.5:
            subject.pool.drain()
        else:
            subject.pool.resize(max_size=self.chance.randint(1, 4))

    def look(self, subject: Subject) -> None:
        subject.pool.stats()
        subject.pool.leases()
        str(subject.pool.advice())

    def dying_pool(self, subject: Subject) -> None:
        pool = Pool(Thing, max_size=1)
        with pool.lease() as thing:
            pool.close()
            self.use(thing)
        try:
            pool.acquire()
        except ClosedError:
            return
        raise ViolationError("a closed pool handed an object out")

    def loop(self, subject: Subject) -> None:
        """Tasks of a loop of its own, some of which are cancelled."""

        async def client() -> None:
            try:
                async with subject.tasks.lease() as thing:
                    me = object()
                    thing.take(me)
                    try:
                        await asyncio.sleep(0)
                    finally:
                        thing.give(me)
            except (BufpoolError, FailureError):
                pass

        async def main() -> None:
            tasks = [asyncio.create_task(client()) for _ in range(6)]
            for task in tasks[::3]:
                await asyncio.sleep(0)
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result

        asyncio.run(main())


OPERATIONS: dict[Callable[[Worker, Subject], None], int] = {
    Worker.lease: 20, Worker.acquire: 20, Worker.attempt: 10, Worker.discard: 4, Worker.end_twice: 4, Worker.drop: 3,
    Worker.share: 2, Worker.tend: 3, Worker.change: 2, Worker.look: 2, Worker.dying_pool: 1, Worker.loop: 1,
}  # fmt: skip


def play(seed: str, threads: int) -> Counter[str]:
    """One round. Raises `ViolationError`."""
    subjects = [Subject(name, random.Random(seed)) for name in POOLS]
    workers = [Worker(subjects, f"{seed}/{number}") for number in range(threads)]
    running = [threading.Thread(target=worker.begin) for worker in workers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors := [worker.error for worker in workers if worker.error]:
        raise ViolationError("\n".join(errors))
    for subject in subjects:
        subject.all_back()
    return sum((worker.counts for worker in workers), Counter())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    print(f"bufpool from {bufpool.__file__}, seed {options.seed}", flush=True)
    sys.setswitchinterval(1e-4)
    logging.getLogger("bufpool").addHandler(logging.NullHandler())
    logging.getLogger("bufpool").propagate = False
    warnings.simplefilter("ignore", ResourceWarning)

    done: Counter[str] = Counter()
    until = time.monotonic() + options.seconds
    for number in itertools.count():
        if number and time.monotonic() > until:
            break
        try:
            done += play(f"{options.seed}/{number}", options.threads)
        except Exception:
            traceback.print_exc()
            print(f"VIOLATION in round {number} of seed {options.seed}", flush=True)
            return 1
    if never := {operation.__name__ for operation in OPERATIONS} - set(done):
        print(f"VIOLATION: {', '.join(sorted(never))} never done")
        return 1
    refused = done.pop("refused")
    print(f"{done.total()} operations in {number} rounds of {options.threads} threads, {refused} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
