"""KeyboardInterrupt and other signals: none is masked, none loses a block, none leaves a pool installed."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool, LimitTimeoutError
from tests.support.accounting import all_back, conserved
from tests.verify import faults

pytestmark = pytest.mark.skipif(bool(faults.LACKS_TIMER), reason=faults.LACKS_TIMER)

MIB = 1 << 20


def tried(size: str) -> int:
    return int(size.split()[0].replace(",", ""))


def test_keyboard_interrupt_at_an_opcode() -> None:
    """At each of callers that use every construct; see `tests.verify.interrupts` for what is promised."""
    found = faults.opcodes()
    assert found.violations == ()
    assert tried(found.size) > 800


def test_keyboard_interrupt_by_signal() -> None:
    """A timer interrupts a running loop at random moments."""
    assert faults.signals(150).violations == ()


# --- while a thread waits at the limit ---


class StopError(Exception):
    """What a handler raises."""


def asks(pool: BufferPool) -> dict[str, Callable[[], Any]]:
    """Each way to wait for a block of a MiB."""
    scratch = pool.scratch(MIB, "u1")
    prototype = np.empty(MIB, "u1")
    return {
        "empty": lambda: pool.empty(MIB, "u1"),
        "zeros": lambda: pool.zeros(MIB, "u1"),
        "empty_like": lambda: pool.empty_like(prototype),
        "array": lambda: pool.array(prototype),
        "buffer": lambda: pool.buffer(MIB),
        "lease": lambda: pool.lease(MIB, "u1").__enter__(),
        "scratch": scratch.acquire,
        "with scratch": scratch.__enter__,
    }


asking = pytest.mark.parametrize(
    "ask", ["empty", "zeros", "empty_like", "array", "buffer", "lease", "scratch", "with scratch"]
)


@pytest.fixture
def alarm() -> Iterator[Callable[..., None]]:
    """Sets what a timer's signal does, and when it comes: after so many seconds, and again and again."""

    def set_alarm(handler: Callable[..., None], seconds: float) -> None:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    before = signal.getsignal(signal.SIGALRM)
    yield set_alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@asking
def test_a_handler_raises_while_a_thread_waits(ask: str, alarm: Callable[..., None]) -> None:
    """The handler's error ends the wait at once, and the pool is unchanged."""
    pool = BufferPool(MIB, timeout=60, name="tested")
    asked = asks(pool)[ask]
    held = pool.empty(MIB, "u1")

    def handler(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise StopError

    alarm(handler, 0.05)
    began = time.monotonic()
    with pytest.raises(StopError):
        asked()
    assert time.monotonic() - began < 30
    assert pool.stats().in_use_bytes == MIB
    assert pool.stats().refused == 0  # it was given up, not refused
    assert conserved(pool)
    del held
    again = asked()
    assert pool.stats().in_use_bytes == MIB
    del again, asked
    assert all_back(pool)


@asking
def test_a_handler_returns_while_a_thread_waits(ask: str, alarm: Callable[..., None]) -> None:
    """The wait goes on, and ends when memory comes back."""
    pool = BufferPool(MIB, timeout=60, name="tested")
    asked = asks(pool)[ask]
    held = [pool.empty(MIB, "u1")]
    came: list[float] = []

    def handler(*_: object) -> None:
        came.append(time.monotonic())
        if len(came) == 4:
            releaser.start()

    releaser = threading.Thread(target=held.clear)
    alarm(handler, 0.01)
    thing = asked()
    signal.setitimer(signal.ITIMER_REAL, 0)
    releaser.join()
    assert len(came) >= 4
    assert pool.stats().in_use_bytes == MIB
    del thing, asked
    assert all_back(pool)


@pytest.mark.parametrize("ask", ["empty", "array", "buffer"])
def test_signals_do_not_change_how_long_a_thread_waits(
    ask: str, alarm: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that returns again and again neither ends the wait nor starts it anew."""
    # It would take most of the time in a large program, and no handler runs meanwhile.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    pool = BufferPool(MIB, timeout=0.3, name="tested")
    asked = asks(pool)[ask]
    held = pool.empty(MIB, "u1")
    came: list[None] = []
    alarm(lambda *_: came.append(None), 0.005)
    began = time.monotonic()
    with pytest.raises(LimitTimeoutError):
        asked()
    waited = time.monotonic() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert 0.3 <= waited < 10
    assert len(came) > 1
    del held, asked
    assert all_back(pool)


@pytest.mark.parametrize("ask", ["empty", "array", "buffer", "with scratch"])
def test_ctrl_c_while_a_thread_waits(ask: str, ctrl_c: Callable[[], None]) -> None:
    """SIGINT with Python's own handler, in a wait without end."""
    pool = BufferPool(MIB, timeout=None, name="tested")
    asked = asks(pool)[ask]
    held = pool.empty(MIB, "u1")
    timer = threading.Timer(0.05, ctrl_c)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        asked()
    timer.join()
    assert pool.stats().in_use_bytes == MIB
    del held, asked
    assert all_back(pool)
