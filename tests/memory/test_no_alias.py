"""A stale name never aliases another borrower's memory.

A machine takes memory from one pool in every way there is, holds on to it in every way we know, lets go, releases,
trims and collects, in an order that hypothesis chooses. A model knows which number each borrower wrote; after every
step each reference that is left must still show its borrower's number, or nothing (a lease's detached name).
"""

from __future__ import annotations

import gc
import pickle
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bufpool import Buffer, BufferPool, DoubleReleaseError, ExportedError, LimitError, Scratch
from tests.support.accounting import all_back, conserved
from tests.support.array_holders import HOLDERS

SIZES = [64, 1000, 5000, 70_000, 300_000, 3 << 20]  # bytes
LIMIT = 8 << 20
MOST = 24  # references held at once

HOLDING = [name for name, (_, look) in HOLDERS.items() if look is not None]


class Borrowed(NamedTuple):
    """A reference to pooled memory, and what it must show."""

    look: Callable[[], Any]  # gives the bytes that it sees now
    number: int
    may_be_empty: bool  # a lease's name, which may have been detached


def whole(thing: Any) -> Callable[[], Any]:
    """The bytes of an array or buffer."""
    return lambda: np.asarray(thing)


def shows(borrowed: Borrowed) -> bool:
    """Its own number on its first and last bytes and in between: a foreign borrower would have written to them all."""
    seen = np.asarray(borrowed.look())
    if seen.size == 0:
        return borrowed.may_be_empty
    for axis, length in enumerate(seen.shape):
        seen = seen.take(sorted({0, length - 1, *range(0, length, max(1, length // 30))}), axis)
    return set(seen.astype("u1").ravel().tolist()) == {borrowed.number}


# --- ways to leave a lease with something in hand ---------------------------------------------------------------------


def plain(pool: BufferPool, n: int, number: int) -> list[Any]:
    with pool.lease(n, "u1") as a:
        a[:] = number
    return [a]


def two_names(pool: BufferPool, n: int, number: int) -> list[Any]:
    with pool.lease(n, "u1") as a:
        a[:] = number
        b = a
    return [a, b]


def rebound(pool: BufferPool, n: int, number: int) -> list[Any]:
    with pool.lease(n, "u1") as a:
        a[:] = number
        a = a[1:]
    return [a]


def name_and_view(pool: BufferPool, n: int, number: int) -> list[Any]:
    with pool.lease(n, "u1") as a:
        a[:] = number
        b = a[::2]
    return [a, b]


def in_a_list(pool: BufferPool, n: int, number: int) -> list[Any]:
    kept = []
    with pool.lease(n, "u1") as a:
        a[:] = number
        kept.append(a)
    return kept


def shared_with_inner(pool: BufferPool, n: int, number: int) -> list[Any]:
    with pool.lease(n, "u1") as a:
        a[:] = number

    def inner() -> np.ndarray:
        return a

    return [inner()]


def by_exception(pool: BufferPool, n: int, number: int) -> list[Any]:
    try:
        with pool.lease(n, "u1") as a:
            a[:] = number
            raise KeyError(a[:7])
    except KeyError as error:
        return [a, error.args[0]]


def through_exit_stack(pool: BufferPool, n: int, number: int) -> list[Any]:
    with ExitStack() as stack:
        a = stack.enter_context(pool.lease(n, "u1"))
        a[:] = number
    return [a]


def ended_by_another(pool: BufferPool, n: int, number: int) -> list[Any]:
    def end(lease: Any, a: np.ndarray, b: np.ndarray) -> None:
        c = b
        lease.__exit__(None, None, None)
        assert c is a

    lease = pool.lease(n, "u1")
    a = lease.__enter__()
    a[:] = number
    end(lease, a, a)
    return [a]


def from_a_generator(pool: BufferPool, n: int, number: int) -> list[Any]:
    def give() -> Any:
        with pool.lease(n, "u1") as a:
            a[:] = number
            yield a

    return list(give())


def nested(pool: BufferPool, n: int, number: int) -> list[Any]:
    with pool.lease(n, "u1") as a, pool.lease(n, "u1") as b:
        a[:] = b[:] = number
        b = b.reshape(1, -1)[0]
    return [a, b]


LEASING = [
    plain,
    two_names,
    rebound,
    name_and_view,
    in_a_list,
    shared_with_inner,
    by_exception,
    through_exit_stack,
    ended_by_another,
    from_a_generator,
    nested,
]

MAKING: list[Callable[[BufferPool, int, int], np.ndarray]] = [
    lambda pool, n, number: pool.full(n, number, "u1"),
    lambda pool, n, number: pool.zeros(n, "u1") + np.uint8(number),
    lambda pool, n, number: pool.full_like(b"", number, "u1", shape=n),
    lambda pool, n, number: pool.array(np.full(n, number, "u1")),
    lambda pool, n, number: pool(np.full)(n, number, "u1"),
    lambda pool, n, number: pool(
        lambda: np.concatenate([np.full(n - 1, number, "u1"), np.full(1, number, "u1")])
    )(),
    lambda pool, n, number: pool.full(n, number, "u1", alignment=4096),
]

EXPORTING: list[Callable[[Buffer], Any]] = [
    memoryview,
    lambda b: b[1:],
    lambda b: np.frombuffer(b, "u1"),
    lambda b: np.asarray(b)[::3],
    lambda b: np.ndarray((b.nbytes,), "u1", buffer=b),
    lambda b: np.ndarray((b.nbytes - 4,), "u1", buffer=memoryview(b), offset=4),
    lambda b: pickle.PickleBuffer(b).raw(),
    np.from_dlpack,
]


class NoAlias(RuleBasedStateMachine):
    """Random borrowers of one pool; `kept` is the model."""

    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.kept: list[Borrowed] = []
        self.arrays: list[tuple[np.ndarray, int]] = []  # whose holders can be made
        self.buffers: list[tuple[Buffer, int]] = []
        self.scratches: list[Scratch] = []
        self.out: list[tuple[Scratch, np.ndarray]] = []  # checked out and not released

    @initialize(size=st.sampled_from(SIZES))
    def start(self, size: int) -> None:
        self.pool = BufferPool(name="machine", **self.settings)
        self.scratches = [self.pool.scratch(size, "u1"), self.pool.scratch(SIZES[1], "u1")]

    def next_number(self) -> int:
        """Never 0 (fresh memory), and no number twice within any 250 borrowers."""
        self.number = self.number % 250 + 1
        return self.number

    def keep(self, thing: Any, number: int, *, may_be_empty: bool = False) -> None:
        self.kept.append(Borrowed(whole(thing), number, may_be_empty))

    def attempt(self, make: Callable[[], Any]) -> Any:
        """A bounded pool may be full of what is kept: then something is let go."""
        try:
            return make()
        except MemoryError:
            assert self.pool.limit is not None
        self.let_go_of_half()
        return None

    def let_go_of_half(self) -> None:
        for held in (self.kept, self.arrays, self.buffers, self.out):
            del held[::2]

    # --- borrow ---

    @rule(size=st.sampled_from(SIZES), make=st.sampled_from(MAKING))
    def make_array(self, size: int, make: Any) -> None:
        number = self.next_number()
        a = self.attempt(lambda: make(self.pool, size, number))
        if a is not None:
            self.arrays.append((a, number))
            self.keep(a, number)

    @rule(size=st.sampled_from(SIZES), lease=st.sampled_from(LEASING))
    def leave_a_lease(self, size: int, lease: Any) -> None:
        number = self.next_number()
        for each in self.attempt(lambda: lease(self.pool, size, number)) or ():
            self.keep(each, number, may_be_empty=True)

    @rule(size=st.sampled_from(SIZES), hold=st.sampled_from(HOLDING))
    def leave_a_lease_with_a_holder(self, size: int, hold: str) -> None:
        number = self.next_number()
        make, look = HOLDERS[hold]

        def leave() -> Any:
            with self.pool.lease(size, "u1") as a:
                a[:] = number
                return make(a)

        held = self.attempt(leave)
        if held is not None:
            self.kept.append(Borrowed(lambda: look(held), number, False))

    @rule(which=st.booleans(), hold=st.sampled_from([None, *HOLDING]), release=st.booleans())
    def use_a_scratch(self, which: bool, hold: str | None, release: bool) -> None:
        scratch = self.scratches[which]
        number = self.next_number()
        a = self.attempt(scratch.acquire)
        if a is None:
            return
        a[:] = number
        if hold is not None:
            make, look = HOLDERS[hold]
            held = make(a)
            self.kept.append(Borrowed(lambda: look(held), number, False))
        if release:
            scratch.release(a)
        else:
            self.keep(a, number, may_be_empty=True)
            self.out.append((scratch, a))

    @rule(which=st.booleans(), view=st.booleans())
    def use_a_scratch_in_a_block(self, which: bool, view: bool) -> None:
        number = self.next_number()

        def block() -> np.ndarray:
            with self.scratches[which] as a:
                a[:] = number
                if view:
                    a = a[1:]
            return a

        a = self.attempt(block)
        if a is not None:
            self.keep(a, number, may_be_empty=True)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def release_to_the_scratch(self, data: st.DataObject) -> None:
        scratch, a = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        try:
            scratch.release(a)
        except DoubleReleaseError:
            # The end of an inner block may have given it back in the meantime.
            return
        with pytest.raises(DoubleReleaseError):
            scratch.release(a)

    @rule(size=st.sampled_from(SIZES), export=st.sampled_from([None, *EXPORTING]), block=st.booleans())
    def make_buffer(self, size: int, export: Any, block: bool) -> None:
        number = self.next_number()
        buffer = self.attempt(lambda: self.pool.buffer(size))
        if buffer is None:
            return
        buffer[:] = bytes([number]) * size
        if export is not None:
            self.keep(export(buffer), number)
        if block:
            with buffer:
                pass
        else:
            self.buffers.append((buffer, number))
            self.kept.append(Borrowed(lambda: () if buffer.released else np.asarray(buffer), number, True))

    # --- hold on ---

    @precondition(lambda self: self.arrays)
    @rule(data=st.data(), hold=st.sampled_from(HOLDING))
    def hold_an_array(self, data: st.DataObject, hold: str) -> None:
        a, number = data.draw(st.sampled_from(self.arrays))
        make, look = HOLDERS[hold]
        held = make(a)
        self.kept.append(Borrowed(lambda: look(held), number, False))

    @precondition(lambda self: self.buffers)
    @rule(data=st.data(), export=st.sampled_from(EXPORTING))
    def export_a_buffer(self, data: st.DataObject, export: Any) -> None:
        buffer, number = data.draw(st.sampled_from(self.buffers))
        if not buffer.released:
            self.keep(export(buffer), number)

    # --- let go ---

    @precondition(lambda self: self.buffers)
    @rule(data=st.data(), block=st.booleans())
    def release_a_buffer(self, data: st.DataObject, block: bool) -> None:
        buffer, _ = self.buffers.pop(data.draw(st.integers(0, len(self.buffers) - 1)))
        if block:
            with buffer:
                pass
            assert buffer.released
            return
        try:
            buffer.release()
        except ExportedError:
            assert not buffer.released
        else:
            with pytest.raises(DoubleReleaseError):
                buffer.release()

    @precondition(lambda self: self.arrays)
    @rule(data=st.data())
    def drop_the_name_of_an_array(self, data: st.DataObject) -> None:
        del self.arrays[data.draw(st.integers(0, len(self.arrays) - 1))]

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def drop_a_reference(self, data: st.DataObject) -> None:
        del self.kept[data.draw(st.integers(0, len(self.kept) - 1))]

    @precondition(lambda self: len(self.kept) > MOST)
    @rule()
    def drop_many(self) -> None:
        self.let_go_of_half()

    @rule(size=st.sampled_from(SIZES))
    def resize(self, size: int) -> None:
        number = self.next_number()
        a = self.attempt(lambda: self.pool.full(64, number, "u1"))
        if a is None:
            return
        if self.attempt(lambda: (a.resize(size, refcheck=False), True)):
            a[:] = number
        self.keep(a, number)

    @rule(keep=st.sampled_from([0, 100_000]))
    def trim(self, keep: int) -> None:
        self.pool.trim(keep)

    @rule()
    def collect(self) -> None:
        gc.collect(0)

    # --- what must hold after every step ---

    @invariant()
    def everybody_sees_their_own(self) -> None:
        assert [each for each in self.kept if not shows(each)] == []

    @invariant()
    def nothing_is_lost(self) -> None:
        assert not hasattr(self, "pool") or conserved(self.pool)

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        for held in (self.kept, self.arrays, self.buffers, self.out, self.scratches):
            held.clear()
        assert all_back(self.pool)


POOLS: dict[str, dict[str, Any]] = {
    "unbounded": {},
    "bounded": {"limit": LIMIT},
    "nothing idle": {"max_retained": 0},
    "wiped, plain pages, aligned": {"wipe": True, "upstream": "plain", "alignment": 1024},
}


@pytest.mark.slow
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_no_borrower_sees_another(pool: dict[str, Any]) -> None:
    machine = type("Machine", (NoAlias,), {"settings": pool})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_no_thread_sees_another(limit: int | None) -> None:
    """The same between threads, which share the pool, a scratch, and what they let go of."""
    pool = BufferPool(limit, name="threads")
    scratch = pool.scratch(5000, "u1")
    shelf: list[Borrowed] = []
    wrong: list[Borrowed] = []
    until = time.monotonic() + 0.5

    def work(seed: int, scratch: Scratch) -> None:
        chance = random.Random(seed)
        while time.monotonic() < until:
            number = chance.randrange(1, 251)
            size = chance.choice(SIZES[:4])
            try:
                match chance.randrange(5):
                    case 0:
                        things = [chance.choice(MAKING)(pool, size, number)]
                    case 1:
                        things = chance.choice(LEASING)(pool, size, number)
                    case 2:
                        a = scratch.acquire()
                        a[:] = number
                        scratch.release(a)
                        things = [a]
                        del a
                    case 3:
                        a = scratch.acquire()
                        a[:] = number
                        things = [a[5:]]
                        scratch.release(a)
                        del a
                    case _:
                        with pool.buffer(size) as buffer:
                            buffer[:] = bytes([number]) * size
                            things = [chance.choice(EXPORTING)(buffer)]
            except LimitError:
                things = []
            shelf.extend(Borrowed(whole(each), number, True) for each in things)
            del things
            while len(shelf) > 20:
                try:
                    taken = shelf.pop(chance.randrange(10))
                except IndexError:
                    break
                if not shows(taken):
                    wrong.append(taken)
                del taken

    threads = [threading.Thread(target=work, args=(seed, scratch)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    wrong += [each for each in shelf if not shows(each)]
    assert wrong == []
    shelf.clear()
    del scratch
    assert all_back(pool)
