"""The contenders: what is timed, written once for the command line, the benchmarks and the tests.

A workload is built in the process that will run it, for one way of doing it (`how`) and one size in bytes; what it
builds is a sample (see `sampling`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from math import isqrt
from time import perf_counter

import numpy as np

import bufpool
from bufpool.cli.bench import array_peers, objects, real_code, threads
from bufpool.cli.bench.array_peers import PAGE
from bufpool.cli.bench.sampling import Sample, loop

#: Frames that the reader of a handoff holds together.
BATCH = 4


def under_pool(build: Callable[[], Sample]) -> Sample:
    """The sample that `build` makes, every NumPy allocation of both from a pool with default settings.

    The inputs too: those of a rival come from the rival's allocator, which has the whole process.
    """
    pool = bufpool.BufferPool(name="bench")
    with pool:
        sample = build()

    def run(n: int) -> float:
        with pool:
            return sample(n)

    return run


def scratch(how: str, size: int) -> Sample:
    """Check one array out and back: a list of ready arrays, or a scratch pool, by calls or by ``with``."""
    if how == "list":
        ready = [np.empty(size, np.uint8)]
        return loop("append(pop())", append=ready.append, pop=ready.pop)
    pool = bufpool.BufferPool(name="bench")
    ours = pool.scratch(size, np.uint8)
    if how == "with":
        return loop("with scratch as a: pass", scratch=ours)
    return loop("release(acquire())", acquire=ours.acquire, release=ours.release)


def empty(how: str, size: int) -> Sample:
    """Get an array and drop it, never touching its memory."""
    make = np.empty if how == "plain" else bufpool.BufferPool(name="bench").empty
    return loop("empty(n, f4)", empty=make, n=size // 4, f4=np.float32)


def lease_of_an_array(how: str, size: int) -> Sample:
    """Borrow an array for a block of code, or get one and drop it."""
    if how == "plain":
        return loop("a = empty(n, u1); del a", empty=np.empty, n=size, u1=np.uint8)
    pool = bufpool.BufferPool(name="bench")
    return loop("with lease(n, u1) as a: pass", lease=pool.lease, n=size, u1=np.uint8)


def zeros(how: str, size: int) -> Sample:
    """Get a zeroed array, write to each page, drop it."""
    make = np.zeros if how == "plain" else bufpool.BufferPool(name="bench").zeros
    return loop("a = zeros(n, u1); a[::page] = 1; del a", zeros=make, n=size, u1=np.uint8, page=PAGE)


def four(how: str, size: int) -> Sample:
    """Four arrays live at once, one write to each page of each, then all dropped or given back."""
    if how in array_peers.FOUR:
        return array_peers.FOUR[how].make(size)
    if how == "dict":
        return array_peers.by_key(size)
    if how == "list":
        ready = [np.empty(size, np.uint8) for _ in range(4)]
        return array_peers.four_in_turn("pop()", "append({})", pop=ready.pop, append=ready.append)
    make = np.empty if how == "plain" else bufpool.BufferPool(name="bench").empty
    return array_peers.four_in_turn("empty(n, u1)", "", empty=make, n=size, u1=np.uint8)


def expression(how: str, size: int) -> Sample:
    """``y = sqrt(a*a + b*b) + c*d`` on float32, the result kept until the next one replaces it.

    ``out`` is the best version by hand: two scratch arrays, everything else in place.
    """
    if how in array_peers.EXPRESSION:
        return array_peers.EXPRESSION[how].make(size)

    def build() -> Sample:
        inputs = array_peers.operands(size)
        if how == "out":
            t, u = np.empty_like(inputs["a"]), np.empty_like(inputs["a"])
            root = "mul(a, a, out=t); mul(b, b, out=u); add(t, u, out=t); sqrt(t, out=t)"
            by_hand = f"{root}; mul(c, d, out=u); add(t, u, out=t)"
            return loop(by_hand, mul=np.multiply, add=np.add, sqrt=np.sqrt, t=t, u=u, **inputs)
        return loop("y = sqrt(a*a + b*b) + c*d", sqrt=np.sqrt, **inputs)

    return under_pool(build) if how == "pool" else build()


def handoff(how: str, size: int, *, source: str, write: str) -> Sample:
    """Four frames made by one thread, handed over by a ``queue.Queue``, read and dropped together by another.

    `source` is the thread that makes them, "main" or "worker": glibc gives each thread an arena of its own, and they
    shrink by different rules.  `write` is how it writes them: "touched", one byte in each page, shows the cost of the
    memory itself; "filled", every byte, adds the writing that a decoder has to do anyway.  The reader keeps a batch of
    four, as filters over time and data loaders do: with fewer frames alive it is chance whether glibc gives memory
    back between two of them.  With ``how="list"`` ready frames go round through a second queue: nothing is allocated.
    """
    orders: queue.SimpleQueue[int] = queue.SimpleQueue()
    finished: queue.SimpleQueue[None] = queue.SimpleQueue()
    frames: queue.Queue[np.ndarray] = queue.Queue(maxsize=BATCH)
    pool = bufpool.BufferPool(name="bench") if how == "pool" else None
    step = PAGE if write == "touched" else 1
    ready: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
    for _ in range(2 * BATCH + 1 if how == "list" else 0):  # a batch, a full queue, and the one in the making
        ready.put(np.zeros(size, np.uint8))

    def make(n: int) -> None:
        for number in range(BATCH * n):
            frame = ready.get() if how == "list" else np.empty(size, np.uint8)
            frame[::step] = number & 255
            frames.put(frame)
            del frame  # else the next frame would be made while this name still holds the last

    def use(n: int) -> None:
        for _ in range(n):
            batch = [frames.get() for _ in range(BATCH)]
            for frame in batch:
                frame[::PAGE].max()
            if how == "list":
                for frame in batch:
                    ready.put(frame)
            del frame, batch

    there, here = (use, make) if source == "main" else (make, use)

    def serve() -> None:
        if pool is not None:
            pool.install()  # the handler is a context variable: a new thread starts without it
        while True:
            there(orders.get())
            finished.put(None)

    # One thread for all samples, as in a program that plays a film; a daemon, for it waits when the process ends.
    threading.Thread(target=serve, name="bench handoff", daemon=True).start()

    def sample(n: int) -> float:
        start = perf_counter()
        orders.put(n)
        with nullcontext() if pool is None else pool:
            here(n)
        finished.get()
        return perf_counter() - start

    return sample


def _piece(name: str) -> Callable[[str, int], Sample]:
    def piece(how: str, size: int) -> Sample:
        height = isqrt(size // real_code.BYTES_PER_PIXEL * 9 // 16)

        def build() -> Sample:
            function, inputs = real_code.PIECES[name](height, height * 16 // 9)
            return loop("y = function(*inputs)", function=function, inputs=inputs)

        return under_pool(build) if how == "pool" else build()

    piece.__doc__ = f"The piece of real code called {name!r}, on a frame of `size` bytes."
    return piece


WORKLOADS: dict[str, Callable[[str, int], Sample]] = {
    "scratch": scratch,
    "empty": empty,
    "lease of an array": lease_of_an_array,
    "zeros": zeros,
    "four": four,
    "expression": expression,
    "bytes": array_peers.some_bytes,
    **{
        f"handoff {source} {write}": partial(handoff, source=source, write=write)
        for source in ("main", "worker")
        for write in ("touched", "filled")
    },
    **{name: _piece(name) for name in real_code.PIECES},
    **{f"same thread x {count}": partial(threads.same, count=count) for count in threads.COUNTS},
    **{f"ring x {count}": partial(threads.handoff, count=count) for count in threads.COUNTS},
    **objects.WORKLOADS,
}
