"""Threads that mix all that a pool offers at random.

``python -m tests.verify.random_memory --seconds 10 --threads 4 --seed 1`` runs it alone.

What is taken is stamped, what is dropped or handed to another thread must still show its stamp, and at the end of each
round every pool must have everything back: nothing in use, idle and reserved the same, and after ``trim`` nothing at
all. Threads end, pools are closed and dropped while others still hold and release their memory.

The last line says how much was done. A program of its own, because a sanitizer must be there from the start.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import random
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

import bufpool
from bufpool import BufferPool, ClosedError, LimitError
from tests.support.accounting import all_back
from tests.support.stamps import PAGE, Hooks, Raw, Thing, ViolationError, check, mark

KIB, MIB = 1 << 10, 1 << 20
POOLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bounded": {"limit": 4 * MIB, "timeout": 0.002},
    "small reserve": {"max_retained": MIB},
    "ageing": {"max_idle": 0.01},
    "wiping": {"wipe": True},
    "aligned": {"alignment": PAGE},
}
#: Upper ends of the sizes asked for: mostly small, so that threads meet in the same few classes.
SIZES = (64, 256, KIB, 8 * KIB, 64 * KIB, 300 * KIB, 3 * MIB)
OFTEN = (12, 12, 12, 10, 8, 3, 1)
#: Operations of a thread in a round, after which it ends.
STEPS = 400
#: Things that a thread holds at most.
HELD = 12


# --- a round ---------------------------------------------------------------------------------------------------------


class World:
    """The pools of a round and what its threads share."""

    def __init__(self, seed: str, threads: int, shared_objects: bool) -> None:
        self.seed = seed
        self.pools = [BufferPool(name=name, **settings) for name, settings in POOLS.items()]
        self.hooks = [Hooks(pool) for pool in self.pools]
        self.scratches = [pool.scratch(n, "u1") for pool in self.pools for n in (100, 50_000)]
        self.buffers = [pool.buffer(5000) for pool in self.pools] if shared_objects else []
        self.passing: deque[Thing] = deque()
        # Where CPython's own locks are not seen, ThreadSanitizer is told of the one order that they give here: who gets
        # a thing comes after who gave it.
        library = None if shared_objects else ctypes.CDLL(None)
        self.gives = getattr(library, "__tsan_release", None)
        self.gets = getattr(library, "__tsan_acquire", None)
        self.ending: list[threading.Thread] = []
        self.numbers = itertools.count(1)
        self.shared_objects = shared_objects
        self.start = threading.Barrier(threads)
        self.errors: list[str] = []
        self.counts: Counter[str] = Counter()

    def give(self, thing: Thing) -> None:
        """Hand it to whichever thread comes first."""
        thing.order = ctypes.c_char()
        if self.gives is not None:
            self.gives(ctypes.byref(thing.order))
        self.passing.append(thing)

    def get(self) -> Thing | None:
        """What another thread gave, if anything."""
        try:
            thing = self.passing.popleft()
        except IndexError:
            return None
        if self.gets is not None:
            self.gets(ctypes.byref(thing.order))
        return thing

    def all_back(self) -> None:
        """Raise `ViolationError` if a pool has lost anything."""
        while (thing := self.get()) is not None:
            thing.drop()
        self.scratches.clear()
        self.buffers.clear()
        for pool in self.pools:
            if not all_back(pool):
                raise ViolationError(f"{pool!r} cannot give everything back: {pool.stats()}")
            pool.close()
            if pool.stats().reserved_bytes or pool.stats().mapped_bytes:
                raise ViolationError(f"{pool!r} is closed, and holds memory")


class Worker:
    """One thread of a round: it takes, checks, hands on and drops, by its own seed."""

    def __init__(self, world: World, number: int, steps: int) -> None:
        self.world = world
        self.name = f"{world.seed}/{number}"
        self.random = random.Random(self.name)
        self.steps = steps
        self.held: list[Thing] = []
        self.counts: Counter[str] = Counter()
        own = self.OWN_ORDER if not world.shared_objects else self.OWN_ORDER | self.SHARED_OBJECTS
        self.operations = list(own)
        self.weights = list(own.values())

    def run(self) -> None:
        world = self.world
        try:
            for _ in range(self.steps):
                if world.errors:
                    return
                operation = self.random.choices(self.operations, self.weights)[0]
                try:
                    operation(self)
                    self.counts[operation.__name__] += 1
                except LimitError:
                    self.counts["refused"] += 1
                except MemoryError:
                    if not self.pool.limit and not self.pool.closed:
                        raise
                    self.counts["refused"] += 1
                while len(self.held) > HELD:
                    self.drop()
            while self.held:
                self.drop()
        except BaseException:
            world.errors.append(f"seed {self.name}, after {self.counts.total()} operations:\n{traceback.format_exc()}")
        finally:
            self.held.clear()
            self.pool = self.hooks = None
            world.counts.update(self.counts)

    def begin(self) -> None:
        self.world.start.wait()
        self.run()

    # --- choices ---

    def nbytes(self) -> int:
        return self.random.randint(1, self.random.choices(SIZES, OFTEN)[0])

    def choose(self) -> BufferPool:
        number = self.random.randrange(len(self.world.pools))
        self.pool, self.hooks = self.world.pools[number], self.world.hooks[number]
        return self.pool

    def keep(self, holder: Any) -> None:
        self.held.append(Thing(holder, next(self.world.numbers)))

    def some(self) -> Thing | None:
        """One of those held, now out of the list."""
        if not self.held:
            return None
        number = self.random.randrange(len(self.held))
        self.held[number], self.held[-1] = self.held[-1], self.held[number]
        return self.held.pop()

    # --- operations ---

    def array(self) -> None:
        alignment = self.random.choice((None, None, None, 256, PAGE))
        self.keep(self.choose().empty(self.nbytes(), "u1", alignment=alignment))

    def zeros(self) -> None:
        a = self.choose().zeros((self.nbytes() + 7) // 8, "f8")
        if a.any():
            raise ViolationError(f"{a.nbytes} bytes of zeros are none")
        self.keep(a)

    def view(self) -> None:
        self.keep(self.choose().empty((2, self.nbytes()), "u1")[1])

    def block(self) -> None:
        self.choose()
        zeros = self.random.random() < 0.3
        self.held.append(Raw(self.hooks, self.nbytes(), zeros, next(self.world.numbers)))

    def blocks(self) -> None:
        """Several of one size at once, more than a thread caches, so that some go to the shared lists."""
        self.choose()
        nbytes = self.random.choice((64, 1000, 9000))
        raw: list[Raw] = []
        try:
            for _ in range(self.random.randint(20, 50)):
                raw.append(Raw(self.hooks, nbytes, False, next(self.world.numbers)))  # noqa: PERF401 (it may fail)
        finally:
            self.random.shuffle(raw)
            for each in raw:
                each.drop()

    def resize(self) -> None:
        for each in self.held:
            if isinstance(each, Raw):
                each.check()
                self.pool = self.world.pools[self.world.hooks.index(each.hooks)]
                each.resize(self.nbytes())
                return

    def drop(self) -> None:
        thing = self.some()
        if thing is not None:
            thing.drop()

    def give(self) -> None:
        thing = self.some()
        if thing is not None:
            self.world.give(thing)

    def get(self) -> None:
        thing = self.world.get()
        if thing is None:
            return
        thing.check()
        if self.random.random() < 0.5:
            self.held.append(thing)
        else:
            thing.drop()

    def numpy(self) -> None:
        """NumPy's own code on our memory: temporaries, growth by realloc, shrinking."""
        n = self.nbytes() // 8 + 1
        with self.choose():
            a = np.full(n, 3.0)
            b = a * a + a - 2 * a
            grown = np.fromiter(range(n % 500), "i8")
            a.resize(n // 2 + 1, refcheck=False)
        if not (b == 6).all() or not (a == 3).all() or grown.sum() != sum(range(n % 500)):
            raise ViolationError(f"NumPy calculates {b[:3]} ... from {a[:3]} ...")
        self.keep(b)

    def lease(self) -> None:
        with self.choose().lease(self.nbytes(), "u1") as a:
            thing = Thing(a, next(self.world.numbers))
            del a
            thing.check()
            if self.random.random() < 0.5:
                self.held.append(thing)  # outlives its block: then it keeps its memory
            else:
                thing.drop()

    def trim(self) -> None:
        self.choose().trim(self.random.choice((0, 0, 64 * KIB, MIB)))

    def look(self) -> None:
        pool = self.choose()
        stats = pool.stats()
        if min(stats.in_use_bytes, stats.reserved_bytes, stats.peak_bytes, stats.hits, stats.misses) < 0:
            raise ViolationError(f"counts below zero: {stats}")
        if pool.limit is not None and stats.reserved_bytes > pool.limit:
            raise ViolationError(f"above the limit: {stats}")
        repr(pool)

    def dying_pool(self) -> None:
        """Closed, or dropped, while its memory is still out, part of it with other threads."""
        pool = self.pool = BufferPool(name="dying", limit=self.random.choice((None, 8 * MIB)))
        things = [Thing(pool.empty(self.nbytes(), "u1"), next(self.world.numbers)) for _ in range(4)]
        things[0].drop()
        if self.random.random() < 0.5:
            pool.close()
            try:
                pool.empty(1)
            except ClosedError:
                pass
            else:
                raise ViolationError("a closed pool gave an array")
        self.pool = pool = None
        self.world.give(things[1])
        self.held += things[2:]

    def dying_thread(self) -> None:
        """One that does some of all this, caches what it dropped, and ends while the others go on."""
        worker = Worker(self.world, next(self.world.numbers), 12)
        worker.operations, worker.weights = ([Worker.array, Worker.blocks, Worker.give, Worker.get], [4, 1, 1, 1])
        thread = threading.Thread(target=worker.run)
        thread.start()
        if self.random.random() < 0.7:
            thread.join()
        else:
            self.world.ending.append(thread)

    # Objects of ours that several threads use, at once or in turn: CPython's own locks order them.

    def buffer(self) -> None:
        self.keep(self.choose().buffer(self.nbytes()))

    def scratch(self) -> None:
        scratch = self.random.choice(self.world.scratches)
        self.pool = scratch.pool
        if self.random.random() < 0.5:
            with scratch as a:
                number = next(self.world.numbers)
                mark(a, number)
                check(a, number)
        else:
            a = scratch.acquire()
            number = next(self.world.numbers)
            mark(a, number)
            if self.random.random() < 0.3:
                self.keep(a)  # a scratch notices that it is not returned
                return
            check(a, number)
            scratch.release(a)

    def export(self) -> None:
        buffer = self.random.choice(self.world.buffers)
        with memoryview(buffer) as view:
            if len(view) != 5000 or not view.contiguous:
                raise ViolationError(f"{buffer!r} shows {view!r}")
            try:
                buffer.release()
            except bufpool.ExportedError:
                pass
            else:
                raise ViolationError("a buffer was released under its export")

    OWN_ORDER: ClassVar[dict[Callable[[Worker], None], int]] = {
        array: 12, zeros: 4, view: 3, block: 12, blocks: 3, resize: 3, drop: 12, give: 8, get: 10, numpy: 5,
        lease: 4, trim: 1, look: 2, dying_pool: 1, dying_thread: 1,
    }  # fmt: skip
    SHARED_OBJECTS: ClassVar[dict[Callable[[Worker], None], int]] = {buffer: 4, scratch: 8, export: 5}


# --- the program -----------------------------------------------------------------------------------------------------


def play(seed: str, threads: int, shared_objects: bool) -> Counter[str]:
    """One round. Raises `ViolationError`."""
    world = World(seed, threads, shared_objects)
    workers = [Worker(world, number, STEPS) for number in range(threads)]
    running = [threading.Thread(target=worker.begin) for worker in workers]
    for thread in running:
        thread.start()
    for thread in itertools.chain(running, world.ending):  # only those that run first make the others
        thread.join()
    if not world.errors:
        world.all_back()
    if world.errors:
        raise ViolationError("\n".join(world.errors))
    return world.counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--own-order", action="store_true", help="no objects that CPython's own locks protect")
    options = parser.parse_args()
    print(f"bufpool from {bufpool.__file__}, seed {options.seed}", flush=True)
    sys.setswitchinterval(1e-4)
    if options.own_order:
        # A collection reads all threads' objects, by an order of CPython's; at its limit a pool asks for one.
        gc.disable()
        gc.collect = lambda: 0

    done: Counter[str] = Counter()
    until = time.monotonic() + options.seconds
    for number in itertools.count():
        if number and time.monotonic() > until:
            break
        seed = f"{options.seed}/{number}"
        try:
            done += play(seed, options.threads, not options.own_order)
        except Exception:
            traceback.print_exc()
            print(f"VIOLATION in round {number} of seed {options.seed}", flush=True)
            return 1
        gc.collect()
    never = {operation.__name__ for operation in Worker.OWN_ORDER} - set(done)
    if never:
        print(f"VIOLATION: {', '.join(sorted(never))} never done")
        return 1
    refused = done.pop("refused", 0)
    print(f"{done.total()} operations in {number} rounds of {options.threads} threads, {refused} refused at a limit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
