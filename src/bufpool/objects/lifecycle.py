"""What happens to a pooled object on its way: made, checked, lent, reset, retired. Once, for threads and for tasks.

Everything here is off the hot path: the compiled front calls it when an object must be made, waited for or looked at. A
`Turn` owns what the client was given, so that an exception anywhere gives it back; the accounting is done before an
exception passes on.
"""

from __future__ import annotations

import reprlib
import weakref
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from bufpool import _validate
from bufpool._words import plural
from bufpool.errors import (
    ClosedError,
    PoolExhaustedError,
    PoolTimeoutError,
    ReentrantError,
    TooManyWaitersError,
)
from bufpool.objects import maintenance_thread, tracing
from bufpool.objects.log import log
from bufpool.objects.native._checkout import (
    CLOSED,
    FULL,
    OBJECT,
    QUEUED,
    ROOM,
    TOO_MANY,
    Turn,
    discarded,
)
from bufpool.objects.native._histogram import Count, Times
from bufpool.objects.native._pool_state import MOST, PoolCore
from bufpool.objects.runtimes import THREADS, Port, inside, run

if TYPE_CHECKING:
    from bufpool.objects.settings import PoolSettings

__all__ = ["Lifecycle"]

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

JITTER = 0.1  # of a lifetime, so that objects made together do not end together


class Lifecycle:
    """The slow paths of one pool."""

    def __init__(self, factory: Callable[[], Any], chosen: PoolSettings) -> None:
        self.factory = factory
        self.chosen = chosen
        self.name: str = chosen.name
        self.timeout: float | None = chosen.timeout
        self.fair: bool = chosen.fair
        self.lifo: bool = chosen.lifo
        self.min_size: int = chosen.min_size
        self.created: Times = Times()
        self.waits: Times = Times()
        self.held: Times = Times()
        self.ended: dict[str, Count] = {reason: Count() for reason in REASONS}
        self.timeouts: Count = Count()
        self.refused: Count = Count()
        self.failures: Count = Count()
        self.first_uses: Count = Count()
        self.rejected: Count = Count()
        # While the factory fails: what it raised last, when to try again, how long the next pause is.
        self._failure: Exception | None = None
        self._retry_at = 0.0
        self._pause = 0.0
        # The core has the only strong reference of the two, so that a pool goes as soon as it is dropped.
        self._core: Callable[[], PoolCore | None] = lambda: None

    def make_core(self) -> PoolCore:
        """The state of this pool, made once."""
        chosen = self.chosen
        core = PoolCore(
            self.name,
            self,
            most=chosen.max_size,
            most_waiting=MOST if chosen.max_waiting is None else chosen.max_waiting,
            fair=chosen.fair,
            lifo=chosen.lifo,
        )
        core.treat(
            debug=chosen.debug,
            dated=bool(chosen.check_on) or chosen.max_idle is not None,
            expires=chosen.max_lifetime is not None,
            checked_out="checkout" in chosen.check_on,
            check_after=int(1e9 * chosen.check_after),
            treated_in=chosen.reset is not None or "return" in chosen.check_on,
            most_uses=chosen.max_uses or 0,
        )
        self._core = weakref.ref(core)
        return core

    @property
    def core(self) -> PoolCore:
        """The state of the pool; whoever calls anything here holds it."""
        core = self._core()
        if core is None:
            raise ReferenceError(f"pool {self.name!r} is gone")
        return core

    # --- what the compiled front calls in a thread ---

    def get_in_thread(self, turn: Turn) -> None:
        """An object into the turn's hand."""
        run(self.check_out(turn, THREADS))

    def try_in_thread(self, turn: Turn) -> bool:
        """The same, if there is one."""
        return run(self.try_out(turn, THREADS))

    def return_in_thread(self, turn: Turn) -> None:
        """The object in hand comes back."""
        run(self.check_in(turn, THREADS))

    def discard_in_thread(self, turn: Turn, reason: str) -> None:
        """The object in hand is not used again."""
        run(self.retire(turn, reason, THREADS))

    # --- out ---

    async def check_out(self, turn: Turn, port: Port) -> None:
        """A sound object into the hand of `turn`, which may have one there that must be looked at first.

        The compiled front hands it out: nothing can interrupt it between that and the client.
        """
        limit = self.timeout if turn.timeout is ... else turn.timeout
        deadline = None if limit is None else monotonic() + limit
        try:
            if not (turn.in_hand and await self._is_sound(turn, port)):
                await self._obtain(turn, limit, deadline, port)
        except BaseException:
            await self._let_go(turn, port)
            raise

    async def try_out(self, turn: Turn, port: Port) -> bool:
        """The same at once; false if all are out."""
        try:
            await self.check_out(turn, port)
        except (PoolTimeoutError, PoolExhaustedError) as refusal:
            # The factory may have met the like in another pool; or its failure is why there is none.
            if not turn.refused or refusal.__cause__ is not None:
                raise
            return False
        return True

    async def _obtain(self, turn: Turn, limit: float | None, deadline: float | None, port: Port) -> None:
        """Wait for a sound object, or make one."""
        if inside(self):
            raise ReentrantError(
                f"pool {self.name!r}: a callback of the pool asked it for an object, and would wait for itself"
            )
        began: float | None = None
        may_wait = limit != 0 and self.chosen.overflow == "wait"
        if may_wait:
            port.prepare(turn)
        while True:
            now = monotonic()
            over = deadline is not None and now >= deadline
            growing = self._growing(now)
            answer = turn.ask(may_wait and not over, growing)
            if answer == QUEUED:
                began = perf_counter() if began is None else began
                await port.wait(turn, self._until(deadline, now, growing))
                continue
            if began is not None and answer in (OBJECT, ROOM):
                self.waits.add(perf_counter() - began)
                began = None
            if answer == OBJECT:
                if await self._is_sound(turn, port, keep_place=True):
                    return
                if not self._may_replace():
                    turn.give_up()
                    continue
            elif answer == FULL and growing and self.chosen.overflow == "create":
                turn.make_extra_place()
            elif answer != ROOM:
                turn.refused = True
                raise self._refusal(answer, limit)
            await self._make(turn, port)
            if self.core.closed:
                await self.retire(turn, "closed", port)
                raise self._refusal(CLOSED, limit)
            self.first_uses.add()
            return

    def _may_replace(self) -> bool:
        """Whether who found an object unsound makes another in its place, so as not to wait again behind everybody."""
        core = self.core
        if core.closed or core.size > core.most or not self._growing(monotonic()):
            return False
        return not core.idle or core.waiting > 0

    def _refusal(self, answer: int, limit: float | None) -> Exception:
        most = f"{self.core.most} {plural(self.core.most, 'object')}"
        state = f"{self.core.in_use} of {most} in use, {self.core.waiting} waiting"
        if answer == CLOSED:
            return ClosedError(f"pool {self.name!r} is closed")
        if answer == TOO_MANY:
            self.refused.add()
            return TooManyWaitersError(
                f"pool {self.name!r}: max_waiting is {self.chosen.max_waiting}, and so many wait already; {state}"
            )
        # With all objects out the factory would not be asked: it is not what stands in the way.
        failure = (
            self._failure if self.core.size < self.core.most or self.chosen.overflow == "create" else None
        )
        why = f"; the factory fails: {self.show(failure)}" if failure else "; leases() says who has them"
        refusal: Exception
        if self.chosen.overflow == "fail":
            self.refused.add()
            refusal = PoolExhaustedError(f"pool {self.name!r} is exhausted, and does not wait: {state}{why}")
        else:
            self.timeouts.add()
            within = f" within {limit:g} s" if self.chosen.overflow == "wait" else ""
            refusal = PoolTimeoutError(f"pool {self.name!r}: no object{within}: {state}{why}")
        refusal.__cause__ = failure
        return refusal

    def _growing(self, now: float) -> int:
        """Most objects that may be in the making: all, or while the factory fails one that tries it."""
        if self._failure is None:
            return MOST
        return 1 if now >= self._retry_at else 0

    def _until(self, deadline: float | None, now: float, growing: int) -> float | None:
        """When a waiter looks again by itself, who asked with this `growing`."""
        if growing == MOST:
            return deadline
        retry = max(self._retry_at, now + self.chosen.backoff[0])
        return retry if deadline is None else min(deadline, retry)

    async def _make(self, turn: Turn, port: Port) -> None:
        """Fill the turn's place."""
        began = perf_counter()
        drained = turn.core.drainings()
        try:
            made = await port.call(self, self.factory, undo=self.chosen.close)
            turn.install(made, self._lifetime(), drained)
        except Exception as error:
            self._failed(error)
            raise
        self.created.add(perf_counter() - began)
        if self._failure is not None:
            self._failure = None
            self._pause = 0.0
        turn.core.wake()

    def _lifetime(self) -> int:
        """Of a new object, in nanoseconds; 0: no end."""
        most = self.chosen.max_lifetime
        if most is None:
            return 0
        from random import random  # few pools need it, and it takes long to import

        return max(1, int(1e9 * most * (1 - JITTER * random())))

    def _failed(self, error: Exception) -> None:
        from random import random

        self.failures.add()
        first, longest = self.chosen.backoff
        self._pause = min(longest, 2 * self._pause) if self._pause else first
        # Full jitter would let a client try at once: between half of it and all.
        self._retry_at = monotonic() + self._pause * (1 - random() / 2)
        self._failure = error

    async def _is_sound(self, turn: Turn, port: Port, keep_place: bool = False) -> bool:
        """Look at the object in hand before it goes out; if it is not sound, it is retired."""
        drained, _, expired, _, check = turn.due(False)
        reason = "drained" if drained else "max_lifetime" if expired else ""
        if not reason and check and not await self._passes(turn, port):
            reason = "broken"
        if reason:
            self.rejected.add()
            await self.retire(turn, reason, port, keep_place)
        return not reason

    async def _passes(self, turn: Turn, port: Port) -> bool:
        """Check the object in hand."""
        check = self.chosen.check
        assert check is not None
        thing = turn.touch()
        try:
            verdict = await port.call(self, check, thing)
            sound = verdict is None or bool(verdict)
        except Exception:  # noqa: BLE001 - it is logged, and counted
            log().info("pool %r: a check failed", self.name, exc_info=True)
            return False
        if turn.inherited:  # the check has forked, and this is the child
            return False
        if sound:
            turn.untouch()
        return sound

    # --- in ---

    async def check_in(self, turn: Turn, port: Port) -> None:
        """Return the object in hand, which a client has used."""
        try:
            reason = self._end_of_life(turn) or await self._reset(turn, port) or turn.put()
            if reason:
                await self.retire(turn, reason, port)
        except BaseException:
            await self._let_go(turn, port)
            raise

    def _end_of_life(self, turn: Turn) -> str:
        drained, used_up, expired, extra, _ = turn.due(True)
        if turn.core.closed:  # the garbage collector may have taken our way to the core already
            return "closed"
        if drained:
            return "drained"
        if extra:
            return "resized" if turn.surplus else "overflow"
        if used_up:
            return "max_uses"
        return "max_lifetime" if expired else ""

    async def _reset(self, turn: Turn, port: Port) -> str:
        """Make the object in hand ready for the next client; a word if that failed."""
        if self.chosen.reset is not None:
            thing = turn.touch()
            try:
                await port.call(self, self.chosen.reset, thing)
            except Exception:  # noqa: BLE001 - it is logged, and counted
                log().warning("pool %r: reset failed, the object is closed", self.name, exc_info=True)
                return "failed_reset"
            if turn.inherited:  # the reset has forked, and this is the child
                return ""
        if "return" in self.chosen.check_on and not await self._passes(turn, port):
            return "broken"
        turn.untouch()
        return ""

    # --- the end ---

    async def retire(self, turn: Turn, reason: str, port: Port, keep_place: bool = False) -> None:
        """Close the object in hand, and free its place, unless the turn is to fill it again."""
        if turn.inherited:
            turn.give_up()
            return
        thing = turn.take_out()
        self.ended[reason].add()
        try:
            if self.chosen.close is not None:
                await port.call(self, self.chosen.close, thing)
        except Exception:  # noqa: BLE001 - it is logged, and counted
            log().warning("pool %r: closing an object failed", self.name, exc_info=True)
        finally:
            if not keep_place:
                turn.give_up()

    async def _let_go(self, turn: Turn, port: Port) -> None:
        """After an exception: what it was given while it waited goes back, what was touched is not used again."""
        if turn.withdraw() and (reason := "broken" if turn.touched else turn.put()):
            await self.retire(turn, reason, port)
        turn.give_up()

    def spoils(self, error: BaseException) -> bool:
        """Whether an exception that leaves the block says that the object is not to be used again."""
        return isinstance(error, self.chosen.discard_on)

    async def discard(self, thing: Any, port: Port) -> None:
        """A client says that its object is broken."""
        turn = discarded(self.core, thing)
        if turn is not None:
            await self.retire(turn, "discarded", port)

    # --- small things ---

    def trace(self) -> tracing.Trace:
        """What is kept of a checkout that is sampled."""
        # Also the time to try again if the thread could not start: a pool in use comes here, but seldom.
        maintenance_thread.ensure_running()
        return tracing.capture()

    def untrace(self, trace: tracing.Trace | None) -> None:
        """A sampled checkout is over."""
        if trace is not None:
            self.held.add(perf_counter() - trace.at)

    def seconds(self, what: str, value: Any) -> float | None:
        """A time that the user gave, checked."""
        return _validate.seconds(what, value, self.name)

    def whole(self, what: str, value: Any, least: int, most: int) -> int:
        """A number that the user gave, checked."""
        return _validate.count(what, value, self.name, least, most)

    def show(self, thing: object) -> str:
        """An object in a message: short, and whatever its own `repr` does."""
        try:
            return f"{reprlib.repr(thing)} at {id(thing):#x}"
        except Exception:  # noqa: BLE001 - a user's object
            return f"{type(thing).__name__} at {id(thing):#x}"
