"""The benchmarks of the object pool: contenders, and the targets of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.harness.benchmark import Benchmark, Comparison, Measurement
from benchmarks.harness.interleaved import Contender, Plan, compare
from benchmarks.harness.packages import Package
from benchmarks.harness.targets import NO_TARGET, Check, Result, Target, at_least, at_most, cost, reported, speed
from benchmarks.harness.units import plural
from benchmarks.harness.worker import Worker
from benchmarks.peers import connection_pools
from benchmarks.peers.async_pools import ASYNC_POOLS
from benchmarks.peers.stdlib import STDLIB
from benchmarks.workloads import hold_times, objects, slow_connects

#: Pools of connections, which care for connections as ours does for any object.
CONNECTION_POOLS = dict.fromkeys(connection_pools.BARE, speed(5.0))
#: None of these notices a double release.
OF_THE_STDLIB = dict.fromkeys(STDLIB, NO_TARGET)
WITHOUT_WITH = dict.fromkeys(("list + Lock", "queue.LifoQueue", "queue.SimpleQueue"), NO_TARGET)

ASYNC = {
    "object-pool-async": speed(10.0),
    "anopool, async": speed(5.0),
    "psycopg_pool, async": NO_TARGET,
    "asyncio.Queue": NO_TARGET,
}

#: Numbers of waiters. Each waiter must cost about as much as with a tenth as many.
MANY_TASKS, MANY_THREADS = 10_000, 1_000


_PACKAGES: dict[str, Package[Any]] = {**connection_pools.BARE, **ASYNC_POOLS}


def _contender(workload: str, how: str) -> Contender:
    """All in one process: a checkout takes less time than the difference between processes."""
    return Contender(how, workload, how, 0, process="shared", package=_PACKAGES.get(how))


def _comparison(label: str, workload: str, ours: str, against: Mapping[str, Target]) -> Comparison:
    group = tuple(_contender(workload, how) for how in (ours, *against))
    checks = tuple(Check(label, ours, theirs, target) for theirs, target in against.items())
    return Comparison(label, 0, (group,), checks)


def _turns(count: int) -> Comparison:
    targets = {"queue.LifoQueue": speed(5.0), "queue.SimpleQueue": NO_TARGET}
    return _comparison(f"{count} {plural(count, 'thread')}", f"turns x {count}", "lease", targets)


# Measurements: each reading in a fresh worker, in turns --------------------------------------------------------------

Probe = dict[str, Any]


def _ask(probes: Mapping[str, Probe], rounds: int) -> dict[str, list[Any]]:
    """Answers to each probe by its name, one for each round; every other round goes backwards."""
    answers: dict[str, list[Any]] = {name: [] for name in probes}
    for turn in range(rounds):
        for name in probes if turn % 2 == 0 else reversed(list(probes)):
            with Worker() as worker:
                worker.ready()
                answers[name].append(worker.ask(do="probe", **probes[name]))
    return answers


def _figure(check: Check, ours: Sequence[float | None], theirs: Sequence[float | None] = ()) -> Result:
    """The median of our figures in the target's unit, beside theirs; or the ratio of times."""
    mine = [value for value in ours if value is not None]
    others = [value for value in theirs if value is not None]
    if not mine:
        return Result(check, note="n/a: this platform does not report resident memory")
    if not check.target.absolute:
        return compare(check, mine, others)
    figure = median(mine)
    return Result(check, figure, median(others) if others else None, figure, min(mine), max(mine))


def _measure_shares(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    """Checkouts of the slowest thread in per cent of the fastest's."""
    results = []
    for check, count in zip(checks, objects.COUNTS, strict=True):
        probes = {
            how: {"name": "checkouts by thread", "how": how, "count": count, "seconds": 25 * plan.seconds}
            for how in (check.ours, check.theirs)
        }
        shares = {
            how: [100.0 * min(found) / max(found) for found in answers]
            for how, answers in _ask(probes, min(5, plan.rounds)).items()
        }
        results.append(_figure(check, shares[check.ours], shares[check.theirs]))
    return results


_HOLDERS = ("lease", "queue.LifoQueue", "handed over", "own objects")


def _measure_hold_times(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    probes = {how: {"name": "hold times", "how": how, "seconds": 100 * plan.seconds} for how in _HOLDERS}
    found = _ask(probes, min(5, plan.rounds))
    figures = {
        "p99.9 of the wait": lambda turn: turn["p99.9"] / turn["wait"],
        "throughput": lambda turn: 100.0 / turn["each"] / hold_times.IDEAL,
        "a checkout": lambda turn: turn["each"],
        "held": lambda turn: 1e3 * turn["held"],
    }
    return [
        _figure(
            check,
            [figures[check.label](turn) for turn in found[check.ours]],
            [figures[check.label](turn) for turn in found[check.theirs]],
        )
        for check in checks
    ]


def _measure_slow_connects(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    hows = {check.ours for check in checks} | {check.theirs for check in checks}
    missing = {"psycopg_pool": slow_connects.PSYCOPG.missing()}
    probes: dict[str, Probe] = {
        how: {"name": "slow connects", "how": how} for how in sorted(hows) if not missing.get(how)
    }
    found = _ask(probes, min(5, plan.rounds))
    return [
        Result(check, note=missing[check.theirs])
        if missing.get(check.theirs)
        else _figure(check, *([turn[check.label] for turn in found[how]] for how in (check.ours, check.theirs)))
        for check in checks
    ]


def _measure_tasks(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    return _measure_waiters("waiting tasks", MANY_TASKS, checks, plan)


def _measure_threads(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    return _measure_waiters("waiting threads", MANY_THREADS, checks, plan)


def _measure_waiters(name: str, many: int, checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    def probe(how: str, count: int) -> Probe:
        return {"name": name, "how": how, "count": count}

    few = many // 10
    others = {check.theirs for check in checks} - {_waiters(few), ""}
    missing = {how: ASYNC_POOLS[how].missing() if how in ASYNC_POOLS else "" for how in others}
    probes: dict[str, Probe] = {
        "lease": probe("lease", many),
        _waiters(few): probe("lease", few),
        **{how: probe(how, many) for how in others if not missing[how]},
    }
    found = _ask(probes, min(3, plan.rounds))
    results = []
    for check in checks:
        if missing.get(check.theirs):
            results.append(Result(check, note=missing[check.theirs]))
            continue
        what = check.label.rpartition(", ")[2]
        ours, theirs = ([turn[what] for turn in found.get(how, ())] for how in (check.ours, check.theirs))
        results.append(_figure(check, ours, theirs))
    return results


def _waiters(count: int) -> str:
    return f"{count:,} {plural(count, 'waiter')}"


def _linear(kind: str, many: int, limit: float) -> tuple[Check, ...]:
    """With ten times as many waiters, each takes at most `limit` times as long; closing takes at most a second."""
    return (
        Check(f"{many:,} {kind}, time", "lease", _waiters(many // 10), cost(limit)),
        Check(f"{many:,} {kind}, closing", "lease", "", at_most(1.0, "s")),
    )


BENCHMARKS = (
    Benchmark(
        "lease",
        "`with pool.lease() as x: pass`, an object that needs no care, against pools and the standard library",
        (
            _comparison("with lease()", "lease", "lease", {**CONNECTION_POOLS, **OF_THE_STDLIB}),
            _comparison("acquire, release", "lease", "acquire", WITHOUT_WITH),
        ),
    ),
    Benchmark(
        "connection",
        "a database connection by `resources.dbapi`, rolled back on return; without and with a query on checkout",
        tuple(
            _comparison(kind, f"connection, {kind}", "lease", dict.fromkeys(connection_pools.WITH_CARE, NO_TARGET))
            for kind in connection_pools.CARE
        ),
    ),
    Benchmark(
        "objects-threads",
        "threads that compete for two objects and return them at once: a million checkouts; the slowest thread's share",
        (
            *(_turns(count) for count in objects.COUNTS),
            Measurement(
                "slowest / fastest",
                0,
                tuple(
                    Check(
                        f"{count} {plural(count, 'thread')}, slowest", "lease", "queue.LifoQueue", at_least(50.0, "%")
                    )
                    for count in objects.COUNTS
                ),
                _measure_shares,
            ),
        ),
    ),
    Benchmark(
        "objects-held",
        "eight threads on two objects, each held 1 ms: p99.9 of the wait, in means; throughput, in % of 2,000 a second",
        (
            Measurement(
                "8 threads",
                0,
                (
                    Check("p99.9 of the wait", "lease", "queue.LifoQueue", at_most(3.0, "x")),
                    Check("throughput", "lease", "queue.LifoQueue", at_least(95.0, "%")),
                    Check("p99.9 of the wait", "lease", "handed over", reported("x")),
                    Check("throughput", "lease", "handed over", reported("%")),
                    Check("a checkout", "lease", "own objects", speed(0.95)),
                    Check("held", "lease", "own objects", reported("ms")),
                ),
                _measure_hold_times,
            ),
        ),
    ),
    Benchmark(
        "objects-slow",
        "forty clients on an empty pool; a connect takes 100 ms, a client 1 ms: their wait, and what the server sees",
        (
            Measurement(
                "40 clients",
                0,
                (
                    Check("median wait", "workers", "psycopg_pool", speed(1.0)),
                    Check("median wait", "workers", "no workers", NO_TARGET),
                    Check("at once", "workers", "psycopg_pool", at_most(float(slow_connects.WORKERS), "")),
                    Check("connections", "workers", "psycopg_pool", reported("")),
                    Check("connections", "workers", "no workers", reported("")),
                ),
                _measure_slow_connects,
            ),
        ),
    ),
    Benchmark(
        "objects-async",
        "`async with pool.lease() as x: pass`, one task, against other pools and a queue",
        (_comparison("async with lease()", "async lease", "lease", ASYNC),),
    ),
    Benchmark(
        "objects-waiters",
        "many waiters for one object: time and memory for each, against a tenth as many; time to close",
        (
            Measurement(
                "tasks",
                0,
                (
                    *_linear("tasks", MANY_TASKS, 1.5),
                    Check(f"{MANY_TASKS:,} tasks, bytes", "lease", _waiters(MANY_TASKS // 10), cost(1.5, of="B")),
                    *(
                        Check(f"{MANY_TASKS:,} tasks, {what}", "lease", other, target)
                        for other in ("asyncio.Queue", "psycopg_pool, async")
                        for what, target in (("time", NO_TARGET), ("bytes", reported("B")))
                    ),
                ),
                _measure_tasks,
            ),
            Measurement(
                "threads",
                0,
                (
                    # Waking one of many threads takes longer than waking one of few, because its stack is in no cache;
                    # the queue shows how much. A pool that visited all waiters each time would be at ten.
                    *_linear("threads", MANY_THREADS, 3.0),
                    Check(f"{MANY_THREADS:,} threads, time", "lease", "queue.LifoQueue", NO_TARGET),
                ),
                _measure_threads,
            ),
        ),
    ),
)
