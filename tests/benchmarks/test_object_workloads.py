"""The workloads, probes and benchmarks of the object pool. No test here says how long anything may take."""

from __future__ import annotations

from typing import Any, Self

import pytest

from benchmarks.harness.benchmark import Comparison, Measurement
from benchmarks.harness.interleaved import Plan
from benchmarks.harness.packages import Package
from benchmarks.harness.targets import Check, at_least, at_most, cost, speed
from benchmarks.peers import connection_pools
from benchmarks.peers.async_pools import ASYNC_POOLS
from benchmarks.peers.connection_pools import BARE, CARE, WITH_CARE
from benchmarks.peers.stdlib import STDLIB
from benchmarks.suite import objects as suite
from benchmarks.workloads import WORKLOADS, hold_times, objects, waiters

TINY = Plan(rounds=3, generations=1, seconds=1e-4)

#: The targets of the project, by benchmark: what, contender and target.
PROMISES = {
    "lease": [("with lease()", peer, speed(5.0)) for peer in ("psycopg_pool", "SQLAlchemy")],
    "connection": [],
    "objects-threads": [
        *((f"{count} threads", "queue.LifoQueue", speed(5.0)) for count in (2, 4)),
        *((f"{count} threads, slowest", "queue.LifoQueue", at_least(50.0, "%")) for count in (2, 4)),
    ],
    "objects-held": [
        ("p99.9 of the wait", "queue.LifoQueue", at_most(3.0, "x")),
        ("throughput", "queue.LifoQueue", at_least(95.0, "%")),
        ("a checkout", "own objects", speed(0.95)),
    ],
    "objects-slow": [
        ("median wait", "psycopg_pool", speed(1.0)),
        ("at once", "psycopg_pool", at_most(3.0, "")),
    ],
    "objects-async": [
        ("async with lease()", "object-pool-async", speed(10.0)),
        ("async with lease()", "anopool, async", speed(5.0)),
    ],
    "objects-waiters": [
        ("10,000 tasks, time", "1,000 waiters", cost(1.5)),
        ("10,000 tasks, bytes", "1,000 waiters", cost(1.5, of="B")),
        ("10,000 tasks, closing", "", at_most(1.0, "s")),
        ("1,000 threads, time", "100 waiters", cost(3.0)),
        ("1,000 threads, closing", "", at_most(1.0, "s")),
    ],
}


def silent(_words: str) -> None:
    pass


# The table -----------------------------------------------------------------------------------------------------------


def test_the_suite_has_every_target_of_the_object_pool():
    found = {
        each.id: {(check.label, check.theirs, check.target) for check in each.checks if check.target.limit is not None}
        for each in suite.BENCHMARKS
    }
    assert found == {row: set(promises) for row, promises in PROMISES.items()}


def test_every_peer_is_a_contender_that_needs_its_package():
    contenders = {
        contender.name: contender
        for each in suite.BENCHMARKS
        for part in each.parts
        if isinstance(part, Comparison)
        for group in part.groups
        for contender in group
    }
    packages = {**BARE, **ASYNC_POOLS}
    assert contenders.keys() >= packages.keys() | STDLIB.keys()
    assert all(contender.package is packages.get(name) for name, contender in contenders.items())


# Workloads -----------------------------------------------------------------------------------------------------------

HOWS = {
    "lease": ("lease", "acquire", *STDLIB, *BARE),
    "async lease": ("lease", "asyncio.Queue", *ASYNC_POOLS),
    **{f"connection, {kind}": ("lease", *WITH_CARE) for kind in CARE},
    **{f"turns x {count}": ("lease", "queue.LifoQueue", "queue.SimpleQueue") for count in objects.COUNTS},
}


def skip_without(package: Package[Any] | None) -> None:
    if package is not None and package.missing():
        pytest.skip(package.missing())


@pytest.mark.parametrize(("name", "how"), [(name, how) for name, hows in HOWS.items() for how in hows])
def test_every_workload_runs_in_every_way(worker, name, how):
    skip_without(BARE.get(how) or ASYNC_POOLS.get(how))
    worker.send_build(f"{name} {how}", name, how, 0)
    worker.receive()
    assert worker.sample(f"{name} {how}", 2) > 0


def test_all_workloads_of_the_benchmarks_are_tried_here():
    comparisons = [part for each in suite.BENCHMARKS for part in each.parts if isinstance(part, Comparison)]
    used = {contender.workload for part in comparisons for group in part.groups for contender in group}
    assert HOWS.keys() == used <= WORKLOADS.keys()


# Connections ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What the connection is asked to do from now on."""
    asked: list[str] = []
    monkeypatch.setattr(connection_pools.Cursor, "execute", lambda cursor, _: asked.append("query") or cursor)
    monkeypatch.setattr(connection_pools.Connection, "rollback", lambda _: asked.append("rollback"))
    return asked


@pytest.mark.parametrize("check", CARE.values(), ids=CARE)
@pytest.mark.parametrize("how", ["lease", *WITH_CARE])
def test_all_pools_of_connections_take_the_same_care(asked, how, check):
    """A query on checkout if there is a check, and a rollback on return."""
    skip_without(WITH_CARE.get(how))
    pool = connection_pools.with_care(how, 1, check)
    pool.release(pool.acquire())  # SQLAlchemy does not check a connection that it has just made
    asked.clear()
    handle = pool.acquire()
    assert asked.count("query") == int(check)
    if how == "psycopg_pool":
        from psycopg.pq import TransactionStatus

        handle.pgconn.transaction_status = TransactionStatus.INTRANS
    asked.clear()
    pool.release(handle)
    assert asked == ["rollback"]


# Probes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["lease", "queue.LifoQueue", "queue.SimpleQueue"])
def test_checkouts_are_counted_by_thread(how):
    found = objects.checkouts_by_thread(how, 2, 0.02)
    assert len(found) == 2
    assert all(count % objects.BATCH == 0 for count in found)
    assert max(found) > 0


@pytest.mark.parametrize("how", ["lease", "queue.LifoQueue", "handed over", "own objects"])
def test_hold_times_are_measured_in_seconds(worker, how):
    found = worker.ask(do="probe", name="hold times", how=how, seconds=0.1)
    assert found.keys() == {"wait", "p99.9", "each", "held"}
    assert 0 < found["wait"] <= found["p99.9"]
    assert found["held"] > hold_times.HOLD / 2


@pytest.mark.parametrize("how", ["lease", "asyncio.Queue", "psycopg_pool, async"])
def test_waiting_tasks_are_served_and_then_refused(how):
    skip_without(ASYNC_POOLS.get(how))
    found = waiters.tasks(how, 20)
    assert found["time"] > 0
    assert (found["closing"] is None) == (how == "asyncio.Queue")


@pytest.mark.parametrize("how", ["lease", "queue.LifoQueue"])
def test_waiting_threads_are_served_and_then_refused(how):
    found = waiters.threads(how, 5)
    assert found["time"] > 0
    assert (found["closing"] is None) == (how == "queue.LifoQueue")


# Measurements ---------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, dict[str, Any]] = {
    "checkouts by thread": {"lease": [90, 100], "queue.LifoQueue": [10, 100]},
    "hold times": {
        "lease": {"wait": 3e-3, "p99.9": 6e-3, "each": 5.1e-4, "held": 1.02e-3},
        "queue.LifoQueue": {"wait": 3e-3, "p99.9": 3e-2, "each": 5.2e-4, "held": 1.02e-3},
        "handed over": {"wait": 3e-3, "p99.9": 4e-3, "each": 5.1e-4, "held": 1.01e-3},
        "own objects": {"wait": 1e-6, "p99.9": 2e-6, "each": 5.0e-4, "held": 1.00e-3},
    },
}


class FakeWorker:
    """Instead of a process; each waiter costs the same, and twice as much in any pool but ours."""

    def ready(self) -> None: ...
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
    def ask(self, *, name: str, how: str = "lease", **_: object) -> Any:
        if name in ANSWERS:
            return ANSWERS[name][how]
        times = 1 if how == "lease" else 2
        return {"time": 1e-5 * times, "bytes": 1500.0 * times, "closing": 0.1}


def figures_of(wanted: str) -> list[tuple[str, str, float | None]]:
    (found,) = (each for each in suite.BENCHMARKS if each.id == wanted)
    results = [result for part in found.parts if isinstance(part, Measurement) for result in part.run(TINY, silent)]
    return [(result.check.label, result.check.theirs, result.figure and round(result.figure, 6)) for result in results]


def test_the_figures_of_threads_and_of_hold_times(monkeypatch):
    monkeypatch.setattr(suite, "Worker", FakeWorker)
    assert figures_of("objects-threads") == [
        ("2 threads, slowest", "queue.LifoQueue", 90.0),
        ("4 threads, slowest", "queue.LifoQueue", 90.0),
    ]
    assert figures_of("objects-held") == [
        ("p99.9 of the wait", "queue.LifoQueue", 2.0),
        ("throughput", "queue.LifoQueue", 98.039216),
        ("p99.9 of the wait", "handed over", 2.0),
        ("throughput", "handed over", 98.039216),
        ("a checkout", "own objects", 0.980392),
        ("held", "own objects", 1.02),
    ]


def test_the_figures_of_waiters(monkeypatch):
    monkeypatch.setattr(suite, "Worker", FakeWorker)
    monkeypatch.setattr(Package, "missing", lambda package: f"no {package.distribution}")
    assert figures_of("objects-waiters") == [
        ("10,000 tasks, time", "1,000 waiters", 1.0),
        ("10,000 tasks, closing", "", 0.1),
        ("10,000 tasks, bytes", "1,000 waiters", 1.0),
        ("10,000 tasks, time", "asyncio.Queue", 2.0),
        ("10,000 tasks, bytes", "asyncio.Queue", 1500.0),
        ("10,000 tasks, time", "psycopg_pool, async", None),
        ("10,000 tasks, bytes", "psycopg_pool, async", None),
        ("1,000 threads, time", "100 waiters", 1.0),
        ("1,000 threads, closing", "", 0.1),
        ("1,000 threads, time", "queue.LifoQueue", 2.0),
    ]


def test_a_platform_without_memory_figures_is_named():
    check = Check("bytes", "lease", "1,000 waiters", cost(1.5, of="B"))
    result = suite._figure(check, [None], [None])
    assert result.figure is None
    assert "resident memory" in result.note
