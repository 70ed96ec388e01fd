"""Tasks cancelled at every await: each moment of each scenario, for each task, up to two of them in a run.

A run is a list of decisions. Whoever is ready is run in order; a decision departs from that: it cancels a task, runs
another one that is ready, or lets the time of a timer come. All runs with so many departures are made.

After each: no object is lost or in two hands, each was closed once at most, nobody waits any more, a task that was
cancelled ended as cancelled, and no error went unseen. Then everything that the pool may have is taken out of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

from bufpool import AsyncPool, ClosedError, PoolTimeoutError
from bufpool.objects import callbacks, creation, engine, maintenance, orders, runtimes
from tests.verify.check import Check, Found
from tests.verify.stepping_loop import SteppingLoop

ENOUGH = 10_000  # steps of one run: more is a circle
SHOWN = 5  # violations


class Broken(Exception):  # noqa: N818 - what a factory says
    """A factory's own."""


class Thing:
    """What is pooled."""


class World:
    """One run's pool, tasks and objects."""

    def __init__(self, scenario: Scenario) -> None:
        self.wrong: list[str] = []
        self.made: list[Thing] = []
        self.closed: Counter[Thing] = Counter()
        self.hands: Counter[Thing] = Counter()
        self.fails = scenario.fails
        self.in_background = bool(scenario.settings.get("workers"))
        callbacks = {name: getattr(self, name) for name in scenario.callbacks}
        self.pool: AsyncPool[Thing] = AsyncPool(
            self.make_slowly if scenario.slow else self.make,
            close=self.close_slowly if scenario.slow else self.close,
            name="explored",
            **({"timeout": None} | scenario.settings | callbacks),
        )

    # --- callbacks ---

    def make(self) -> Thing:
        if self.fails:
            self.fails -= 1
            raise Broken
        self.made.append(Thing())
        return self.made[-1]

    async def make_slowly(self) -> Thing:
        await asyncio.sleep(0)
        return self.make()

    async def check(self, thing: Thing) -> bool:
        with self.holding(thing):
            await asyncio.sleep(0)
        return True

    async def reset(self, thing: Thing) -> None:
        with self.holding(thing):
            await asyncio.sleep(0)

    def close(self, thing: Thing) -> None:
        self.closed[thing] += 1

    async def close_slowly(self, thing: Thing) -> None:
        self.close(thing)
        await asyncio.sleep(0)

    # --- clients ---

    def holding(self, thing: Thing) -> Hold:
        return Hold(self, thing)

    async def use(self, thing: Thing) -> None:
        with self.holding(thing):
            await asyncio.sleep(0)

    async def acquires(self) -> None:
        thing = await self.pool.acquire()
        try:
            await self.use(thing)
        finally:
            await self.pool.release(thing)

    async def leases(self) -> None:
        async with self.pool.lease() as thing:
            await self.use(thing)

    async def leases_for_a_second(self) -> None:
        try:
            async with self.pool.lease(timeout=1.0) as thing:
                await self.use(thing)
        except PoolTimeoutError:
            pass

    async def leases_within_a_second(self) -> None:
        try:
            async with asyncio.timeout(1.0), self.pool.lease(timeout=1.5) as thing:
                await self.use(thing)
        except TimeoutError:
            pass

    async def leases_until_closed(self) -> None:
        with suppress(ClosedError):
            await self.leases()

    async def leases_or_fails(self) -> None:
        with suppress(Broken):
            await self.leases()

    async def discards(self) -> None:
        async with self.pool.lease() as thing:
            with self.holding(thing):
                await asyncio.sleep(0)
            await self.pool.discard(thing)

    async def discards_two(self) -> None:
        """Two places come free at one moment."""
        async with self.pool.lease() as one, self.pool.lease() as other:
            with self.holding(one), self.holding(other):
                await asyncio.sleep(0)
            await self.pool.discard(one)
            await self.pool.discard(other)

    async def discards_two_and_leases(self) -> None:
        await self.discards_two()
        await self.leases()

    async def leases_twice(self) -> None:
        await self.leases()
        await self.leases()

    async def tries(self) -> None:
        thing = await self.pool.try_acquire()
        if thing is not None:
            try:
                await self.use(thing)
            finally:
                await self.pool.release(thing)

    async def grows(self) -> None:
        await self.pool.resize(max_size=2)

    async def closes(self) -> None:
        await asyncio.sleep(0)
        await self.pool.close(timeout=None)

    async def drains(self) -> None:
        await asyncio.sleep(0)
        await self.pool.drain()

    async def shrinks(self) -> None:
        await asyncio.sleep(0)
        await self.pool.resize(max_size=1)

    async def maintains(self) -> None:
        await self.pool.maintain()

    async def waits(self) -> None:
        await self.pool.wait(2)

    # --- afterwards ---

    async def take_all(self) -> None:
        """Everything that may be in the pool can be had, and goes with it."""
        pool = self.pool
        self.fails = 0
        asyncio.get_running_loop().now += 1000  # beyond every pause of a factory that failed
        if not pool.closed:
            things = []
            for _ in range(pool.max_size):
                thing = await (pool.acquire(timeout=1.0) if self.in_background else pool.try_acquire())
                if thing is None:
                    self.wrong.append(f"of {pool.max_size} objects {len(things)} can be had: {pool!r}")
                    break
                things.append(thing)
            if any(self.closed[thing] for thing in things):
                self.wrong.append("an object was handed out after its end")
            for thing in things:
                await pool.release(thing)
        await pool.close()

    def check_end(self) -> None:
        """Everything was closed, once."""
        pool = self.pool
        for thing in self.made:
            if self.closed[thing] != 1:
                self.wrong.append(f"an object was closed {self.closed[thing]} times")
        if (pool.size, pool.in_use, pool.idle) != (0, 0, 0):
            self.wrong.append(f"a closed pool is not empty: {pool!r}")


class Hold:
    """Whoever has an object has it alone."""

    def __init__(self, world: World, thing: Thing) -> None:
        self.world, self.thing = world, thing

    def __enter__(self) -> None:
        self.world.hands[self.thing] += 1
        if self.world.hands[self.thing] > 1:
            self.world.wrong.append("an object is in two hands")
        if self.world.closed[self.thing]:
            self.world.wrong.append("an object is used after its end")

    def __exit__(self, *error: object) -> None:
        self.world.hands[self.thing] -= 1


Client = Callable[[World], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Scenario:
    """Three tasks and their pool.

    Parameters
    ----------
    name : str
        In words.
    clients : tuple
        What the tasks do.
    settings : dict
        Of the pool.
    callbacks : tuple of str
        Callbacks with an await, beside the factory.
    slow : bool
        The factory and the end of an object have an await.
    first : int
        Objects that there are at the beginning.
    fails : int
        Times that the factory fails.
    timers : int
        Timers whose time comes at any moment. Others come when nothing else is to be done.
    turns : int
        Times that another task than the next is run.
    cancels : int
        Cancellations.
    """

    name: str
    clients: tuple[Client, Client, Client]
    settings: dict[str, Any] = field(default_factory=dict)
    callbacks: tuple[str, ...] = ()
    slow: bool = True
    first: int = 0
    fails: int = 0
    timers: int = 0
    turns: int = 0
    cancels: int = 2


ONE, ONE_FAIR, TWO = {"max_size": 1}, {"max_size": 1, "fair": True}, {"max_size": 2}
ORDERED: dict[str, Any] = {"workers": 2}
ACQUIRING = (World.acquires,) * 3
LEASING = (World.leases,) * 3
CLOSING = (World.leases_until_closed, World.leases_until_closed, World.closes)
CHECKS = ("check", "reset")

SCENARIOS = (
    Scenario("one object", ACQUIRING, ONE, slow=False, first=1),
    Scenario("one object, fair", LEASING, ONE_FAIR, slow=False, first=1),
    Scenario("one object, made", LEASING, ONE),
    Scenario("two objects, made", ACQUIRING, TWO),
    Scenario("two objects, fair", LEASING, {"max_size": 2, "fair": True}),
    Scenario("checked and reset", LEASING, ONE, CHECKS, first=1),
    Scenario("checked and reset, fair", ACQUIRING, ONE_FAIR, CHECKS),
    Scenario("checked on return", LEASING, TWO | {"check_on": ("checkout", "return")}, ("check",)),
    Scenario("beyond the size", LEASING, ONE | {"overflow": "create"}, ("reset",)),
    Scenario("used once", LEASING, ONE_FAIR | {"max_uses": 1}),
    Scenario("discarded", (World.discards, World.leases, World.discards), ONE_FAIR),
    Scenario(
        "two discarded at once",
        (World.discards_two_and_leases, World.leases, World.leases),
        {"max_size": 2, "fair": True},
        slow=False,
        first=2,
    ),
    Scenario("twice", (World.leases_twice,) * 3, ONE, ("reset",), first=1),
    Scenario("twice, fair", (World.leases_twice,) * 3, {"max_size": 2, "fair": True}, ("reset",), first=1),
    Scenario("tried", (World.leases, World.tries, World.leases), ONE, CHECKS),
    Scenario("grown", (World.leases, World.leases, World.grows), ONE_FAIR, ("reset",)),
    Scenario("closed", CLOSING, ONE_FAIR, ("reset",), first=1),
    Scenario("closed, two objects", CLOSING, TWO, first=2),
    Scenario("drained", (World.leases, World.leases, World.drains), TWO, ("reset",), first=2),
    Scenario("shrunk", (World.leases, World.leases, World.shrinks), TWO, first=2),
    Scenario(
        "looked after",
        (World.leases, World.acquires, World.maintains),
        TWO | {"check_on": ("checkout", "idle"), "check_interval": 0.0, "min_size": 1},
        CHECKS,
        first=2,
    ),
    Scenario("waited for", (World.leases, World.waits, World.waits), TWO),
    Scenario("a factory that fails", (World.leases_or_fails,) * 3, ONE, fails=1),
    Scenario("a factory that fails, fair", (World.leases_or_fails,) * 3, TWO | {"fair": True}, fails=2),
    Scenario("time-outs", (World.leases, *(World.leases_for_a_second,) * 2), ONE, slow=False, timers=1),
    Scenario("nested time-outs", (World.leases, *(World.leases_within_a_second,) * 2), ONE_FAIR, timers=1),
    Scenario("ordered, one object", LEASING, ONE | ORDERED),
    Scenario("ordered, two objects", ACQUIRING, TWO | ORDERED),
    Scenario("ordered, fair", LEASING, TWO | {"fair": True, "workers": 1}),
    Scenario("ordered, checked and reset", LEASING, ONE | ORDERED, CHECKS),
    Scenario("ordered, beyond the size", LEASING, ONE | ORDERED | {"overflow": "create"}),
    Scenario("ordered, used once", LEASING, ONE_FAIR | ORDERED | {"max_uses": 1}),
    Scenario("ordered, discarded", (World.discards, World.leases, World.discards), ONE_FAIR | ORDERED),
    Scenario("ordered, closed", CLOSING, ONE_FAIR | ORDERED, ("reset",), first=1),
    Scenario("ordered, drained", (World.leases, World.leases, World.drains), TWO | ORDERED, first=2),
    Scenario("ordered, shrunk", (World.leases, World.leases, World.shrinks), TWO | ORDERED, first=2),
    Scenario("ordered, kept ready", LEASING, TWO | ORDERED | {"min_size": 1, "max_uses": 1}),
    Scenario("ordered, waited for", (World.leases, World.waits, World.waits), TWO | ORDERED),
    Scenario("ordered, a factory that fails", (World.leases_or_fails,) * 3, ONE | ORDERED, fails=1),
    Scenario(
        "ordered, two that fail, fair", (World.leases_or_fails,) * 3, TWO | ORDERED | {"fair": True}, fails=2
    ),
    Scenario("ordered, waited out", (World.leases,) * 3, TWO | ORDERED | {"on_failure": "wait"}, fails=2),
    Scenario("ordered, time-outs", (World.leases, *(World.leases_for_a_second,) * 2), ONE | ORDERED, timers=1),
)

#: The order in which tasks run, with one cancellation.
ORDERS = (
    Scenario("one object, in other orders", ACQUIRING, ONE, first=1, turns=2, cancels=1),
    Scenario("two objects, in other orders", LEASING, TWO, CHECKS, turns=2, cancels=1),
    Scenario("one object, fair, in other orders", LEASING, ONE_FAIR, ("reset",), turns=1, cancels=1),
    Scenario("closed, in other orders", CLOSING, TWO, turns=1, cancels=1),
)


class Departure(NamedTuple):
    """From the order: at which decision, what, and of which task or step."""

    at: int
    what: str
    which: int = 0


@dataclass
class Ran:
    """One run: what it could have done otherwise, and what went wrong."""

    choices: list[list[Departure]]
    wrong: list[str]


def run(scenario: Scenario, departures: tuple[Departure, ...]) -> Ran:
    """Make these departures and no others."""
    choices: list[list[Departure]] = []
    with (
        SteppingLoop() as loop,
        mock.patch.object(callbacks, "monotonic", loop.time),
        mock.patch.object(creation, "monotonic", loop.time),
        mock.patch.object(engine, "monotonic", loop.time),
        mock.patch.object(maintenance, "monotonic", loop.time),
        mock.patch.object(orders, "monotonic", loop.time),
        mock.patch.object(runtimes, "monotonic", loop.time),
    ):
        world = World(scenario)
        fails, world.fails = world.fails, 0
        if scenario.first:
            loop.run(world.pool.wait(scenario.first))
        world.fails = fails
        tasks = [loop.create_task(client(world), name=str(n)) for n, client in enumerate(scenario.clients)]
        doomed: set[int] = set()
        at = 0
        planned = list(departures)
        left = {"cancel": scenario.cancels, "turn": scenario.turns, "timer": scenario.timers}
        for departure in departures:
            left[departure.what] -= 1
        stray = left["cancel"] < 0
        while not all(task.done() for task in tasks):
            timer = loop.next_timer()
            if (not loop.ready and timer is None) or at > ENOUGH:
                world.wrong.append("stuck: " + ", ".join(repr(task) for task in tasks if not task.done()))
                break
            if planned and planned[0].at == at:
                _, what, which = planned.pop(0)
                if what == "cancel":
                    if tasks[which].cancel():
                        doomed.add(which)
                elif what == "turn":
                    loop.step(min(which, len(loop.ready) - 1))
                else:
                    loop.fire()
            else:
                if not planned:
                    choices.append(list(_otherwise(loop, tasks, left, at)))
                if not loop.ready:
                    loop.fire()
                loop.step()
            at += 1
        while loop.ready and world.in_background:  # what clients that have gone have ordered
            loop.step()
        _judge(world, tasks, doomed, stray)
        try:
            loop.run(world.take_all())
            while loop.ready and world.in_background:
                loop.step()
            world.check_end()
        except BaseException as error:
            world.wrong.append(f"afterwards: {error!r}")
        world.wrong += loop.complaints
    return Ran(choices, world.wrong)


def _otherwise(
    loop: SteppingLoop, tasks: list[asyncio.Task[None]], left: dict[str, int], at: int
) -> Iterator[Departure]:
    if left["cancel"]:
        for number, task in enumerate(tasks):
            if not task.done():
                yield Departure(at, "cancel", number)
    if left["turn"]:
        for number in range(1, len(loop.ready)):
            yield Departure(at, "turn", number)
    if left["timer"] and loop.ready and loop.next_timer() is not None:
        yield Departure(at, "timer")


def _judge(world: World, tasks: list[asyncio.Task[None]], doomed: set[int], stray: bool) -> None:
    """What must be so when all tasks are over."""
    pool, wrong = world.pool, world.wrong
    for number, task in enumerate(tasks):
        if not task.done():
            continue
        if number in doomed and not task.cancelled():
            wrong.append(f"task {number} swallowed its cancellation: {task!r}")
        elif number not in doomed and task.cancelled():
            wrong.append(f"task {number} was cancelled, and nobody had asked for it")
        elif not task.cancelled() and task.exception() is not None:
            wrong.append(f"task {number} failed: {task.exception()!r}")
    if pool.waiting:
        wrong.append(f"{pool.waiting} in the queue, and all tasks are over")
    if pool.in_use or pool.size != pool.idle:
        wrong.append(f"lost: {pool!r}")
    ended = sum(world.closed.values())
    if len(world.made) != ended + pool.idle:
        wrong.append(f"{len(world.made)} made, {ended} closed, {pool.idle} idle")


def explore(scenario: Scenario) -> tuple[int, list[str]]:
    """All runs, or those before so many bad ones; and what is wrong with these."""
    runs = 0
    found: list[str] = []
    waiting: list[tuple[Departure, ...]] = [()]
    while waiting and len(found) < SHOWN:
        departures = waiting.pop()
        ran = run(scenario, departures)
        runs += 1
        if ran.wrong:
            plan = ", ".join(f"{each.what} {each.which} at {each.at}" for each in departures) or "no departure"
            found.append(f"{scenario.name}: {plan}: {'; '.join(ran.wrong)}")
        waiting += [(*departures, each) for choices in ran.choices for each in choices]
    return runs, found


def every_await(scenarios: Sequence[Scenario]) -> Found:
    """Each scenario in all its runs."""
    runs = 0
    found: list[str] = []
    for scenario in scenarios:
        more, bad = explore(scenario)
        runs += more
        found += bad
    return Found(f"{runs:,} runs of {len(scenarios)} scenarios", tuple(found))


def checks(full: bool) -> Iterator[Check]:
    """Two cancellations in order; one in other orders, of more tasks that go first if there is time."""
    yield Check("cancellation: cancelled at every await", partial(every_await, SCENARIOS))
    orders = [replace(each, turns=each.turns + 1) for each in ORDERS] if full else ORDERS
    yield Check("cancellation: cancelled at every await, in other orders", partial(every_await, orders))
