"""The maintenance of a pool, in rounds: close old objects, check idle ones, create missing ones, report leaks."""

from __future__ import annotations

import warnings
import weakref
from time import monotonic
from typing import Any

from bufpool._words import duration
from bufpool.objects import tracing
from bufpool.objects.engine import Engine
from bufpool.objects.maintenance_thread import log
from bufpool.objects.native import _held_object as held
from bufpool.objects.native._checkout import Checkout
from bufpool.objects.native._pool_state import PoolCore
from bufpool.objects.runtimes import THREADS, Runtime, run
from bufpool.objects.settings import PoolSettings

__all__ = ["PoolMaintenance", "new_pool"]


class PoolMaintenance:
    """Maintains one pool, to which it holds no reference."""

    def __init__(self, core: PoolCore) -> None:
        self._core = weakref.ref(core)

    @property
    def period(self) -> float | None:
        """Seconds between two rounds; None if there is nothing to do."""
        core = self._core()
        if core is None:
            return None
        settings: PoolSettings = core.engine.settings
        times = [settings.max_idle, settings.max_lifetime, settings.leak_threshold]
        if "idle" in settings.check_on:
            times.append(settings.check_interval)
        if core.engine.min_size:
            times.append(60.0)
        known = [each for each in times if each is not None]
        return max(0.02, min(60.0, min(known) / 2)) if known else None

    @property
    def over(self) -> bool:
        """Whether the pool is closed or gone."""
        core = self._core()
        return core is None or core.closed

    def run_in_thread(self) -> None:
        """Do one round for the maintenance thread: with workers one of them does it, since a callback may hang."""
        core = self._core()
        if core is None or not core.engine.settings.workers:
            run(self.run_quietly(THREADS))
            return
        background = core.engine.background
        if not background.in_maintenance:
            background.in_maintenance = True  # first: a worker may be done before `start` returns
            if not THREADS.start(background.maintaining, self._run_in_worker):
                background.in_maintenance = False

    async def _run_in_worker(self, runtime: Runtime) -> None:
        core = self._core()
        if core is not None:
            try:
                await self.run_quietly(runtime)
            finally:
                core.engine.background.in_maintenance = False

    async def run_quietly(self, runtime: Runtime) -> None:
        """Do one round where no client would see an error: it is logged."""
        core = self._core()
        if core is None:
            return
        try:
            await maintain(core.engine, runtime)
        except Exception:  # noqa: BLE001 - it is logged
            log().warning("pool %r: maintenance failed", core.name, exc_info=True)


async def maintain(engine: Engine, runtime: Runtime) -> None:
    """Do one round, and raise what the factory raises."""
    core, settings = engine.core, engine.settings
    if core.closed:
        return
    now = core.now()
    if settings.max_idle is not None or settings.max_lifetime is not None:
        idle = 0 if settings.max_idle is None else max(0, now - int(1e9 * settings.max_idle))
        surplus = max(0, core.size - engine.min_size)
        await engine.close_idle(runtime, "max_idle", idle_before=idle, most=surplus)
    if "idle" in settings.check_on:
        await _check_idle(engine, runtime, max(0, now - int(1e9 * settings.check_interval)))
    if settings.workers and core.waiting and engine.backoff.failure is not None:
        runtime.schedule(engine.maintenance, engine.backoff.pause)  # clients try the factory, and learn what it raises
    elif settings.workers:
        engine.refill(runtime)
    elif core.size < engine.min_size and monotonic() >= engine.backoff.retry_at:
        await engine.fill(engine.min_size, runtime)
    if settings.leak_threshold is not None:
        _report_leaks(engine, settings.leak_threshold)


async def _check_idle(engine: Engine, runtime: Runtime, checked_before: int) -> None:
    while True:
        # One at a time: clients can have the others meanwhile.
        checkout = Checkout(engine.core)
        if not held.collect_idle([checkout], checked_before=checked_before):
            return
        try:
            reason = held.overdue(checkout)
            if not reason and not await engine.callbacks.check(checkout, runtime):
                reason = "broken"
            if reason := reason or held.release_unused(checkout, checked=True):
                await engine.close_object(checkout, reason, runtime)
        except BaseException:
            await engine.abort(checkout, runtime)
            raise


def _report_leaks(engine: Engine, threshold: float) -> None:
    while found := engine.core.held(threshold, True):
        for holder in tracing.holders(found):
            where = (
                f"acquired at (innermost call last):\n{holder.stack}"
                if holder.stack
                else "where is not known"
            )
            report = (
                f"pool {engine.name!r}: {engine.show(holder.object)} has been out for {duration(holder.seconds)}, "
                f"taken by thread {holder.thread}{f', task {holder.task}' if holder.task else ''}; {where}"
            )
            # Python hides a ResourceWarning by default, but a user who set a threshold wants to see it.
            log().warning(report)
            warnings.warn(report, ResourceWarning, stacklevel=2)


def new_pool(factory: Any, settings: PoolSettings) -> PoolCore:
    """Create the state of a pool, with its engine and its maintenance."""
    engine = Engine(factory, settings)
    core = engine.make_core()
    engine.maintenance = PoolMaintenance(core)
    return core
