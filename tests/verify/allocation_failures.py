"""Each allocation of an operation failed once: ``python -m tests.verify.allocation_failures python|system [every]``.

"python": the interpreter's and NumPy's own, one after the other, until the operation comes through. "system": what our
modules ask of the C library and of the kernel, under ``fail_nth.cpp``, each from a process in which no pool was ever
made. After each: no byte lost, no reference left, nothing installed, and the same operation succeeds.
"""

from __future__ import annotations

import _testcapi
import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from itertools import count, islice
from typing import Any

from bufpool import BufferPool
from tests.support.accounting import conserved
from tests.verify.operations import DTYPE, KINDS, OPERATIONS
from tests.verify.subprocesses import in_child, report

Say = Callable[[str], None]


class PythonAllocations:
    """Fails the Nth allocation through the interpreter's allocators, of all domains."""

    @contextmanager
    def failing(self, number: int) -> Iterator[None]:
        _testcapi.set_nomemory(number - 1, number)
        try:
            yield
        finally:
            _testcapi.remove_mem_hooks()

    def were_fewer(self, number: int) -> bool:
        """Whether the failure is still to come. Asked inside `failing`."""
        try:
            for _ in range(number):
                bytearray(700)
        except MemoryError:
            return True
        return False


class SystemCalls:
    """Fails the Nth call that our modules make to get memory: malloc, mmap, mlock and so on."""

    def __init__(self) -> None:
        shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self.fail_nth, self.seen = shim.fail_nth, shim.fail_nth_seen
        self.seen.restype = ctypes.c_long
        self.fail_nth.argtypes = [ctypes.c_long]

    @contextmanager
    def failing(self, number: int) -> Iterator[None]:
        self.fail_nth(number)
        try:
            yield
        finally:
            self.fail_nth(0)

    def were_fewer(self, number: int) -> bool:
        return self.seen() < number


def references(pool: BufferPool) -> tuple[int, int]:
    return sys.getrefcount(pool), sys.getrefcount(DTYPE)


def left_in_a_context(held: object) -> bool:
    """Whether a node of CPython's own tables of context variables still leads to it.

    Without memory for one of several nodes it loses the others: a leak of its own, in those processes in which the
    variables' hashes, which come from their addresses, make it need several.
    """
    holders = [each for each in gc.get_referrers(held) if type(each) is tuple or type(each).__name__.startswith("hamt")]
    return any(type(each) is not tuple or left_in_a_context(each) for each in holders)


def attempt(failing: Any, number: int, run: Callable[[], object]) -> tuple[bool, str]:
    """Do it with the Nth allocation failing: whether there were so many, and what is wrong with how it ended."""
    wrong = ""
    with failing.failing(number):
        try:
            run()
        except MemoryError:
            fewer = False
        except BaseException as error:
            fewer, wrong = False, error
        else:
            fewer = failing.were_fewer(number)
    return not fewer, wrong and f"{type(wrong).__name__}: {wrong}"


def trial(failing: Any, settings: dict[str, Any], prepare: Any, number: int, say: Say) -> bool:
    """One operation on a new pool. False: it makes fewer allocations than that."""
    pool = BufferPool(name="starved", **settings)
    before = references(pool)
    run = prepare(pool)
    reached, wrong = attempt(failing, number, run)
    if wrong:
        say(wrong)
    if pool.installed or pool.uninstall():
        say("still installed")
    try:
        run()
    except BaseException as error:
        say(f"afterwards {type(error).__name__}: {error}")
    del run
    gc.collect()
    after = references(pool)
    if after != before and not left_in_a_context(pool):
        say(f"references to the pool and the dtype: {before} before, {after} after")
    if pool.stats().in_use_bytes != 0 or not conserved(pool):
        say(f"{pool.stats().in_use_bytes} bytes lost")
    pool.trim()
    if pool.stats().reserved_bytes != 0:
        say(f"{pool.stats().reserved_bytes} bytes cannot be given back")
    return reached


def tell_unraisable(say: Say, seen: Any) -> None:
    """Where the interpreter cannot raise, it says that there is no memory: that is its own affair."""
    if not issubclass(seen.exc_type, MemoryError):
        say(f"unraisable: {seen.exc_value!r} in {seen.object!r}")


def all_of(failing: Any, settings: dict[str, Any], prepare: Any, say: Say) -> None:
    """One allocation after the other, all in this process."""
    sys.unraisablehook = partial(tell_unraisable, say)
    for number in count(1):
        say(f"#{number}")
        # What stays installed by mistake stays in this copy of the context.
        if not copy_context().run(trial, failing, settings, prepare, number, say):
            return


def one_of(failing: Any, settings: dict[str, Any], prepare: Any, number: int, say: Say) -> None:
    """One system call, the pool's own making included; a fork afterwards finds all locks open."""

    def run() -> None:
        pool = BufferPool(name="starved", **settings)
        made = prepare(pool)
        made()

    done, wrong = attempt(failing, number, run)
    if done:
        say(f"#{number}")
    if wrong:
        say(wrong)
    trial(failing, settings, prepare, sys.maxsize, say)
    said, ended = in_child(lambda tell: trial(failing, settings, prepare, sys.maxsize, tell) and None)
    for each in (*said, ended):
        if each:
            say(f"in a child: {each}")


def main() -> None:
    what, every = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    gc.collect()
    gc.freeze()  # what is here by now need not be gone through each time
    tried, violations = 0, []
    cases = [(kind, name) for kind in KINDS for name in OPERATIONS]
    for kind, name in islice(cases, 0, None, every):
        settings, prepare = KINDS[kind], OPERATIONS[name]
        if what == "python":
            works = iter([partial(all_of, PythonAllocations(), settings, prepare)])
        else:
            works = (partial(one_of, SystemCalls(), settings, prepare, number) for number in count(1))
        for work in works:
            said, ended = in_child(work)
            numbers = [each for each in said if each.startswith("#")]
            tried += len(numbers)
            at = ""
            for each in said:
                at = each if each.startswith("#") else at
                if not each.startswith("#"):
                    violations.append(f"{kind} pool, {name}, {at}: {each}")
            if ended:
                violations.append(f"{kind} pool, {name}, {at}: {ended}")
            if not numbers:
                break
    report(f"{tried:,} failed once", violations)


if __name__ == "__main__":
    main()
