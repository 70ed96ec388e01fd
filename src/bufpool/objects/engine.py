"""The engine behind `Pool` and `AsyncPool`: creates, checks, resets and closes objects, once for threads and tasks.

Compiled code checks idle objects out and in by itself, while there is nothing to do to them. It calls the engine when
an object must be created, waited for, checked, reset or closed. A `Checkout` owns what its client was given, so that an
exception anywhere gives it back. All counts are right before an exception passes on.
"""

from __future__ import annotations

import reprlib
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from bufpool import _validate
from bufpool._words import plural
from bufpool.errors import ClosedError, FactoryError, PoolExhaustedError, PoolTimeoutError, ReentrantError
from bufpool.objects import maintenance_thread, tracing
from bufpool.objects.callbacks import Callbacks, FactoryBackoff
from bufpool.objects.creation import wait_or_create
from bufpool.objects.maintenance_thread import log
from bufpool.objects.native import _checkout as checkouts
from bufpool.objects.native import _held_object as held
from bufpool.objects.native._checkout import CLOSED, UNTIL_CLOSED, UNTIL_EMPTY, Checkout
from bufpool.objects.native._histogram import Count, Times
from bufpool.objects.native._pool_state import MOST
from bufpool.objects.orders import wait_or_order
from bufpool.objects.refusals import refusal
from bufpool.objects.runtimes import THREADS, Runtime, in_callback_of, run
from bufpool.objects.settings import PoolSettings, new_core
from bufpool.objects.workers import Background

if TYPE_CHECKING:
    from bufpool.objects.maintenance_thread import Maintained
    from bufpool.objects.native._pool_state import PoolCore

__all__ = ["Engine"]

#: Why an object's life ended.
REASONS = (
    "broken",
    "failed_reset",
    "max_idle",
    "max_lifetime",
    "max_uses",
    "drained",
    "resized",
    "overflow",
    "discarded",
    "closed",
)

#: Reasons to doubt the other objects as well: the server may have gone away.
SUSPICIOUS = ("broken", "failed_reset", "discarded")

JITTER = 0.1  # of a lifetime, so that objects created together do not end together
BATCH = 32  # idle objects closed in one go
CLOSING = 5.0  # seconds for idle objects to be closed, when the pool is
PAUSE = 0.05  # least seconds until a failed factory is tried again in the background
RETRY = 0.1  # seconds after which `wait` looks again whether it must create objects itself


class Engine:
    """The slow paths of one pool.

    Methods that take a runtime are coroutines. `run` drives one in a thread.
    """

    #: Schedules and does the maintenance of the pool.
    maintenance: Maintained

    def __init__(self, factory: Callable[[], Any], settings: PoolSettings) -> None:
        self.factory = factory
        self.settings = settings
        self.name: str = settings.name
        self.min_size: int = settings.min_size
        self.callbacks: Callbacks = Callbacks(settings)
        self.backoff: FactoryBackoff = FactoryBackoff(*settings.backoff)
        self.created: Times = Times()
        self.waits: Times = Times()
        self.held: Times = Times()
        self.ended: dict[str, Count] = {reason: Count() for reason in REASONS}
        self.timeouts: Count = Count()
        self.refused: Count = Count()
        self.failures: Count = Count()
        self.first_uses: Count = Count()
        self.rejected: Count = Count()
        self._refill_at = (0.0, 0)  # the end of the pause after which maintenance refills the pool, and where
        self._background: Background | None = None  # few pools need it
        # The core has the only strong reference of the two, so that a pool goes as soon as it is dropped.
        self._core: Callable[[], PoolCore | None] = lambda: None

    def make_core(self) -> PoolCore:
        """Create the compiled state of this pool. Called once."""
        core = new_core(self.settings, self)
        self._core = weakref.ref(core)
        return core

    @property
    def core(self) -> PoolCore:
        """The compiled state of the pool. The caller holds a reference to it."""
        core = self._core()
        if core is None:
            raise ReferenceError(f"pool {self.name!r} is gone")
        return core

    @property
    def background(self) -> Background:
        """The workers of the pool. Those of the parent of a fork are not in its child."""
        found = self._background
        if found is None or found.creating.are_parents:
            self._background = found = Background(self.settings.workers)
        return found

    # --- what compiled code calls in a thread ---

    def acquire_in_thread(self, checkout: Checkout) -> None:
        """Run `acquire` in this thread."""
        run(self.acquire(checkout, THREADS))

    def try_acquire_in_thread(self, checkout: Checkout) -> bool:
        """Run `try_acquire` in this thread."""
        return run(self.try_acquire(checkout, THREADS))

    def release_in_thread(self, checkout: Checkout) -> None:
        """Run `release` in this thread."""
        run(self.release(checkout, THREADS))

    def close_object_in_thread(self, checkout: Checkout, reason: str) -> None:
        """Run `close_object` in this thread."""
        run(self.close_object(checkout, reason, THREADS))

    # --- acquire ---

    async def acquire(self, checkout: Checkout, runtime: Runtime) -> None:
        """Get a sound object for `checkout`, which may hold one already that must be checked first.

        Compiled code gives it to the client, so that nothing can interrupt that step.
        """
        error = await self._acquire(checkout, runtime)
        try:
            if error is not None:
                raise error
        finally:
            del error  # it refers to this frame, and would keep the pool alive with it

    async def try_acquire(self, checkout: Checkout, runtime: Runtime) -> bool:
        """Get a sound object without waiting; return False if all are in use."""
        error = await self._acquire(checkout, runtime)
        try:
            if error is None:
                return True
            # With a cause, the factory has failed: there is a slot, but no object for it.
            if isinstance(error, PoolTimeoutError | PoolExhaustedError) and error.__cause__ is None:
                return False
            raise error
        finally:
            del error  # as in `acquire`

    async def _acquire(self, checkout: Checkout, runtime: Runtime) -> Exception | None:
        """Get a sound object, or return the error that says why the pool has none."""
        timeout = checkouts.timeout_of(checkout)
        limit = self.settings.timeout if timeout is ... else timeout
        deadline = None if limit is None else monotonic() + limit
        try:
            if not checkouts.holds_object(checkout) or not await self.is_sound(checkout, runtime):
                if in_callback_of(self.callbacks):
                    raise ReentrantError(
                        f"pool {self.name!r}: a callback of the pool asked it for an object, and would wait for itself"
                    )
                get = wait_or_order if self.settings.workers else wait_or_create
                error = await get(self, checkout, limit, deadline, runtime)
                if error is not None:
                    return error
            await self.callbacks.prepare(checkout, runtime)
            return None
        except BaseException:
            await self.abort(checkout, runtime)
            raise

    def creation_limit(self, now: float) -> int:
        """Return how many objects may be in creation at once."""
        return MOST if self.backoff.failure is None else self.backoff.creation_limit(now)

    async def create_for_client(
        self, checkout: Checkout, limit: float | None, runtime: Runtime
    ) -> Exception | None:
        """Create an object for the client of the checkout, which has a slot; return the error if the pool is closed."""
        await self._create(checkout, runtime)
        if self.core.closed:
            await self.close_object(checkout, "closed", runtime)
            return refusal(self.core, CLOSED, limit)
        self.first_uses.add()
        return None

    async def create_for_others(self, checkout: Checkout, runtime: Runtime) -> None:
        """Create an object for the slot of the checkout; it goes to the first client that waits, or becomes idle."""
        try:
            await self._create(checkout, runtime, for_others=True)
            if reason := held.release_new(checkout):
                await self.close_object(checkout, reason, runtime)
        except BaseException:
            await self.abort(checkout, runtime)
            if self.settings.workers:
                self.refill_later(runtime)
            raise
        checkouts.core_of(checkout).resume_creation()  # only now: whoever got this object needs no other
        if self.settings.workers:
            self.refill(runtime)

    def count_first_use(self) -> None:
        """Count a client that got a new object from a worker."""
        self.first_uses.add()
        self.core.count_first_use()

    async def _create(self, checkout: Checkout, runtime: Runtime, for_others: bool = False) -> None:
        """Create an object for the slot that the checkout has."""
        began = perf_counter()
        core = checkouts.core_of(checkout)
        drains = core.drains()
        try:
            made = await runtime.call(self.callbacks, self.factory, undo=self.settings.close)
            await self.callbacks.configure(made, runtime)
            held.install(checkout, made, self._lifetime(), drains, for_others)
        except Exception as error:
            self.failures.add()
            # Without workers a client that is in the factory is one that tries it again.
            self.backoff.failed(error, max(0, core.creating - 1) if self.settings.workers else 0)
            raise
        self.created.add(perf_counter() - began)
        self.backoff.succeeded()
        if not for_others:
            core.resume_creation()
        runtime.schedule(self.maintenance)

    def _lifetime(self) -> int:
        """Return the lifetime of a new object in nanoseconds; 0 means no end."""
        most = self.settings.max_lifetime
        if most is None:
            return 0
        from random import random  # few pools need it, and it takes long to import

        return max(1, int(1e9 * most * (1 - JITTER * random())))

    async def is_sound(self, checkout: Checkout, runtime: Runtime, keep_slot: bool = False) -> bool:
        """Check an object before a client gets it; close it if it is not sound."""
        reason = held.overdue(checkout)
        if not reason and held.needs_check(checkout) and not (self.settings.workers and held.is_fresh(checkout)):
            # What a worker has just created needs no check, as what a client has created itself.
            reason = "" if await self.callbacks.check(checkout, runtime) else "broken"
        if reason:
            self.rejected.add()
            await self.close_object(checkout, reason, runtime, keep_slot)
        return not reason

    # --- release ---

    async def release(self, checkout: Checkout, runtime: Runtime) -> None:
        """Return an object that a client has used: reset it, or close it if its life is over."""
        try:
            reason = held.end_of_life(checkout) or await self.callbacks.reset(checkout, runtime)
            reason = reason or held.release(checkout)
            if reason:
                await self.close_object(checkout, reason, runtime)
        except BaseException:
            await self.abort(checkout, runtime)
            raise

    # --- close and discard ---

    async def close_object(
        self, checkout: Checkout, reason: str, runtime: Runtime, keep_slot: bool = False
    ) -> None:
        """Close the object of the checkout, and free its slot unless the checkout is to fill it again."""
        if checkouts.is_from_parent(checkout):
            checkouts.release_all(checkout)
            return
        thing = held.remove(checkout)
        self.ended[reason].add()
        if reason in SUSPICIOUS:
            checkouts.core_of(checkout).distrust()
        if self.settings.workers:
            slot = checkouts.split_slot(checkout)
            close = partial(self._close_and_free, thing, slot)
            if self.settings.close is None or not runtime.start(self.background.closing, close):
                await close(runtime)
            self.refill(runtime)
            return
        try:
            await self.callbacks.close(thing, runtime)
        finally:
            if not keep_slot:
                checkouts.release_all(checkout)

    async def _close_and_free(self, thing: Any, slot: Checkout, runtime: Runtime) -> None:
        """Close an object that is out of the pool, and free the slot."""
        try:
            await self.callbacks.close(thing, runtime)
        finally:
            checkouts.release_all(slot)

    async def abort(self, checkout: Checkout, runtime: Runtime) -> None:
        """End a checkout after an exception: return an untouched object, close one that a callback had."""
        if checkouts.withdraw(checkout):
            reason = "broken" if checkouts.is_touched(checkout) else held.release(checkout)
            if reason:
                await self.close_object(checkout, reason, runtime)
        checkouts.release_all(checkout)

    async def discard(self, thing: Any, runtime: Runtime) -> None:
        """Close an object that a client has and reports as broken."""
        checkout = held.reclaim(self.core, thing)
        if checkout is not None:
            await self.close_object(checkout, "discarded", runtime)

    # --- the whole pool ---

    async def fill(self, wanted: int, runtime: Runtime) -> None:
        """Create objects until `wanted` exist or are being created by others."""
        while slot := self._slot_for(wanted, MOST):
            await self.create_for_others(slot, runtime)

    def refill(self, runtime: Runtime, wanted: int = 0) -> bool:
        """Have workers create objects until `wanted` exist, or `min_size`; return False if there are no workers."""
        wanted = max(wanted, self.min_size)
        if not self.settings.workers or self.core.size >= wanted:
            return bool(self.settings.workers)
        while slot := self._slot_for(wanted, min(self.settings.workers, self.creation_limit(monotonic()))):
            if not runtime.start(self.background.creating, partial(self._refill, slot, wanted)):
                checkouts.release_all(slot)
                return False
        if not self.creation_limit(monotonic()):
            self.refill_later(runtime)
        return True

    async def _refill(self, slot: Checkout | None, wanted: int, runtime: Runtime) -> None:
        """Create objects in a worker, until `wanted` exist or the factory fails."""
        try:
            while slot is not None:
                await self.create_for_others(slot, runtime)
                slot = self._slot_for(wanted, self.settings.workers)
        except BaseException as error:  # there is no client to raise it
            if runtime.ends_work(error):
                raise
            if not isinstance(error, Exception):
                self.backoff.failed(FactoryError(f"pool {self.name!r}: the factory raised {error!r}"))
                self.refill_later(runtime)
            log().warning("pool %r: no object could be created, to be tried again: %s", self.name, self.show(error))

    def refill_later(self, runtime: Runtime) -> None:
        """Have maintenance refill the pool after the pause, once a pause."""
        moment = self.backoff.retry_at, runtime.place()
        if self._refill_at == moment or self.core.size >= self.min_size:
            return
        with suppress(RuntimeError):  # no loop runs
            runtime.schedule(self.maintenance, max(PAUSE, self.backoff.retry_at - monotonic()))
            self._refill_at = moment

    def _slot_for(self, wanted: int, limit: int) -> Checkout | None:
        """Return a checkout with a slot if fewer than `wanted` objects exist, fewer than `limit` in creation."""
        checkout = Checkout(self.core)
        return checkout if checkouts.request_slot(checkout, min(wanted, self.core.max_size), limit) else None

    async def wait(self, ready: Any, timeout: Any, runtime: Runtime) -> None:
        """Create objects until `ready` exist, and wait for those that others create."""
        core = self.core
        wanted = self.min_size if ready is None else self.count("ready", ready, 0, core.max_size)
        if wanted:
            await self._wait_for(wanted, timeout, runtime, f"not yet {wanted} {plural(wanted, 'object')}")
        if core.closed:
            raise ClosedError(f"pool {self.name!r} is closed")

    async def _wait_for(self, goal: int, timeout: Any, runtime: Runtime, otherwise: str) -> None:
        """Wait until `goal` objects exist, and create them; or, with `UNTIL_EMPTY`, until a closed pool has none."""
        limit = self.settings.timeout if timeout is ... else self.seconds("timeout", timeout)
        deadline = None if limit is None else monotonic() + limit
        checkout = Checkout(self.core)
        runtime.prepare(checkout)
        try:
            while True:
                if goal <= MOST:
                    goal = min(goal, self.core.max_size)  # the pool may have been resized
                    if not self.refill(runtime, goal):
                        await self.fill(goal, runtime)
                if checkouts.wait_for(checkout, goal):
                    return
                now = monotonic()
                if deadline is not None and now >= deadline:
                    failure = self.backoff.failure if goal <= MOST else None
                    why = f"; the factory fails: {self.show(failure)}" if failure else ""
                    raise PoolTimeoutError(
                        f"pool {self.name!r}: {otherwise} after {limit:g} s: {self.core.in_use} in use, "
                        f"{self.core.idle} idle{why}"
                    ) from failure
                # Others may fail to create the objects that we wait for. Then we create them.
                again = now + RETRY if goal <= MOST else deadline
                await runtime.wait(
                    checkout, again if deadline is None or again is None else min(again, deadline)
                )
        finally:
            checkouts.release_all(checkout)

    async def resize(self, min_size: Any, max_size: Any, runtime: Runtime) -> None:
        """Change the bounds. Surplus idle objects are closed now, oldest first; others when they come back."""
        core = self.core
        most = core.max_size if max_size is None else self.count("max_size", max_size, 1, MOST)
        self.min_size = self.count("min_size", self.min_size if min_size is None else min_size, 0, most)
        core.set_max_size(most)
        runtime.schedule(self.maintenance)  # the new bounds may need it
        self.refill(runtime)
        while (surplus := core.size - core.max_size) > 0:
            size = min(surplus, BATCH)
            if not await self._close_batch(size, "", runtime, {"idle_before": core.now() + 1, "most": size}):
                break

    async def drain(self, runtime: Runtime) -> None:
        """Close every object that exists now: idle ones now, others when they come back."""
        self.core.drain()
        await self.close_idle(runtime, "drained")

    async def close(self, timeout: Any, runtime: Runtime) -> None:
        """Hand out nothing more, close idle objects, and wait up to `timeout` seconds for the others."""
        limit = self.seconds("timeout", timeout)
        core = self.core
        core.close()
        if self._background is not None:
            self._background.end()
        runtime.schedule(self.maintenance)
        await self.close_idle(runtime, "closed", idle_before=core.now() + 1, most=MOST)
        if limit != 0:
            await self._wait_for(UNTIL_EMPTY, limit, runtime, "not all objects came back")
        elif self.settings.workers and not in_callback_of(self.callbacks):
            with suppress(PoolTimeoutError):
                await self._wait_for(UNTIL_CLOSED, CLOSING, runtime, "not all objects were closed")

    async def close_idle(self, runtime: Runtime, reason: str, **which: int) -> None:
        """Close idle objects that are drained, expired, or chosen by `which`: the arguments of `collect_idle`."""
        while (found := await self._close_batch(BATCH, reason, runtime, which)) == BATCH:
            if "most" in which:
                which["most"] = max(0, which["most"] - found)

    async def _close_batch(self, size: int, reason: str, runtime: Runtime, which: dict[str, int]) -> int:
        """Take up to `size` idle objects and close them; without a reason, only what the pool has no slot for.

        Returns how many were taken. An exception leaves idle those to which nothing was done.
        """
        batch = [Checkout(self.core) for _ in range(size)]
        found = held.collect_idle(batch, **which)
        try:
            for checkout in batch[:found]:
                why = held.overdue(checkout) or reason if reason else held.release_unused(checkout)
                if why:
                    await self.close_object(checkout, why, runtime)
        finally:
            for checkout in batch[:found]:
                if checkouts.holds_object(checkout) and not checkouts.is_touched(checkout):
                    held.release_unused(checkout, in_any_case=True)
        return found

    # --- small things ---

    def trace(self) -> tracing.Trace:
        """Return the stack of a checkout that is sampled."""
        # A pool in use comes here now and then: a good time to start the thread if that failed before.
        maintenance_thread.ensure_running()
        return tracing.capture()

    def untrace(self, trace: tracing.Trace | None) -> None:
        """Count how long a sampled checkout lasted."""
        if trace is not None:
            self.held.add(perf_counter() - trace.at)

    def seconds(self, what: str, value: Any) -> float | None:
        """Check a time that the user gave."""
        return _validate.seconds(what, value, self.name)

    def count(self, what: str, value: Any, least: int, most: int) -> int:
        """Check a number that the user gave."""
        return _validate.count(what, value, self.name, least, most)

    def show(self, thing: object) -> str:
        """Return a short description of an object for a message, whatever its own `repr` does."""
        try:
            return f"{reprlib.repr(thing)} at {id(thing):#x}"
        except Exception:  # noqa: BLE001 - a user's object
            return f"{type(thing).__name__} at {id(thing):#x}"
