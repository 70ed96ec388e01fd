"""The errors that say why a pool has no object for a client: the bound, what is in use, and who has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bufpool._tables import clipped
from bufpool._words import duration, plural
from bufpool.errors import ClosedError, PoolExhaustedError, PoolTimeoutError, TooManyWaitersError
from bufpool.objects import tracing
from bufpool.objects.native._checkout import CLOSED, TOO_MANY

if TYPE_CHECKING:
    from bufpool.objects.native._pool_state import PoolCore
    from bufpool.objects.settings import PoolSettings

__all__ = ["refusal"]

SHOWN = 3  # holders that an error names


def refusal(core: PoolCore, answer: int, limit: float | None, *, waited_for_its_own: bool = False) -> Exception:
    """Count a client that gets no object, and return its error; `limit` is its time-out in seconds.

    `waited_for_its_own`: an object was in creation for it.
    """
    engine = core.engine
    settings: PoolSettings = engine.settings
    bound = f"{core.max_size} {plural(core.max_size, 'object')}"
    state = f"{core.in_use} of {bound} in use, {core.waiting} waiting"
    if answer == CLOSED:
        return ClosedError(f"pool {engine.name!r} is closed")
    if answer == TOO_MANY:
        engine.refused.add()
        return TooManyWaitersError(
            f"pool {engine.name!r}: max_waiting is {settings.max_waiting}, and so many wait already; {state}"
        )
    # While all objects are in use the factory would not be called, so its failure is not the cause.
    may_create = core.size < core.max_size or settings.overflow == "create"
    failure = engine.backoff.failure if may_create else None
    why = f"the factory fails: {engine.show(failure)}" if failure else "leases() says who has them"
    if settings.overflow == "fail" and not waited_for_its_own:
        engine.refused.add()
        error: Exception = PoolExhaustedError(
            f"pool {engine.name!r} is exhausted, and does not wait: {state}; {why}"
        )
    else:
        engine.timeouts.add()
        within = f" within {limit:g} s" if settings.overflow == "wait" or waited_for_its_own else ""
        # Whoever did not wait may ask often, so that error is cheap.
        if limit != 0 and failure is None:
            why = _holders(core)
        error = PoolTimeoutError(f"pool {engine.name!r}: no object{within}: {state}; {why}")
    error.__cause__ = failure
    return error


def _holders(core: PoolCore) -> str:
    """Say what became of the objects: how many no client has at this moment, and who has the others for longest."""
    readings: list[Any] = core.held()
    told: list[str] = []
    if (others := core.in_use - len(readings)) > 0:
        told.append(f"{others} in creation, in a check, reset or close, or on the way to a client")
    held = tracing.holders(sorted(readings, key=lambda each: each[2], reverse=True)[:SHOWN])
    who = [
        f"{_quoted(each.thread)}{f', task {_quoted(each.task)},' if each.task else ''} "
        f"for {duration(each.seconds)}"
        for each in held
    ]
    if who:
        told.append("held longest: " + "; ".join(who))
    stacks = [
        f"\n{number}. {name}, acquired at (innermost call last):\n{each.stack.rstrip()}"
        for number, (name, each) in enumerate(zip(who, held, strict=True), 1)
        if each.stack
    ]
    if len(stacks) < len(held):
        stacks.append("; debug=True keeps the stack of each checkout")
    return ("; ".join(told) or "they came back at this moment") + "".join(stacks)


def _quoted(name: str) -> str:
    return clipped(repr(name), 40)
