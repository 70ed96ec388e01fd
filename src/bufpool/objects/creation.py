"""Creation by the client itself: it waits for an object, or gets a free slot and fills it in its thread or task.

Functions of the engine, which imports this module.
"""

from __future__ import annotations

from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from bufpool.objects.native import _checkout as checkouts
from bufpool.objects.native._checkout import DUE, FREE_SLOT, FULL, OBJECT, QUEUED
from bufpool.objects.native._pool_state import MOST
from bufpool.objects.refusals import refusal

if TYPE_CHECKING:
    from bufpool.objects.native._checkout import Checkout
    from bufpool.objects.runtimes import Runtime

__all__ = ["wait_or_create"]


async def wait_or_create(
    engine: Any, checkout: Checkout, limit: float | None, deadline: float | None, runtime: Runtime
) -> Exception | None:
    """Wait for a sound object, or create one; return the error if the pool has none."""
    may_wait = limit != 0 and engine.settings.overflow == "wait"
    if may_wait:
        runtime.prepare(checkout)
    waited = 0.0
    try:
        while True:
            now = monotonic()
            over = deadline is not None and now >= deadline
            creation_limit = engine.creation_limit(now)
            answer = checkouts.request(checkout, may_wait and not over, creation_limit)
            if answer == QUEUED:
                failing = creation_limit != MOST
                began = perf_counter()
                try:
                    await runtime.wait(checkout, engine.backoff.wake_at(now, deadline) if failing else deadline)
                finally:
                    waited += perf_counter() - began
                continue
            if answer == OBJECT:
                return None
            if answer == DUE:
                if await engine.is_sound(checkout, runtime, keep_slot=True):
                    return None
                if not _may_replace(engine):
                    checkouts.release_all(checkout)
                    continue
            elif answer == FULL and creation_limit and engine.settings.overflow == "create":
                checkouts.add_extra_slot(checkout)
            elif answer != FREE_SLOT:
                checkouts.release_all(checkout)
                return refusal(engine.core, answer, limit)
            break
    finally:
        if waited:
            engine.waits.add(waited)
    refused: Exception | None = await engine.create_for_client(checkout, limit, runtime)
    return refused


def _may_replace(engine: Any) -> bool:
    """Return whether a client whose object was not sound may create another one instead of waiting again."""
    core = engine.core
    if core.closed or core.size > core.max_size or not engine.creation_limit(monotonic()):
        return False
    return not core.idle or core.waiting > 0
