"""The pool as a whole: filled, made smaller, drained, closed, looked after."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from bufpool._words import plural
from bufpool.errors import ClosedError, PoolTimeoutError
from bufpool.objects import tracing
from bufpool.objects.lifecycle import Lifecycle
from bufpool.objects.log import log
from bufpool.objects.native._checkout import UNTIL_EMPTY, Turn, sift
from bufpool.objects.native._pool_state import MOST
from bufpool.objects.runtimes import THREADS, Port, run

__all__ = ["Manager"]

BATCH = 32  # idle objects looked at in one go
RETRY = 0.1  # seconds


class Manager(Lifecycle):
    """What is done to all objects of a pool, by its users or by upkeep."""

    async def _make(self, turn: Turn, port: Port) -> None:
        await super()._make(turn, port)
        port.maintain(self)

    async def fill(self, wanted: int, port: Port) -> None:
        """Make objects until so many exist, or are in the making elsewhere."""
        while True:
            turn = Turn(self.core)
            if not turn.ask_place(min(wanted, self.core.most)):
                turn.give_up()
                return
            try:
                await self._make(turn, port)
                await self.check_in_new(turn, port)
            except BaseException:
                await self._let_go(turn, port)
                raise

    async def check_in_new(self, turn: Turn, port: Port) -> None:
        """The object in hand was just made, for nobody."""
        if reason := turn.put():
            await self.retire(turn, reason, port)

    async def wait(self, ready: Any, timeout: Any, port: Port) -> None:
        """Make objects until so many exist, and wait for those in the making elsewhere."""
        core = self.core
        wanted = self.min_size if ready is None else self.whole("ready", ready, 0, core.most)
        if wanted:
            await self._watch(wanted, timeout, port, f"not yet {wanted} {plural(wanted, 'object')}")
        if core.closed:
            raise ClosedError(f"pool {self.name!r} is closed")

    async def _watch(self, goal: int, timeout: Any, port: Port, otherwise: str) -> None:
        """Wait until so many objects exist, and make them; or until nothing is left of a closed pool."""
        limit = self.timeout if timeout is ... else self.seconds("timeout", timeout)
        deadline = None if limit is None else monotonic() + limit
        turn = Turn(self.core)
        port.prepare(turn)
        try:
            while True:
                if goal != UNTIL_EMPTY:
                    goal = min(goal, self.core.most)  # it may have been made smaller
                    await self.fill(goal, port)
                if turn.watch(goal):
                    return
                now = monotonic()
                if deadline is not None and now >= deadline:
                    raise PoolTimeoutError(
                        f"pool {self.name!r}: {otherwise} after {limit:g} s: {self.core.in_use} in use, "
                        f"{self.core.idle} idle"
                    )
                # Others may fail to make the objects that we wait for: then it is our turn.
                again = deadline if goal == UNTIL_EMPTY else now + RETRY
                await port.wait(turn, again if deadline is None or again is None else min(again, deadline))
        finally:
            turn.give_up()

    async def resize(self, min_size: Any, max_size: Any, port: Port) -> None:
        """Change the bounds: what is too much goes, oldest first, what is out when it comes back."""
        core = self.core
        most = core.most if max_size is None else self.whole("max_size", max_size, 1, MOST)
        self.min_size: int = self.whole("min_size", self.min_size if min_size is None else min_size, 0, most)
        core.resize(most)
        port.maintain(self)  # there may be more to look after than before
        while (surplus := core.size - core.most) > 0:
            turns = [Turn(core) for _ in range(min(surplus, BATCH))]
            found = sift(turns, idle_before=core.now() + 1, most=len(turns))
            with _kept(turns[:found]):
                for turn in turns[:found]:
                    if reason := turn.put_back_unused():
                        await self.retire(turn, reason, port)
            if not found:
                break

    async def drain(self, port: Port) -> None:
        """Close every object that exists now: idle ones now, others when they come back."""
        self.core.drain()
        await self._sift(port, "drained")

    async def close(self, timeout: Any, port: Port) -> None:
        """Hand out nothing more."""
        limit = self.seconds("timeout", timeout)
        core = self.core
        core.close()
        port.maintain(self)
        await self._sift(port, "closed", idle_before=core.now() + 1, most=MOST)
        if limit != 0:
            await self._watch(UNTIL_EMPTY, limit, port, "not all objects came back")

    async def _sift(self, port: Port, reason: str, **which: int) -> int:
        """Retire the idle objects that fall through."""
        core = self.core
        retired = 0
        while True:
            turns = [Turn(core) for _ in range(BATCH)]
            found = sift(turns, **which)
            with _kept(turns[:found]):
                for turn in turns[:found]:
                    drained, _, expired, _, _ = turn.due(False)
                    why = "drained" if drained else "max_lifetime" if expired else reason
                    await self.retire(turn, why, port)
            retired += found
            if found < BATCH:
                return retired
            if "most" in which:
                which["most"] = max(0, which["most"] - found)

    # --- upkeep ---

    @property
    def period(self) -> float | None:
        """Seconds between two rounds of upkeep; None if there is nothing to do."""
        chosen = self.chosen
        times = [chosen.max_idle, chosen.max_lifetime, chosen.leak_threshold]
        if "idle" in chosen.check_on:
            times.append(chosen.check_interval)
        if self.min_size:
            times.append(60.0)
        known = [each for each in times if each is not None]
        return max(0.02, min(60.0, min(known) / 2)) if known else None

    async def upkeep(self, port: Port) -> None:
        """One round: what is over goes, what is idle is checked, what is missing is made, what leaks is told."""
        core, chosen = self.core, self.chosen
        if core.closed:
            return
        now = core.now()
        if chosen.max_idle is not None or chosen.max_lifetime is not None:
            idle = 0 if chosen.max_idle is None else max(0, now - int(1e9 * chosen.max_idle))
            await self._sift(port, "max_idle", idle_before=idle, most=max(0, core.size - self.min_size))
        if "idle" in chosen.check_on:
            await self._check_idle(port, max(0, now - int(1e9 * chosen.check_interval)))
        if core.size < self.min_size and monotonic() >= self._retry_at:
            await self.fill(self.min_size, port)
        if chosen.leak_threshold is not None:
            self._tell_leaks(chosen.leak_threshold)

    def upkeep_in_thread(self) -> None:
        """Do one round for the maintenance thread, which holds no pool."""
        if (core := self._core()) is not None:
            run(self.upkeep_quietly(THREADS))
            del core

    @property
    def over(self) -> bool:
        """Whether there is nothing more to look after."""
        core = self._core()
        return core is None or core.closed

    async def upkeep_quietly(self, port: Port) -> None:
        """The same where nobody would see an error: it is logged."""
        if self._core() is None:
            return
        try:
            await self.upkeep(port)
        except Exception:  # noqa: BLE001 - it is logged, and counted
            log().warning("pool %r: upkeep failed", self.name, exc_info=True)

    async def _check_idle(self, port: Port, checked_before: int) -> None:
        core = self.core
        while True:
            # One at a time: clients can have the others meanwhile.
            turn = Turn(core)
            if not sift([turn], checked_before=checked_before):
                return
            try:
                drained, _, expired, _, _ = turn.due(False)
                reason = "drained" if drained else "max_lifetime" if expired else ""
                if not reason and not await self._passes(turn, port):
                    reason = "broken"
                if reason := reason or turn.put_back_unused(checked=True):
                    await self.retire(turn, reason, port)
            except BaseException:
                await self._let_go(turn, port)
                raise

    def _tell_leaks(self, threshold: float) -> None:
        while found := self.core.held(threshold, True):
            for reading in found:
                held = tracing.holder(reading)
                where = (
                    f"acquired at (innermost call last):\n{held.stack}"
                    if held.stack
                    else "where is not known: one checkout in 128 is sampled, all with debug=True"
                )
                told = (
                    f"pool {self.name!r}: {self.show(held.object)} has been out for {held.seconds:.3g} s, taken by "
                    f"thread {held.thread}{f', task {held.task}' if held.task else ''}; {where}"
                )
                # Python shows no ResourceWarning unless it is asked to; who set a threshold wants to know.
                log().warning(told)
                warnings.warn(told, ResourceWarning, stacklevel=2)


@contextmanager
def _kept(turns: list[Turn]) -> Iterator[None]:
    """Idle objects that were taken in hand: those to which nothing was done are idle again, whatever happens."""
    try:
        yield
    finally:
        for turn in turns:
            if turn.in_hand and not turn.touched:
                turn.put_back_unused(in_any_case=True)
