"""Workloads of the buffer pool in one thread, and frames handed from one thread to another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import nullcontext
from math import isqrt
from time import perf_counter

import numpy as np

import bufpool
from benchmarks.harness.sampling import Sample, loop
from benchmarks.peers import arrays
from benchmarks.peers.arrays import PAGE
from benchmarks.workloads import image_code

#: Frames that the reader of a handoff holds at once.
BATCH = 4


def under_pool(build: Callable[[], Sample]) -> Sample:
    """Build and run a sample with every NumPy allocation from a pool with default settings.

    The inputs too: another allocator also serves the inputs, because it serves the whole process.
    """
    pool = bufpool.BufferPool(name="bench")
    with pool:
        sample = build()

    def run(n: int) -> float:
        with pool:
            return sample(n)

    return run


def scratch(how: str, size: int) -> Sample:
    """Check one array out and back: a list of ready arrays, or a scratch pool by calls or by ``with``."""
    if how == "list":
        ready = [np.empty(size, np.uint8)]
        return loop("append(pop())", append=ready.append, pop=ready.pop)
    pool = bufpool.BufferPool(name="bench")
    ours = pool.scratch(size, np.uint8)
    if how == "with":
        return loop("with scratch as a: pass", scratch=ours)
    return loop("release(acquire())", acquire=ours.acquire, release=ours.release)


def empty(how: str, size: int) -> Sample:
    """Allocate an array and free it, untouched."""
    make = np.empty if how == "plain" else bufpool.BufferPool(name="bench").empty
    return loop("empty(n, f4)", empty=make, n=size // 4, f4=np.float32)


def lease_of_an_array(how: str, size: int) -> Sample:
    """Lease an array for a block of code, or allocate one and free it."""
    if how == "plain":
        return loop("a = empty(n, u1); del a", empty=np.empty, n=size, u1=np.uint8)
    pool = bufpool.BufferPool(name="bench")
    return loop("with lease(n, u1) as a: pass", lease=pool.lease, n=size, u1=np.uint8)


def zeros(how: str, size: int) -> Sample:
    """Allocate a zeroed array, write to each page, free it."""
    make = np.zeros if how == "plain" else bufpool.BufferPool(name="bench").zeros
    return loop("a = zeros(n, u1); a[::page] = 1; del a", zeros=make, n=size, u1=np.uint8, page=PAGE)


def four(how: str, size: int) -> Sample:
    """Four arrays alive at once, one write to each page of each, then all freed or released."""
    if how in arrays.FOUR:
        return arrays.FOUR[how].make(size)
    if how == "dict":
        return arrays.by_key(size)
    if how == "list":
        ready = [np.empty(size, np.uint8) for _ in range(4)]
        return arrays.four_in_turn("pop()", "append({})", pop=ready.pop, append=ready.append)
    make = np.empty if how == "plain" else bufpool.BufferPool(name="bench").empty
    return arrays.four_in_turn("empty(n, u1)", "", empty=make, n=size, u1=np.uint8)


def expression(how: str, size: int) -> Sample:
    """``y = sqrt(a*a + b*b) + c*d`` on float32; the result lives until the next one replaces it.

    ``out`` is the best hand-written version: two temporaries, everything else in place.
    """
    if how in arrays.EXPRESSION:
        return arrays.EXPRESSION[how].make(size)

    def build() -> Sample:
        inputs = arrays.operands(size)
        if how == "out":
            t, u = np.empty_like(inputs["a"]), np.empty_like(inputs["a"])
            root = "mul(a, a, out=t); mul(b, b, out=u); add(t, u, out=t); sqrt(t, out=t)"
            by_hand = f"{root}; mul(c, d, out=u); add(t, u, out=t)"
            return loop(by_hand, mul=np.multiply, add=np.add, sqrt=np.sqrt, t=t, u=u, **inputs)
        return loop("y = sqrt(a*a + b*b) + c*d", sqrt=np.sqrt, **inputs)

    return under_pool(build) if how == "pool" else build()


def handoff(how: str, size: int, *, source: str, write: str) -> Sample:
    """Four frames made by one thread, passed through a ``queue.Queue``, then read and freed together by another.

    `source` is the thread that makes them, "main" or "worker": the arenas that glibc has for them shrink by different
    rules. `write` is how it writes them: "touched", one byte in each page, shows the cost of the memory itself;
    "filled", every byte, adds the writing that a decoder does anyway. The reader keeps a batch of four, as temporal
    filters and data loaders do: with fewer frames alive, it is chance whether glibc returns memory between two of
    them. With ``how="list"`` ready frames come back through a second queue, and nothing is allocated.
    """
    orders: queue.SimpleQueue[int] = queue.SimpleQueue()
    finished: queue.SimpleQueue[None] = queue.SimpleQueue()
    frames: queue.Queue[np.ndarray] = queue.Queue(maxsize=BATCH)
    pool = bufpool.BufferPool(name="bench") if how == "pool" else None
    step = PAGE if write == "touched" else 1
    ready: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
    for _ in range(2 * BATCH + 1 if how == "list" else 0):  # a batch, a full queue, and the one being made
        ready.put(np.zeros(size, np.uint8))

    def make(n: int) -> None:
        for number in range(BATCH * n):
            frame = ready.get() if how == "list" else np.empty(size, np.uint8)
            frame[::step] = number & 255
            frames.put(frame)
            del frame  # otherwise this name would keep the frame alive while the next one is made

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
            pool.install()  # the handler is a context variable, which new threads do not inherit
        while True:
            there(orders.get())
            finished.put(None)

    # One thread for all samples, as in a program that plays a film; a daemon, because it never ends.
    threading.Thread(target=serve, name="bench handoff", daemon=True).start()

    def sample(n: int) -> float:
        start = perf_counter()
        orders.put(n)
        with nullcontext() if pool is None else pool:
            here(n)
        finished.get()
        return perf_counter() - start

    return sample


def image_code_piece(how: str, size: int, *, name: str) -> Sample:
    """The piece of image code called `name`, on a frame of `size` bytes."""
    height = isqrt(size // image_code.BYTES_PER_PIXEL * 9 // 16)

    def build() -> Sample:
        function, inputs = image_code.PIECES[name](height, height * 16 // 9)
        return loop("y = function(*inputs)", function=function, inputs=inputs)

    return under_pool(build) if how == "pool" else build()
