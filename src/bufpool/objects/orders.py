"""Creation in the background: a client orders an object from a worker, and takes whichever object comes first.

The order owns the slot. The new object goes to the client that is first in the queue, or becomes idle. An error of the
factory goes to the client that ordered. The client may have gone by then.

Functions of the engine, which imports this module.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from bufpool.objects.creation import wait_or_create
from bufpool.objects.native import _checkout as checkouts
from bufpool.objects.native import _held_object as held
from bufpool.objects.native._checkout import DUE, FREE_SLOT, FULL, NOTHING, OBJECT, ORDER, QUEUED, Checkout
from bufpool.objects.native._pool_state import MOST
from bufpool.objects.refusals import refusal

if TYPE_CHECKING:
    from bufpool.objects.runtimes import Runtime
    from bufpool.objects.settings import PoolSettings

__all__ = ["wait_or_order"]

LOOK = 0.05  # seconds after which a client that must not wait for others looks again whether it would


class Order:
    """An object in creation for a client that waits."""

    __slots__ = ("_slots", "client", "done", "error")

    def __init__(self, client: Checkout | None, slot: Checkout) -> None:
        self.client: Checkout | None = client  # None once it has gone
        self._slots = [slot]  # until somebody takes it: a list, so that of two threads one does
        self.done: bool = False
        self.error: BaseException | None = None

    async def carry_out(self, engine: Any, runtime: Runtime) -> None:
        """Create the object."""
        slot = self._take_slot()
        try:
            if slot is not None:
                await engine.create_for_others(slot, runtime)
        except BaseException as error:
            if runtime.ends_work(error):  # the client orders anew
                raise
            if self.client is not None:
                self.error = error
        finally:
            del self, slot  # the error refers to this frame

    def end(self) -> None:
        """Give up the slot if it was not carried out, and wake the client."""
        self.done = True
        slot = self._take_slot()
        if slot is not None:
            checkouts.release_all(slot)
        client = self.client
        if client is not None:
            with suppress(RuntimeError):  # its loop is closed
                checkouts.ring(client)

    def _take_slot(self) -> Checkout | None:
        try:
            return self._slots.pop()
        except IndexError:
            return None

    def take_error(self) -> BaseException | None:
        """Return why there is no object, once: the error and the order must not keep each other alive."""
        error, self.error = self.error, None
        return error


async def wait_or_order(
    engine: Any, checkout: Checkout, limit: float | None, deadline: float | None, runtime: Runtime
) -> Exception | None:
    """Wait for a sound object, after having ordered one if there is room; return the error if the pool has none."""
    settings: PoolSettings = engine.settings
    patient = limit != 0
    if patient:
        runtime.prepare(checkout)
    if engine.backoff.failure is None:
        engine.refill(runtime)
    else:  # this client tries the factory, and learns what it raises
        engine.refill_later(runtime)
    order: Order | None = None
    error: BaseException | None = None  # of its order
    slot: Checkout | None = None
    has_ordered = False
    unsound = 0
    waited = 0.0
    try:
        while True:
            now = monotonic()
            may_wait = patient and not (deadline is not None and now >= deadline)
            if order is not None and order.done:
                error = order.take_error()
                order = None
                if isinstance(error, Exception) and settings.on_failure == "wait":
                    error = None
            creation_limit = engine.creation_limit(now)
            failing = creation_limit != MOST
            wants = order is None and error is None and (may_wait or not patient)
            slot = Checkout(engine.core) if wants else None
            answer = checkouts.request(
                checkout,
                may_wait and error is None and _waits_for_others(engine, creation_limit),
                min(creation_limit, settings.workers if patient else 1),
                NOTHING if slot is None else ORDER,
                may_wait and error is None,
                slot,
            )
            if answer == FREE_SLOT:
                assert slot is not None
                order = Order(checkout if patient else None, slot)
                has_ordered = True
                slot = None
                try:
                    started = runtime.start(engine.background.creating, partial(order.carry_out, engine), order.end)
                except BaseException:  # of a signal handler
                    order.end()
                    raise
                if started:
                    if patient:
                        continue
                else:  # there is no worker
                    order.end()
                    if patient:
                        return await wait_or_create(engine, checkout, limit, deadline, runtime)
                order = None
                answer = checkouts.request(checkout, False, 0, NOTHING)  # perhaps it is there already
            if answer == QUEUED:
                until = deadline
                if order is None and failing:
                    until = engine.backoff.wake_at(now, deadline)
                elif order is None and settings.overflow != "wait":
                    until = now + LOOK if deadline is None else min(deadline, now + LOOK)
                began = perf_counter()
                try:
                    await runtime.wait(checkout, until)
                finally:
                    waited += perf_counter() - began
                continue
            if answer in (OBJECT, DUE):
                if answer == OBJECT or await engine.is_sound(checkout, runtime):
                    if has_ordered and held.is_fresh(checkout):
                        engine.count_first_use()
                    return None
                unsound += 1
                if may_wait or (not patient and unsound < settings.max_size):
                    continue
                answer = FULL
            checkouts.release_all(checkout)
            if error is not None:
                raise error
            if answer == FULL and creation_limit and may_wait and order is None and _overflows(engine):
                checkouts.add_extra_slot(checkout)
                try:
                    refused: Exception | None = await engine.create_for_client(checkout, limit, runtime)
                except Exception:
                    if settings.on_failure == "raise":
                        raise
                    checkouts.release_all(checkout)
                    continue
                return refused
            return refusal(engine.core, answer, limit, waited_for_its_own=order is not None)
    finally:
        if order is not None:
            order.client = None
        del order, slot, error
        if waited:
            engine.waits.add(waited)


def _overflows(engine: Any) -> bool:
    """Return whether a client may create an object beyond the pool's size now."""
    full: bool = engine.core.size >= engine.core.max_size
    return full and engine.settings.overflow == "create"


def _waits_for_others(engine: Any, creation_limit: int) -> bool:
    """Return whether a client without an order waits: always, or for a worker, or for the end of a pause."""
    settings: PoolSettings = engine.settings
    if settings.overflow == "wait":
        return True
    if engine.core.size < engine.core.max_size:
        return creation_limit == MOST or settings.on_failure == "wait"
    return settings.overflow == "create" and not creation_limit and settings.on_failure == "wait"
