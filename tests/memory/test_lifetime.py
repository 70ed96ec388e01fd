"""Who outlives whom: arrays, views, pools, threads, the garbage collector and the interpreter."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool, LimitError
from tests.support.accounting import all_back, conserved, in_use, run_python
from tests.support.threads import in_thread, in_threads

MIB = 1 << 20
SIZES = [64, 5000, 300_000, 3 * MIB]  # bytes: parked, small, large, with a region of its own


MAKERS: dict[str, Callable[[BufferPool, int], Any]] = {
    "empty": lambda pool, n: pool.empty(n, "u1"),
    "array": lambda pool, n: pool.array(bytes(n)).reshape(1),
    "view": lambda pool, n: pool.empty(n, "u1")[n // 2 :],
    "memoryview": lambda pool, n: memoryview(pool.empty(n, "u1")),
    "buffer": lambda pool, n: pool.buffer(n),
    "view of a buffer": lambda pool, n: np.frombuffer(pool.buffer(n), "u1"),
    "lease": lambda pool, n: pool.lease(n, "u1").__enter__(),
    "scratch": lambda pool, n: pool.scratch(n, "u1").acquire(),
}
making = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def fill(thing: Any, value: int) -> None:
    view = memoryview(thing).cast("B")
    view[:] = bytes([value]) * view.nbytes


def shows(thing: Any, value: int) -> bool:
    return set(bytes(memoryview(thing).cast("B"))) == {value}


# --- the pool goes first ---


@making
@pytest.mark.parametrize("n", SIZES)
def test_outlives_the_pool(make: Any, n: int) -> None:
    """And no later pool gets its memory."""
    thing = make(BufferPool(), n)
    fill(thing, 1)
    gc.collect()
    later = BufferPool()
    others = [make(later, n) for _ in range(4)]
    for each in others:
        fill(each, 255)
    assert shows(thing, 1)


@pytest.mark.parametrize("n", SIZES)
def test_array_can_be_used_after_the_pool(n: int) -> None:
    """Views, arithmetic and shrinking; growing may be refused, and leaves the array as it was."""
    a = BufferPool().full(n, 3, "u1")
    gc.collect()
    assert (a[::2] + a[::2] == 6).all()
    with pytest.raises(MemoryError):
        a.resize(4 * n + 4096, refcheck=False)
    assert a.shape == (n,)
    a.resize(max(1, n // 3), refcheck=False)
    assert (a == 3).all()


def test_numpys_own_arrays_outlive_the_pool() -> None:

    def work() -> np.ndarray:
        with BufferPool():
            a = np.arange(100_000)
            return a + a

    result = work()
    gc.collect()
    assert result[-1] == 199_998


def test_pool_is_collected_with_arrays_out() -> None:
    pool = BufferPool()
    weak = weakref.ref(pool)
    a = pool.ones(10)
    del pool
    gc.collect()
    assert weak() is None
    assert a.sum() == 10


def test_pool_dropped_while_it_is_installed() -> None:
    """NumPy keeps working, and no later pool is taken for it."""
    out = run_python("""
        import gc, bufpool, numpy as np
        def install():
            bufpool.BufferPool(name="gone").install()
        install()
        gc.collect()
        print(np.ones(100_000).sum())
        later = bufpool.BufferPool(limit=1 << 16)
        print(later.owns(np.ones(10)), np.ones(100_000).sum())
    """)
    assert out.split() == ["100000.0", "False", "100000.0"]


def test_dropped_pool_gives_its_memory_back() -> None:
    """All of a process's pools hold no more than the arrays that are out."""
    import psutil

    process = psutil.Process()
    grown = 0
    for step in range(60):
        pool = BufferPool()
        arrays = [pool.full(n, 1, "u1") for n in (100, 5000, 300_000, 8 * MIB)]
        del pool, arrays
        if step == 9:
            grown = process.memory_info().rss
    assert process.memory_info().rss - grown < 8 * MIB


@pytest.mark.parametrize("order", ["array first", "pool first", "pool elsewhere"])
def test_many_pools_leak_nothing(order: str) -> None:
    """Also pools whose last reference another thread drops, and pools whose arrays outlive them."""
    import psutil

    def once() -> None:
        pool = BufferPool()
        arrays = [pool.full(n, 1, "u1") for n in (64, 1000, 60_000)]
        if order == "array first":
            arrays.clear()
            del pool
        elif order == "pool first":
            del pool
            arrays.clear()
        else:
            arrays.clear()
            box = [pool]
            del pool
            in_thread(box.clear)

    process = psutil.Process()
    for _ in range(20):
        once()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(200):
        once()
    gc.collect()
    assert process.memory_info().rss - before < 4 * MIB


# --- handles, views, cycles ---


@making
def test_cycle_is_collected(pool: BufferPool, make: Any) -> None:

    class Node:
        pass

    node: Any = Node()
    node.thing, node.itself = make(pool, 1000), node
    del node
    assert in_use(pool) == 0


@pytest.mark.parametrize("name", [each for each in MAKERS if each != "view of a buffer"])
def test_cycle_through_the_pool(name: str) -> None:
    """All cycles but those through the base of an ndarray, which the garbage collector cannot see."""
    make = MAKERS[name]

    class Mine(BufferPool):
        pass

    pool: Any = Mine()
    pool.thing = make(pool, 1000)
    pool.scratch_of_mine = pool.scratch(10)
    weak = weakref.ref(pool)
    del pool
    gc.collect()
    assert weak() is None


@making
def test_resurrected_in_del(pool: BufferPool, make: Any) -> None:
    saved = []

    class Keeper:
        def __init__(self, thing: Any) -> None:
            self.thing = thing
            self.itself = self

        def __del__(self) -> None:
            saved.append(self.thing)

    thing = make(pool, 1000)
    fill(thing, 1)
    keeper = Keeper(thing)
    del keeper, thing
    gc.collect()
    others = [make(pool, 1000) for _ in range(4)]
    for each in others:
        fill(each, 255)
    assert shows(saved[0], 1)
    saved.clear()


@making
def test_del_that_acquires(pool: BufferPool, make: Any) -> None:
    made = []

    class Acquires:
        def __init__(self) -> None:
            self.thing = make(pool, 1000)
            self.itself = self

        def __del__(self) -> None:
            made.append(make(pool, 1000))
            fill(made[-1], len(made))

    for _ in range(5):
        Acquires()
    gc.collect()
    assert [shows(each, number) for number, each in enumerate(made, 1)] == [True] * 5
    made.clear()


def test_del_that_acquires_while_the_limit_collects() -> None:
    """Garbage is collected at the limit, and its finalizer asks for more."""
    pool = BufferPool(MIB, name="tested")
    refused = []

    class Acquires:
        def __init__(self) -> None:
            self.array = pool.empty(MIB, "u1")
            self.itself = self

        def __del__(self) -> None:
            try:
                pool.empty(MIB, "u1")
            except LimitError:
                refused.append(self)

    Acquires()
    with pytest.raises(LimitError):
        pool.empty(MIB, "u1")
    assert len(refused) == 1
    refused.clear()
    assert all_back(pool)


def test_weak_references_and_callbacks(pool: BufferPool) -> None:
    """The callback may take the memory that just came back."""
    taken = []
    a = pool.full(1000, 1, "u1")
    weak = weakref.ref(a, lambda _: taken.append(pool.full(1000, 2, "u1")))
    view = a[:3]
    del a
    assert weak() is not None
    del view
    assert weak() is None
    assert shows(taken.pop(), 2)


def test_finalizer_of_an_array(pool: BufferPool) -> None:
    called = []
    a = pool.empty(3)
    weakref.finalize(a, called.append, 1)
    del a
    assert called == [1]


# --- threads ---


@making
@pytest.mark.parametrize("n", SIZES)
def test_freed_on_another_thread(pool: BufferPool, make: Any, n: int) -> None:
    box = [make(pool, n) for _ in range(5)]
    in_thread(box.clear)
    assert in_use(pool) == 0
    assert conserved(pool)


@pytest.mark.parametrize(
    "make",
    [
        lambda pool, n: pool.empty(n, "u1"),
        lambda pool, n: pool.array(np.zeros(n, "u1")),
        lambda pool, n: pool.zeros_like(np.zeros(n, "u1")),
        lambda pool, n: pool.buffer(n),
    ],
    ids=["empty", "array", "zeros_like", "buffer"],
)
@pytest.mark.parametrize("n", SIZES)
def test_dropped_by_another_thread_while_its_maker_sleeps(pool: BufferPool, make: Any, n: int) -> None:
    """The memory is back at once, without the GIL too, where counts of references are their maker's."""
    box = [make(pool, n) for _ in range(5)]
    seen: list[int] = []

    def drop() -> None:
        box.clear()
        seen.append(pool.stats().in_use_bytes)

    in_thread(drop)
    assert seen == [0]


def test_made_by_a_thread_that_ended(pool: BufferPool) -> None:
    box: list[np.ndarray] = []
    in_thread(lambda: box.extend(pool.full(n, 1, "u1") for n in SIZES))
    assert all((each == 1).all() for each in box)
    box.clear()


def test_what_threads_parked_serves_others(pool: BufferPool) -> None:
    """Small blocks that a thread kept for itself come back when it ends."""

    def work() -> None:
        arrays = [pool.empty(64, "u1") for _ in range(30)]
        arrays.clear()

    for _ in range(50):
        in_thread(work)
    assert pool.stats().reserved_bytes <= 100 * 64
    assert conserved(pool)


def test_pool_closed_on_another_thread(pool: BufferPool) -> None:
    a = pool.full(1000, 1, "u1")
    small = [pool.empty(64, "u1") for _ in range(10)]
    small.clear()
    in_thread(pool.close)
    assert (a == 1).all()


def test_many_threads_conserve(pool: BufferPool) -> None:
    """Arrays go from hand to hand, each with its owner's number."""
    start = threading.Barrier(4)
    exchange: list[tuple[int, np.ndarray]] = []
    wrong = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        start.wait()
        for step in range(300):
            n = int(random.choice([64, 1000, 70_000]))
            number = (seed * 50 + step) % 250
            exchange.append((number, pool.full(n, number, "u1")))
            try:
                expected, other = exchange.pop(0)
            except IndexError:
                continue
            if not (other == expected).all():
                wrong.append(expected)

    in_threads(work, range(4))
    exchange.clear()
    assert wrong == []
    assert in_use(pool) == 0
    assert conserved(pool)


# --- the end of the interpreter ---

AT_EXIT = {
    "array in a global": "a = pool.ones(1000)",
    "array in a module that goes late": "sys.kept = [pool.ones(n) for n in (1, 1000, 10**6)]",
    "cycle": "class C: pass\nc = C(); c.c = c; c.a = pool.ones(1000)",
    "del at the end": (
        "class C:\n  def __del__(self): pool.ones(10); self.a[:] = 2\nc = C(); c.a = pool.ones(9); c.c = c"
    ),
    "installed": "pool.install(); a = np.ones(10_000) + 1",
    "with, never left": "pool.__enter__(); a = np.ones(10_000) + 1; del pool",
    "buffer exported": "b = pool.buffer(100); sys.m = memoryview(b)",
    "lease entered": "lease = pool.lease(100); a = lease.__enter__()",
    "scratch out": "scratch = pool.scratch(100); sys.a = scratch.acquire()[1:]",
    "atexit": "import atexit; atexit.register(lambda: pool.ones(1000))",
    "weakref": "import weakref; sys.w = weakref.finalize(pool, print, end=''); a = pool.ones(9)",
    "thread": "import threading; threading.Thread(target=lambda: setattr(sys, 'a', pool.ones(9))).start()",
    "daemon thread": (
        "import threading, time\ndef work():\n  while True: pool.ones(1000)\n"
        "threading.Thread(target=work, daemon=True).start(); time.sleep(0.02)"
    ),
    "default pool": "bufpool.default_pool().install(); a = np.ones(1000)",
    "closed": "a = pool.ones(1000); pool.close()",
}


@pytest.mark.parametrize("what", AT_EXIT.values(), ids=AT_EXIT)
def test_alive_at_exit(what: str) -> None:
    run_python(f"import sys, bufpool, numpy as np\npool = bufpool.BufferPool()\n{what}")


def test_frequent_collection() -> None:
    """The collector runs at every chance."""
    out = run_python("""
        import gc, bufpool, numpy as np
        gc.set_threshold(1)
        pool = bufpool.BufferPool()
        scratch = pool.scratch(100)
        for step in range(200):
            with pool, pool.lease(50) as a, scratch as b, pool.buffer(10) as c:
                a[:] = step
                b[:] = a.sum()
                d = [pool.array([1.0, step]), memoryview(c)]
                d.append(d)
        del a, b, c, d, scratch
        gc.collect()
        print(pool.stats().in_use_bytes)
    """)
    assert out.split() == ["0"]


def test_a_pool_made_under_a_tracer_goes_at_once() -> None:
    """A tracer that looks at local names fills the dictionary of the frame: nothing may keep that."""

    def trace(frame: FrameType, *_: Any) -> Any:
        assert frame.f_locals is not None
        return trace

    before = sys.gettrace()
    gc.disable()
    try:
        sys.settrace(trace)
        pool = BufferPool()
        sys.settrace(before)
        weak = weakref.ref(pool)
        del pool
        assert weak() is None
    finally:
        sys.settrace(before)
        gc.enable()
