"""Which ways to end a buffer or a lease return the memory at once on this Python, and which defer it.

Deferred means: until the object is gone. That is always safe. What returns at once is proven by counting references,
and Pythons differ in how they count. So the suite says what happened, and for the Pythons it knows, what must happen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bufpool import BufferPool
from bufpool.memory.native import _frames
from tests.verify.references import random_functions

N = 24 << 10
FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()
#: Pythons whose arguments borrow their caller's reference.
BORROWS = sys.version_info >= (3, 14)
KNOWN = (3, 11) <= sys.version_info < (3, 16)
AT_ONCE, DEFERRED = "at once", "deferred"

pool = BufferPool(name="references")


def made() -> Any:
    """Return a buffer that was looked into, so that only a count shows that nobody looks any more."""
    buffer = pool.buffer(N)
    memoryview(buffer).release()
    return buffer


def happened() -> str:
    return DEFERRED if pool.stats().in_use_bytes else AT_ONCE


def ended_by_callee(buffer: Any) -> str:
    buffer.release()
    return happened()


def passed_on(buffer: Any) -> str:
    return ended_by_callee(buffer)


# --- buffers: the calls ----------------------------------------------------------------------------------------------


def release_of_a_local() -> str:
    b = made()
    b.release()
    return happened()


def release_of_a_local_that_is_checked() -> str:
    for b in (made(), None):
        if b is None:
            break
        kept = b
    del b
    kept.release()
    return happened()


def release_through_the_class() -> str:
    b = made()
    type(b).release(b)
    return happened()


def release_bound_before() -> str:
    b = made()
    end = b.release
    end()
    return happened()


def release_of_a_temporary() -> str:
    made().release()
    return happened()


def release_of_two_names() -> str:
    b = made()
    c = b
    b.release()
    assert c.released
    return happened()


def release_of_two_names_beside_an_argument(argument: object = None) -> str:
    b = made()
    c = b
    b.release()
    assert c.released
    return happened()


def release_beside_an_argument(argument: object = None) -> str:
    b = made()
    b.release()
    return happened()


def release_of_an_argument() -> str:
    b = made()
    return ended_by_callee(b)


def release_of_an_argument_passed_on() -> str:
    b = made()
    return passed_on(b)


def release_of_an_argument_without_another_name() -> str:
    return ended_by_callee(made())


def release_in_a_generator() -> str:
    def steps() -> Any:
        b = made()
        yield
        b.release()
        yield happened()

    return [*steps()][1]


def release_of_a_name_of_a_module() -> str:
    names = {"made": made, "happened": happened}
    exec("b = made()\nb.release()\nresult = happened()", names)
    return names["result"]  # type: ignore[return-value]


def release_of_an_attribute() -> str:
    holder = contextlib.nullcontext(made())
    holder.enter_result.release()
    return happened()


def release_of_a_shared_variable() -> str:
    b = made()

    def end() -> None:
        b.release()

    end()
    return happened()


# --- buffers: the statement ------------------------------------------------------------------------------------------


def with_and_a_name() -> str:
    with made() as b:
        assert not b.released
    return happened()


def with_and_no_name() -> str:
    with made():
        pass
    return happened()


def with_a_name_made_before() -> str:
    b = made()
    with b:
        pass
    return happened()


def with_beside_an_argument(argument: object = None) -> str:
    with made() as b:
        assert not b.released
    return happened()


def with_an_argument() -> str:
    def use(argument: Any) -> str:
        with argument:
            pass
        return happened()

    b = made()
    return use(b)


def with_and_an_exception() -> str:
    with contextlib.suppress(KeyError), made() as b:
        raise KeyError(b.nbytes)
    return happened()


def with_in_a_task() -> str:
    async def use() -> str:
        with made() as b:
            await asyncio.sleep(0)
            assert not b.released
        return happened()

    return asyncio.run(use())


def with_in_a_module() -> str:
    names = {"made": made, "happened": happened}
    exec("with made() as b:\n  pass\nresult = happened()", names)
    return names["result"]  # type: ignore[return-value]


def exit_called() -> str:
    b = made()
    b.__exit__(None, None, None)
    return happened()


def exit_by_a_stack() -> str:
    with contextlib.ExitStack() as stack:
        b = stack.enter_context(made())
    assert b.released
    return happened()


# --- leases ----------------------------------------------------------------------------------------------------------


def lease() -> str:
    with pool.lease(N, "u1") as a:
        a[:] = 1
    return happened()


def lease_beside_an_argument(argument: object = None) -> str:
    with pool.lease(N, "u1") as a:
        a[:] = 1
    return happened()


def lease_of_two_names_beside_an_argument(argument: object = None) -> str:
    with pool.lease(N, "u1") as a:
        b = a
    assert b is a
    return happened()


def lease_in_a_module() -> str:
    names = {"pool": pool, "N": N, "happened": happened}
    exec("with pool.lease(N, 'u1') as a:\n  a[:] = 1\nresult = happened()", names)
    return names["result"]  # type: ignore[return-value]


COUNTING = DEFERRED if BORROWS else AT_ONCE  # only where each name counts
BORROWING = AT_ONCE if BORROWS else DEFERRED  # only where the callee's name does not count
WITH_THE_GIL = DEFERRED if FREE_THREADED else AT_ONCE  # another thread may change a module's names
WAYS: dict[Callable[[], str], str] = {
    release_of_a_local: AT_ONCE,
    release_of_a_local_that_is_checked: AT_ONCE,
    release_through_the_class: DEFERRED,
    release_bound_before: AT_ONCE,
    release_of_a_temporary: AT_ONCE,
    release_of_two_names: AT_ONCE,
    release_of_two_names_beside_an_argument: COUNTING,
    release_beside_an_argument: AT_ONCE,
    release_of_an_argument: BORROWING,
    release_of_an_argument_passed_on: BORROWING,
    release_of_an_argument_without_another_name: AT_ONCE,
    release_in_a_generator: AT_ONCE,
    release_of_a_name_of_a_module: WITH_THE_GIL,
    release_of_an_attribute: DEFERRED,
    release_of_a_shared_variable: DEFERRED,
    with_and_a_name: AT_ONCE,
    with_and_no_name: AT_ONCE,
    with_a_name_made_before: AT_ONCE,
    with_beside_an_argument: AT_ONCE,
    with_an_argument: BORROWING,
    with_and_an_exception: AT_ONCE,
    with_in_a_task: AT_ONCE,
    with_in_a_module: WITH_THE_GIL,
    exit_called: AT_ONCE,
    exit_by_a_stack: DEFERRED,
    lease: AT_ONCE,
    lease_beside_an_argument: AT_ONCE,
    lease_of_two_names_beside_an_argument: AT_ONCE,
    lease_in_a_module: WITH_THE_GIL,
}


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """A line in the suite's closing words. `record_property` warns where a report in XML is written."""
    return lambda line: request.node.user_properties.append(("references", line))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_this_python_returns_at_once(way: Callable[[], str], say: Callable[[str], None]) -> None:
    """The same when the interpreter meets the code for the first time and when it has specialised it."""
    results = {way() for _ in range(200)}
    say(f"{way.__name__}: {' or '.join(sorted(results))}")
    assert pool.stats().in_use_bytes == 0
    assert len(results) == 1
    if KNOWN:
        assert results == {WAYS[way]}


def test_what_names_are_worth_on_this_python(say: Callable[[str], None]) -> None:
    """An unknown Python may count in its own way: then more is deferred, and all else holds."""
    own, every, calls = _frames.worth()
    say(f"names count: {own}; arguments count: {every}; calls are recognised: {calls}")
    if KNOWN:
        assert (own, every) == (True, not BORROWS)
        assert calls or not BORROWS


def test_what_returns_at_once_is_seen_by_nobody() -> None:
    found = random_functions(range(150))
    assert found.violations == ()


def test_how_hard_that_was_tried() -> None:
    """Of buffers and arrays that were looked into, some do return at once."""
    ends, at_once = random_functions(range(40), 3).counts
    assert ends > 200
    assert at_once > ends // 20


JIT = getattr(getattr(sys, "_jit", None), "is_available", bool)()


@pytest.mark.slow
@pytest.mark.skipif(not JIT, reason="this Python was built without its JIT compiler")
def test_the_same_under_the_jit_compiler() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(Path(__file__).resolve()), "-k", "not jit"],
        env={**os.environ, "PYTHON_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
