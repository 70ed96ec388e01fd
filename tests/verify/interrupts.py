"""KeyboardInterrupt at every opcode: ``python -m tests.verify.interrupts opcodes|signals N``.

"opcodes": a tracer raises it before the k-th opcode, for all k, of callers that use every construct, and of all Python
code that these run. "signals": a timer's real signal raises it at N moments.

What is promised. The interrupt is never masked. No block is lost: all are back once the names are gone, and every
construct works as before. With a real signal `with pool:` is undone, wherever Python undoes a plain ``with lock:`` (see
`entering_is_interrupted`). The tracer also interrupts where CPython itself never does, between the end of a block and
the call of its ``__exit__``: there the pool stays installed, is still on the list, and ``pool.uninstall()`` takes it
out. `UNBALANCED` are left out: CPython looks for signals at none of them, and there it would itself keep the exception
that was on its way, and all frames with it.
"""

from __future__ import annotations

import dis
import gc
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from itertools import count
from types import FrameType
from typing import Any

import numpy as np

from bufpool import BufferPool, Scratch
from tests.support.accounting import conserved
from tests.verify.subprocesses import report

N = 3000  # elements
LARGE = 1 << 21  # bytes
#: The module's own, so that a caller has no name of it.
OPERAND = np.ones(N)


def leases(pool: BufferPool, scratch: Scratch) -> None:
    with pool.lease(N) as a, pool.lease((2, LARGE // 2), "u1") as b:
        a[:] = 1
        view = b[1:]
    del view


def scratches(pool: BufferPool, scratch: Scratch) -> None:
    for _ in range(2):
        with scratch as a, scratch as b:
            a[0], b[0] = 1, 2


def by_hand(pool: BufferPool, scratch: Scratch) -> None:
    a = scratch.acquire()
    try:
        a[0] = 1
        b = scratch.acquire()
        try:
            b[:] = a
        finally:
            scratch.release(b)
    finally:
        scratch.release(a)


def buffers(pool: BufferPool, scratch: Scratch) -> None:
    with pool.buffer(N) as b:
        b[:2] = b"ab"
    c = pool.buffer(LARGE)
    view = memoryview(c)
    view[0] = 1
    view.release()
    c.release()


def arrays(pool: BufferPool, scratch: Scratch) -> None:
    a = [pool.empty(n, "u1") for n in (10, N, LARGE)]
    a += [pool.zeros(N), pool.full(N, 3), pool.array([1.0, 2]), pool.ones_like(OPERAND)]
    a.append(a[-1][1:])
    pool.prewarm(2, N)


def under_the_pool(pool: BufferPool, scratch: Scratch) -> None:
    with pool:
        a = OPERAND + OPERAND
        with pool:
            a = a * OPERAND
    assert a[0] == 2


@BufferPool(name="decorates")
def decorated(pool: BufferPool, scratch: Scratch) -> np.ndarray:
    return OPERAND + OPERAND


def returning(pool: BufferPool, scratch: Scratch) -> float:
    for i in range(3):
        with pool, pool.lease(N) as a, scratch as b:
            a[:] = b[:] = i
            if i == 1:
                continue
            if i == 2:
                return float(a[0] + b[0])
    return 0.0


def raising(pool: BufferPool, scratch: Scratch) -> None:
    try:
        with pool, pool.lease(N) as a, pool.buffer(N):
            a[:] = 1
            raise ValueError
    except ValueError:
        pass


def stepping(pool: BufferPool, scratch: Scratch) -> None:
    def steps() -> Iterator[int]:
        with scratch as a, pool:
            a[:] = 1
            yield 1
            yield 2

    running = steps()
    next(running)
    running.close()


CALLERS: tuple[Callable[[BufferPool, Scratch], object], ...] = (
    leases, scratches, by_hand, buffers, arrays, under_the_pool, decorated, returning, raising, stepping,
)  # fmt: skip


#: Instructions that put an exception in its place, or take it away.
UNBALANCED = {"PUSH_EXC_INFO", "POP_EXCEPT", "COPY", "RERAISE"}
#: Instructions between the end of a block and the call of its ``__exit__``.
LEAVING = {"LOAD_CONST", "LOAD_COMMON_CONSTANT", "PRECALL", "CALL", "SWAP", "NOP", "WITH_EXCEPT_START"}


class Interrupting:
    """A tracer that raises before the k-th opcode, and says where that was."""

    def __init__(self, opcode: int) -> None:
        self.left = opcode
        self.at = "beyond the end"

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes = True
        if event == "opcode":
            name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if name not in UNBALANCED:
                self.left -= 1
            if self.left == 0:
                self.at = f"{frame.f_code.co_qualname}, line {frame.f_lineno}, {name}"
                raise KeyboardInterrupt
        return self


def ask_for_opcodes() -> None:
    """CPython 3.12 tells a trace function of opcodes once some frame before it has asked for them."""
    sys.settrace(Interrupting(1 << 60))
    try:
        (lambda: None)()
    finally:
        sys.settrace(None)


ask_for_opcodes()


def interrupted(caller: Any, pool: BufferPool, scratch: Scratch, tracer: Any) -> str:
    """Run under the tracer: how it ended."""
    sys.settrace(tracer)
    try:
        caller(pool, scratch)
    except KeyboardInterrupt:
        return "interrupted"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        sys.settrace(None)
    return "not interrupted"


def uninstalled(pool: BufferPool, between: bool) -> Iterator[str]:
    """No installation is left, or those of `between` are taken out by hand."""
    left = 0
    while pool.uninstall():
        left += 1
    if pool.installed:
        yield "installed, and not on the list"
    if left and not between:
        yield "still installed"


def everything_is_back(pool: BufferPool, scratch: Scratch, caller: Any) -> Iterator[str]:
    """What works afterwards, and what is out when the scratch has been used up and is gone."""
    try:
        caller(pool, scratch)
    except BaseException as error:
        yield f"afterwards {type(error).__name__}: {error}"
    if pool.uninstall() or pool.installed:
        yield "still installed afterwards"
    del scratch
    if pool.stats().in_use_bytes:
        gc.collect()
    if not conserved(pool):
        yield f"not conserved: {pool.stats()}"


def at_opcode(caller: Any, opcode: int, wrong: list[str]) -> bool:
    """One interrupt in a context, pool and scratch of its own. False: there are fewer opcodes."""
    pool = BufferPool(name="interrupted")
    scratch = pool.scratch(N)
    tracer = Interrupting(opcode)
    ended = interrupted(caller, pool, scratch, tracer)
    found = []
    if tracer.left > 0:
        return False
    if ended != "interrupted":
        found.append(ended)
    between = tracer.at.rsplit(" ", 1)[1] in LEAVING
    found += uninstalled(pool, between)
    found += everything_is_back(pool, scratch, caller)
    del scratch
    if pool.stats().in_use_bytes:
        gc.collect()
    if pool.stats().in_use_bytes:
        found.append(f"{pool.stats().in_use_bytes} bytes lost")
    wrong += [f"{caller.__qualname__}, opcode {opcode}, {tracer.at}: {each}" for each in found]
    return True


def opcodes(every: int) -> tuple[str, list[str]]:
    """All callers, at each opcode or at every so manieth."""
    wrong: list[str] = []
    tried = 0
    for caller in CALLERS:
        for opcode in count(1, every):
            if not copy_context().run(at_opcode, caller, opcode, wrong):
                break
            tried += 1
    return f"{tried:,} interrupts", wrong


def entering_is_interrupted() -> bool:
    """Whether a signal's exception can come between ``__enter__`` and its block, as on CPython 3.14.

    There it leaves any context manager entered, a lock of Python's own too, and ``pool.uninstall()`` is what helps.
    """
    for number in range(100):
        lock = threading.Lock()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.00001 * number)
            while True:
                with lock:
                    pass
        except KeyboardInterrupt:
            if lock.locked():
                return True
    return False


def signals(times: int) -> tuple[str, list[str]]:
    """A timer interrupts a loop over all callers, each time after another while."""
    generator = random.Random(times)
    wrong: list[str] = []
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    between = entering_is_interrupted()
    pool = BufferPool(name="interrupted")
    for number in range(times):
        scratch = pool.scratch(N)
        found = []
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.003 * generator.random())
            while True:
                for caller in CALLERS:
                    caller(pool, scratch)
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            found.append(f"{type(error).__name__}: {error}")
        found += uninstalled(pool, between)
        del scratch
        if pool.stats().in_use_bytes:
            gc.collect()
        if pool.stats().in_use_bytes or not conserved(pool):
            found.append(f"{pool.stats().in_use_bytes} bytes lost")
        wrong += [f"signal {number}: {each}" for each in found]
    return f"{times:,} interrupts", wrong


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # what is here by now need not be gone through each time
    report(*{"opcodes": opcodes, "signals": signals}[sys.argv[1]](int(sys.argv[2])))
