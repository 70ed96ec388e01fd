"""The rows of the pool of objects in ``python -m bufpool bench``.  No test here says how long anything may take."""

from __future__ import annotations

from typing import Any, Self

import pytest

from bufpool.cli.bench import (
    connections,
    contention,
    held,
    object_rows,
    objects,
    peers,
    rows,
    waiters,
    workloads,
)
from bufpool.cli.bench.async_peers import ASYNC_PEERS
from bufpool.cli.bench.by_hand import BY_HAND
from bufpool.cli.bench.checks import Check, at_least, at_most, cost, speed
from bufpool.cli.bench.packages import Package
from bufpool.cli.bench.parts import Figures, Race
from bufpool.cli.bench.peers import PEERS
from bufpool.cli.bench.timing import Plan
from bufpool.cli.bench.worker import Worker

TINY = Plan(rounds=3, generations=1, seconds=1e-4)

#: The bounds of the project, by row: whom against, where, and the bound.
PROMISES = {
    "lease": [
        *(("with lease()", peer, speed(5.0)) for peer in ("psycopg_pool", "SQLAlchemy")),
        *(
            ("with lease()", peer, speed(1.0))
            for peer in ("fastalloc", "fastalloc, no lock", "anopool", "connpool")
        ),
    ],
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


def test_the_table_holds_every_bound_of_the_pool_of_objects():
    found = {
        row.id: {
            (check.label, check.theirs, check.bound) for check in row.checks if check.bound.limit is not None
        }
        for row in object_rows.ROWS
    }
    assert found == {row: set(promises) for row, promises in PROMISES.items()}
    assert set(object_rows.ROWS) <= set(rows.ROWS)


def test_every_peer_is_raced_and_asked_for_where_it_is():
    raced = {
        entrant.name: entrant
        for row in object_rows.ROWS
        for part in row.parts
        if isinstance(part, Race)
        for crew in part.crews
        for entrant in crew
    }
    packages = {**PEERS, **ASYNC_PEERS}  # a connection's rivals are in both tables, under one name
    assert raced.keys() >= packages.keys() | BY_HAND.keys()
    assert all(entrant.peer is packages.get(name) for name, entrant in raced.items())


# Workloads -----------------------------------------------------------------------------------------------------------

HOWS = {
    "lease": ("lease", "acquire", *BY_HAND, *PEERS),
    "async lease": ("lease", "asyncio.Queue", *ASYNC_PEERS),
    **{f"connection, {kind}": ("lease", *connections.RIVALS) for kind in connections.KINDS},
    **{f"turns x {count}": ("lease", "queue.LifoQueue", "queue.SimpleQueue") for count in contention.COUNTS},
}


def skip_without(package: Package[Any] | None) -> None:
    if package is not None and package.missing():
        pytest.skip(package.missing())


@pytest.fixture(scope="module")
def worker():
    """One process for all: peers leave threads and event loops that wait for more."""
    with Worker() as worker:
        worker.ready()
        yield worker


@pytest.mark.parametrize(("name", "how"), [(name, how) for name, hows in HOWS.items() for how in hows])
def test_every_workload_runs_in_every_way(worker, name, how):
    skip_without(PEERS.get(how) or ASYNC_PEERS.get(how))
    worker.send_build(f"{name} {how}", name, how, 0)
    worker.receive()
    assert worker.sample(f"{name} {how}", 2) > 0


def test_all_workloads_are_tried_here_and_known_to_the_workers():
    assert objects.WORKLOADS.keys() == HOWS.keys()
    assert objects.WORKLOADS.keys() <= workloads.WORKLOADS.keys()


# Connections ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What the stand-in for a connection is asked from now on."""
    asked: list[str] = []
    monkeypatch.setattr(peers.Cursor, "execute", lambda cursor, _: asked.append("query") or cursor)
    monkeypatch.setattr(peers.Connection, "rollback", lambda _: asked.append("rollback"))
    return asked


@pytest.mark.parametrize("check", connections.KINDS.values(), ids=connections.KINDS)
@pytest.mark.parametrize("how", ["lease", *connections.RIVALS])
def test_all_pools_of_connections_take_the_same_care(asked, how, check):
    """A query on the way out where one is asked for, and nothing left open on the way in."""
    skip_without(connections.RIVALS.get(how))
    way = connections.connection(how, 1, check)
    way.give(way.take())  # SQLAlchemy asks nothing of a connection that it has just made
    asked.clear()
    handle = way.take()
    assert asked.count("query") == int(check)
    if how == "psycopg_pool":
        from psycopg.pq import TransactionStatus

        handle.pgconn.transaction_status = TransactionStatus.INTRANS
    asked.clear()
    way.give(handle)
    assert asked == ["rollback"]


# Probes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["lease", "queue.LifoQueue", "queue.SimpleQueue"])
def test_checkouts_are_counted_by_thread(how):
    found = contention.counts(how, 2, 0.02)
    assert len(found) == 2
    assert all(count % contention.BATCH == 0 for count in found)
    assert max(found) > 0


@pytest.mark.parametrize("how", ["lease", "queue.LifoQueue", "handed over", "own objects"])
def test_what_is_held_is_measured_in_seconds(worker, how):
    found = worker.ask(do="probe", name="held", how=how, seconds=0.1)
    assert found.keys() == {"wait", "p99.9", "each", "held"}
    assert 0 < found["wait"] <= found["p99.9"]
    assert found["held"] > held.HOLD / 2


@pytest.mark.parametrize("how", ["lease", "asyncio.Queue", "psycopg_pool, async"])
def test_tasks_wait_are_served_and_told(how):
    skip_without(ASYNC_PEERS.get(how))
    found = waiters.tasks(how, 20)
    assert found["time"] > 0
    assert (found["closing"] is None) == (how == "asyncio.Queue")


@pytest.mark.parametrize("how", ["lease", "queue.LifoQueue"])
def test_threads_wait_are_served_and_told(how):
    found = waiters.threads(how, 5)
    assert found["time"] > 0
    assert (found["closing"] is None) == (how == "queue.LifoQueue")


# Figures -------------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, dict[str, Any]] = {
    "counts": {"lease": [90, 100], "queue.LifoQueue": [10, 100]},
    "held": {
        "lease": {"wait": 3e-3, "p99.9": 6e-3, "each": 5.1e-4, "held": 1.02e-3},
        "queue.LifoQueue": {"wait": 3e-3, "p99.9": 3e-2, "each": 5.2e-4, "held": 1.02e-3},
        "handed over": {"wait": 3e-3, "p99.9": 4e-3, "each": 5.1e-4, "held": 1.01e-3},
        "own objects": {"wait": 1e-6, "p99.9": 2e-6, "each": 5.0e-4, "held": 1.00e-3},
    },
}


class FakeWorker:
    """Stands in for a process; each waiter costs the same, and twice as much in any pool but ours."""

    def ready(self) -> None: ...
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
    def ask(self, *, name: str, how: str = "lease", **_: object) -> Any:
        if name in ANSWERS:
            return ANSWERS[name][how]
        times = 1 if how == "lease" else 2
        return {"time": 1e-5 * times, "bytes": 1500.0 * times, "closing": 0.1}


def figures_of(row: str) -> list[tuple[str, str, float | None]]:
    (found,) = (each for each in object_rows.ROWS if each.id == row)
    results = [
        result for part in found.parts if isinstance(part, Figures) for result in part.run(TINY, silent)
    ]
    return [
        (result.check.label, result.check.theirs, result.figure and round(result.figure, 6))
        for result in results
    ]


def test_the_figures_of_threads_and_of_what_is_held(monkeypatch):
    monkeypatch.setattr(object_rows, "Worker", FakeWorker)
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
    monkeypatch.setattr(object_rows, "Worker", FakeWorker)
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


def test_a_platform_that_does_not_tell_its_memory_is_reported():
    check = Check("bytes", "lease", "1,000 waiters", cost(1.5, of="B"))
    result = object_rows._figure(check, [None], [None])
    assert result.figure is None
    assert "resident memory" in result.note
