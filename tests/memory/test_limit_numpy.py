"""NumPy's own allocations at the limit: they wait in the same queue, and a refusal says whose it is."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

from bufpool import AllocationWarning, BufferPool, ClosedError
from tests.memory.test_waiting import alarms, client, waits
from tests.support.accounting import all_back, run_python
from tests.support.stamps import Hooks
from tests.verify.bug import has_gil

MIB = 1 << 20


@pytest.fixture
def full() -> Iterator[tuple[BufferPool, list[Any]]]:
    """A pool at its limit, with what holds it."""
    pool = BufferPool(4 * MIB, timeout=30, name="tested")
    held = [pool.empty(4 * MIB, "u1")]
    yield pool, held
    held.clear()
    assert all_back(pool)
    assert pool._waiting == 0


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


# --- room comes ---


@pytest.mark.parametrize("make", [np.empty, np.zeros])
def test_numpy_waits_for_room(full: tuple[BufferPool, list[Any]], make: Any) -> None:
    pool, held = full
    held[0][:] = 255
    threading.Timer(0.05, held.clear).start()
    with pool:
        a = make(4 * MIB, "u1")
    assert pool.owns(a)
    assert make is np.empty or not a.any()
    assert pool.stats().refused == 0


def test_garbage_makes_room_for_numpy() -> None:
    pool = BufferPool(4 * MIB, name="tested")

    class Frame:
        def __init__(self, data: Any) -> None:
            self.data, self.me = data, self

    gc.disable()
    try:
        with pool:
            for _ in range(3):
                Frame(np.empty(4 * MIB, "u1"))
    finally:
        gc.enable()
    assert pool.stats().refused == 0


def test_garbage_makes_room_while_numpy_waits(full: tuple[BufferPool, list[Any]]) -> None:
    pool, held = full
    cycle: list[Any] = [held.pop()]
    cycle.append(cycle)
    gc.disable()
    try:
        reached = [cycle]
        del cycle
        threading.Timer(0.03, reached.clear).start()
        with pool:
            assert np.empty(4 * MIB, "u1").nbytes == 4 * MIB
    finally:
        gc.enable()


def test_numpy_and_the_pool_wait_in_one_queue() -> None:
    """In the order in which they came, unless nothing is released for 20 ms: then the pool lets one overtake.

    In a process of its own: the first request collects garbage, which takes longer than that where there is much.
    """
    out = run_python("""
        import gc, threading, time
        import bufpool, numpy as np
        size = 4 << 20
        pool = bufpool.BufferPool(size, timeout=30)
        held = [pool.empty(size, "u1")]
        served = []

        def get(number):
            if number % 2:
                block = pool.empty(size, "u1")
            else:
                with pool:
                    block = np.empty(size, "u1")
            served.append(number)
            del block

        gc.freeze()
        for _ in range(200):
            clients = [threading.Thread(target=get, args=(number,)) for number in range(6)]
            began = time.monotonic()
            for waiting, client in enumerate(clients, 1):
                client.start()
                while pool._waiting < waiting and time.monotonic() - began < 10:
                    time.sleep(0.0001)
            quick = time.monotonic() - began < 0.015
            held.clear()
            for client in clients:
                client.join()
            if quick:
                break
            served.clear()
            held.append(pool.empty(size, "u1"))
        print(quick, *served)
    """)
    assert out == "True 0 1 2 3 4 5\n"


# --- where it must not wait ---


def test_resize_does_not_wait(full: tuple[BufferPool, list[Any]]) -> None:
    """NumPy has looked already that nobody else has the array: another thread must not run before it has moved."""
    pool, held = full
    held.clear()
    with pool:
        a = np.empty(2 * MIB, "u1")
        b = np.empty(2 * MIB, "u1")  # so that it cannot grow where it stands
    a[:] = 1
    began = time.monotonic()
    with pytest.raises(MemoryError) as caught, pool:
        a.resize(4 * MIB, refcheck=False)
    assert time.monotonic() - began < 10
    assert "'tested': requested 4 MiB" in notes(caught.value)
    assert a.nbytes == 2 * MIB
    assert a.all()
    del b


def test_without_the_gil_a_hook_does_not_wait(full: tuple[BufferPool, list[Any]]) -> None:
    pool, held = full
    hooks = Hooks(pool)  # ctypes lets go of the GIL
    began = time.monotonic()
    assert hooks.malloc(hooks.arena, 4 * MIB) is None
    assert time.monotonic() - began < 10
    # Nor is it stopped by those who wait: what it does not get now it does not get at all.
    held.clear()
    held.append(pool.empty(MIB, "u1"))
    waiter = client(lambda: pool.empty(4 * MIB, "u1") is None)
    waits(pool, 1)
    time.sleep(0.01)
    address = hooks.malloc(hooks.arena, MIB)
    assert address is not None
    hooks.free(hooks.arena, address, MIB)
    held.clear()
    waiter.join()


@alarms
def test_ctrl_c_ends_the_wait(full: tuple[BufferPool, list[Any]]) -> None:
    """NumPy raises, and KeyboardInterrupt comes at once."""
    pool, _ = full
    # A background job of a shell ignores Ctrl-C. And callbacks of the collector, which other packages have, would lose
    # what the handler raises.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()

    def ask() -> None:
        with pool:
            try:
                np.empty(4 * MIB, "u1")
            except MemoryError:
                time.sleep(1)

    try:
        with pytest.raises(KeyboardInterrupt):
            ask()
    finally:
        gc.callbacks[:] = callbacks
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 10
    assert not pool.installed


@alarms
def test_other_signals_wait_until_numpy_is_done(full: tuple[BufferPool, list[Any]]) -> None:
    """What a handler raises could not pass through NumPy."""
    pool, held = full
    order: list[str] = []
    before = signal.signal(signal.SIGALRM, lambda *_: order.append("handler"))

    def give_back() -> None:
        order.append("room")
        held.clear()

    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        threading.Timer(0.1, give_back).start()
        with pool:
            a = np.empty(4 * MIB, "u1")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert order == ["room", "handler"]
    del a


# --- what a refusal says ---


def test_the_end_of_the_block_says_who_refused() -> None:
    pool = BufferPool(4 * MIB, timeout=0.05, name="tested")
    held = pool.empty(3 * MIB, "u1")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(MemoryError, match="Unable to allocate") as caught, pool:
            np.empty(2 * MIB, "u1")
    assert warned == []
    assert caught.value.__notes__ == [
        "pool 'tested': requested 2 MiB; the pool's limit is 4 MiB (3 MiB in use, 0 idle); waited "
        + notes(caught.value).rpartition(" waited ")[2]
    ]
    assert pool.stats().refused == 1
    del held


def test_a_memory_error_of_others_gets_no_note() -> None:
    pool = BufferPool(MIB, name="tested")

    def fails() -> None:
        with pytest.raises(MemoryError):
            np.empty(2 * MIB, "u1")
        raise MemoryError("mine")

    with pytest.raises(MemoryError) as caught, pool:
        fails()
    with pytest.raises(MemoryError) as later, pool:
        raise MemoryError
    other = BufferPool(2 * MIB, name="other")
    with pytest.raises(MemoryError) as nested, other, pool:
        np.empty(3 * MIB, "u1")
    assert notes(later.value) == ""
    assert "'tested'" in notes(nested.value)
    assert "'other'" not in notes(nested.value)
    assert notes(caught.value) == ""


def test_the_note_on_an_error_without_a_size() -> None:
    pool = BufferPool(MIB, name="tested")

    def handles_one_and_raises_another() -> None:
        with pytest.raises(MemoryError):
            np.empty(2 * MIB, "u1")
        bytes(1 << 62)

    with pytest.raises(MemoryError) as caught, pool:
        handles_one_and_raises_another()
    assert notes(caught.value).startswith("the last refusal in this block: pool 'tested': requested 2 MiB")


def test_a_refusal_by_another_pool_is_left_to_it() -> None:
    """It did not itself lack memory: it neither tries again nor says so."""
    mine = BufferPool(name="mine")
    other = BufferPool(MIB, name="other")
    calls = []

    class Frame:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            calls.append(1)
            with other:
                return np.empty(4 * MIB, "u1")

    with pytest.raises(MemoryError, match="Unable to allocate") as caught:
        mine.array(Frame())
    assert notes(caught.value).startswith("pool 'other': requested 4 MiB")
    assert len(calls) == 1
    assert mine.stats().refused == 0
    assert all_back(mine)


def test_no_pool_serves_waiters_of_a_former_one() -> None:
    """A finalizer drops the installed pool while NumPy waits, and makes another, which gets the arena."""
    assert (
        run_python("""
        import gc
        import numpy as np
        from bufpool import BufferPool
        class Frame:
            def __init__(self):
                self.me = self
            def __del__(self):
                installed.pop().uninstall()
                held.clear()
                gc.collect()
                new.append(BufferPool(4 << 20, name="new"))
        pool = BufferPool(1 << 20, timeout=0.3, name="old")
        held, installed, new = [pool.empty(1 << 20, "u1")], [pool], []
        pool.install()
        del pool
        Frame()
        try:
            a = np.empty(1 << 19, "u1")
        except MemoryError:
            print("refused", new[0].stats().in_use_bytes)
        else:
            print("served", new[0].owns(a))
    """)
        == "refused 0\n"
    )


def test_a_closed_pool_says_that_it_is_closed() -> None:
    pool = BufferPool(name="batch")

    def close_and_allocate() -> None:
        pool.close()
        np.ones(3)

    with pytest.raises(MemoryError) as caught, pool:
        close_and_allocate()
    assert notes(caught.value).startswith("pool 'batch' is closed: requested 24 bytes")


def test_an_installed_pool_warns() -> None:
    """No block ends that could say it; the thread may live on, and fail at each allocation."""
    pool = BufferPool(MIB, name="batch")
    pool.install()
    try:
        with (
            pytest.raises(MemoryError),
            pytest.warns(AllocationWarning, match=r"'batch': requested 2 MiB; .*limit"),
        ):
            np.empty(2 * MIB, "u1")
        with warnings.catch_warnings():  # as an error it could not pass through NumPy
            warnings.simplefilter("error")
            with pytest.raises(MemoryError, match="Unable to allocate"):
                np.empty(2 * MIB, "u1")
        pool.close()
        with pytest.raises(MemoryError), pytest.warns(AllocationWarning, match="'batch' is closed"):
            np.ones(3)
    finally:
        assert pool.uninstall()
    assert pool.stats().refused == 2


def test_uninstall_says_it_too() -> None:
    pool = BufferPool(MIB, name="batch")

    def work() -> None:
        pool.install()
        try:
            np.empty(2 * MIB, "u1")
        finally:
            pool.uninstall()

    with pytest.raises(MemoryError) as caught, pytest.warns(AllocationWarning):
        work()
    assert "pool 'batch': requested 2 MiB" in notes(caught.value)


# --- what goes wrong meanwhile ---


@pytest.mark.skipif(not has_gil(), reason="without the GIL nothing holds the waiter back at that moment")
def test_closing_while_a_constructor_waits_loses_no_block() -> None:
    """The block that it waited for is in its hand when it finds the pool closed."""
    pool = BufferPool(MIB, timeout=30)
    keep = [pool.empty(MIB, "u1")]
    source = [[0.0] * 1000] * 100
    errors: list[BaseException] = []

    def ask() -> None:
        with pytest.raises(ClosedError) as caught:
            pool.array(source)
        errors.append(caught.value)

    waiter = client(ask)
    waits(pool, 1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5)  # the waiter gets the block, and not yet the GIL
    try:
        keep.clear()
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
        pool.close()
    finally:
        sys.setswitchinterval(interval)
    waiter.join()
    assert len(errors) == 1
    assert all_back(pool)


@alarms
def test_with_a_signal_pending_no_garbage_is_collected(
    full: tuple[BufferPool, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finalizer would run the handler, and lose what that raises."""
    pool, held = full
    collections: list[float] = []

    def collect() -> int:
        collections.append(time.monotonic())
        if len(collections) == 4:  # a fifth one would follow 0.16 s later
            signal.setitimer(signal.ITIMER_REAL, 0.08)
        return 0

    class StopError(Exception):
        pass

    late: list[FrameType] = []

    def handler(_: int, frame: FrameType | None) -> None:
        # On a busy machine the fifth may have begun when the signal comes. Once: it must not happen again.
        if frame is not None and frame.f_code is collect.__code__ and not late:
            late.append(frame)
            signal.setitimer(signal.ITIMER_REAL, 0.08)
        else:
            raise StopError

    def ask() -> None:
        with pool:
            np.empty(4 * MIB, "u1")
            time.sleep(0.1)

    before = signal.signal(signal.SIGALRM, handler)
    monkeypatch.setattr(gc, "collect", collect)
    began = time.monotonic()
    try:
        threading.Timer(1.0, held.clear).start()
        with pytest.raises(StopError):
            ask()
    finally:
        signal.signal(signal.SIGALRM, before)
        monkeypatch.undo()
    assert time.monotonic() - began >= 1.0  # the wait goes on, and the handler runs at its end
    assert len(collections) == 4 + len(late)


def test_a_failed_collection_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> int:
        raise RuntimeError("collecting")

    lost: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: lost.append(str(info.exc_value)))
    pool = BufferPool(4 * MIB, timeout=0.05, name="tested")
    held = pool.empty(4 * MIB, "u1")
    monkeypatch.setattr(gc, "collect", fail)
    with pytest.raises(MemoryError) as caught, pool:
        np.empty(4 * MIB, "u1")
    monkeypatch.undo()
    assert "pool 'tested'" in notes(caught.value)
    assert set(lost) == {"collecting"}
    del held
    assert all_back(pool)


def test_without_the_gil_nothing_waits() -> None:
    """CPython says yes to `PyGILState_Check` for ever, once there was a subinterpreter."""
    run_python(
        """
        import ctypes
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        from tests.support.stamps import Hooks
        from bufpool import BufferPool

        interpreters.destroy(interpreters.create())
        pool = BufferPool(1 << 20, timeout=5)
        held = pool.empty(1 << 20, "u1")
        hooks = Hooks(pool)
        assert not hooks.malloc(hooks.arena, 1 << 19)
        """
    )
