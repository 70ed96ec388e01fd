"""Tasks that are cancelled, at every await: nothing is lost, nobody is forgotten, no cancellation is swallowed."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.verify.cancellation import ORDERS, SCENARIOS, Scenario, World, explore, run
from tests.verify.stepping_loop import EndlessError, SteppingLoop


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_tasks_cancelled_at_every_await(scenario: Scenario) -> None:
    """Each moment, each task, up to two of them."""
    runs, violations = explore(scenario)
    assert violations == []
    assert runs > 100


@pytest.mark.parametrize("scenario", [each for each in ORDERS if each.turns == 1], ids=lambda each: each.name)
def test_tasks_cancelled_at_every_await_in_other_orders(scenario: Scenario) -> None:
    """Who is ready does not run in order."""
    runs, violations = explore(scenario)
    assert violations == []
    assert runs > 100


# --- the explorer itself ---


async def swallows(world: World) -> None:
    with suppress(asyncio.CancelledError):
        await world.leases()


async def forgets(world: World) -> None:
    await world.use(await world.pool.acquire())


async def keeps(world: World) -> None:
    thing = await world.pool.acquire()
    await world.pool.release(thing)
    await world.use(thing)


async def gives_up(world: World) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("client", "said"),
    [(swallows, "swallowed"), (forgets, "lost"), (keeps, "two hands"), (gives_up, "stuck")],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_the_explorer_sees_clients_that_do_wrong(client: object, said: str) -> None:
    scenario = Scenario("wrong", (client, World.leases, World.leases), {"max_size": 2}, cancels=1)  # type: ignore[arg-type]
    _, violations = explore(scenario)
    assert any(said in each for each in violations)


def test_a_run_can_be_repeated() -> None:
    (scenario,) = [each for each in SCENARIOS if each.name == "checked and reset, fair"]
    runs = [run(scenario, ()) for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_step_without_an_end_is_seen() -> None:
    async def circles() -> None:
        while True:
            future = asyncio.get_running_loop().create_future()
            future.set_result(None)
            await future

    with SteppingLoop() as loop, pytest.raises(EndlessError):
        loop.run(circles())
