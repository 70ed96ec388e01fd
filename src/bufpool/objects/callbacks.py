"""The callbacks of a pool beside its factory, and the pauses for a factory that fails.

Errors of `check`, `reset` and `close` are logged. Those of `configure` and `on_acquire` pass on.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from bufpool.objects.maintenance_thread import log
from bufpool.objects.native import _checkout as checkouts
from bufpool.objects.native import _held_object as held
from bufpool.objects.native._pool_state import MOST

if TYPE_CHECKING:
    from bufpool.objects.native._checkout import Checkout
    from bufpool.objects.runtimes import Runtime
    from bufpool.objects.settings import PoolSettings

__all__ = ["Callbacks", "FactoryBackoff"]

MANY = 10  # objects in a row that a check rejects before that is logged
MOST_TOLD = 20  # types of error, since some are made at run time


class FactoryBackoff:
    """Leaves the factory alone for a while after it failed; the pause doubles with each failure.

    With ``longest == 0`` there is no pause.
    """

    def __init__(self, first: float, longest: float) -> None:
        self.failure: Exception | None = None  # what the factory raised last; None once it succeeds again
        self.pause: float = 0.0
        self.retry_at: float = 0.0
        self.beside: int = 0
        self._first = first
        self._longest = longest

    def creation_limit(self, now: float) -> int:
        """Return how many objects may be in creation at once while the factory fails."""
        if not self._longest:
            return MOST
        return self.beside + 1 if now >= self.retry_at else 0

    def wake_at(self, now: float, deadline: float | None) -> float | None:
        """Return when a waiter tries the factory again by itself."""
        retry = max(self.retry_at, now + self._first)
        return retry if deadline is None else min(deadline, retry)

    def failed(self, error: Exception, beside: int = 0) -> None:
        """Begin the next pause; `beside` so many other objects are in creation, and may be so for ever."""
        from random import random  # few pools need it, and it takes long to import

        self.pause = min(self._longest, 2 * self.pause) if self.pause else self._first
        # Full jitter would let a client try at once: between half of it and all.
        self.retry_at = monotonic() + self.pause * (1 - random() / 2)
        self.beside = beside
        self.failure = error

    def succeeded(self) -> None:
        """Forget the failures."""
        if self.failure is not None:
            self.failure = None
            self.pause = 0.0


class Callbacks:
    """The callbacks of one pool, other than its factory."""

    def __init__(self, settings: PoolSettings) -> None:
        self.settings: PoolSettings = settings
        self._told: set[str] = set()  # types of error that a check raised
        self._rejected = 0  # objects in a row
        self._rejection_told = False

    async def check(self, checkout: Checkout, runtime: Runtime) -> bool:
        """Return whether the object of the checkout passes the check."""
        check = self.settings.check
        assert check is not None
        thing = held.begin_callback(checkout)
        try:
            verdict = await runtime.call(self, check, thing)
            sound = verdict is None or bool(verdict)
        except Exception as error:  # noqa: BLE001 - it is logged, and counted
            self._tell(error)
            sound = False
        if checkouts.is_from_parent(checkout):  # the check has forked, and this is the child
            return False
        if sound:
            self._rejected, self._rejection_told = 0, False
            held.end_callback(checkout)
        else:
            self._rejected += 1
            if self._rejected >= MANY and not self._rejection_told:
                self._rejection_told = True
                log().warning("pool %r: the check rejected %d objects in a row", self.settings.name, MANY)
        return sound

    def _tell(self, error: Exception) -> None:
        """Log what a check raised: loudly the first time, because it may be a mistake in the check itself."""
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        if kind in self._told or len(self._told) >= MOST_TOLD:
            log().info("pool %r: a check failed", self.settings.name, exc_info=True)
            return
        self._told.add(kind)
        log().warning(
            "pool %r: a check failed, the object is closed; the next %s is logged at level INFO",
            self.settings.name,
            type(error).__name__,
            exc_info=True,
        )

    async def configure(self, thing: Any, runtime: Runtime) -> None:
        """Set up a new object; close it if that fails, and raise what it raised."""
        if self.settings.configure is None or thing is None:  # None is no object to pool, as `install` says
            return
        try:
            await runtime.call(self, self.settings.configure, thing)
        except BaseException:
            await self.close(thing, runtime)
            raise

    async def prepare(self, checkout: Checkout, runtime: Runtime) -> None:
        """Prepare an object for the client that gets it now; its errors are the client's."""
        if self.settings.on_acquire is None or checkouts.is_from_parent(checkout):
            return
        await runtime.call(self, self.settings.on_acquire, held.begin_callback(checkout))
        held.end_callback(checkout)

    async def reset(self, checkout: Checkout, runtime: Runtime) -> str:
        """Make the object ready for the next client; return the reason to close it if that failed."""
        if self.settings.reset is not None:
            thing = held.begin_callback(checkout)
            try:
                await runtime.call(self, self.settings.reset, thing)
            except Exception:  # noqa: BLE001 - it is logged, and counted
                log().warning(
                    "pool %r: reset failed, the object is closed", self.settings.name, exc_info=True
                )
                return "failed_reset"
            if checkouts.is_from_parent(checkout):  # the reset has forked, and this is the child
                return ""
        if "return" in self.settings.check_on and not await self.check(checkout, runtime):
            return "broken"
        held.end_callback(checkout)
        return ""

    async def close(self, thing: Any, runtime: Runtime) -> None:
        """Close an object that is out of the pool."""
        if self.settings.close is None:
            return
        try:
            await runtime.call(self, self.settings.close, thing)
        except Exception:  # noqa: BLE001 - it is logged, and counted
            log().warning("pool %r: closing an object failed", self.settings.name, exc_info=True)

    def should_discard(self, error: BaseException) -> bool:
        """Return whether an object is discarded because this exception left the block of its lease."""
        return isinstance(error, self.settings.discard_on)
