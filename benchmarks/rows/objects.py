"""The rows of the pool of objects: what it claims, against whom, and the contenders that test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bufpool._words import plural
from bufpool.cli.bench import by_hand, connections, contention, held, peers
from bufpool.cli.bench.async_peers import ASYNC_PEERS
from bufpool.cli.bench.checks import NO_CLAIM, Bound, Check, Result, at_least, at_most, cost, speed, told
from bufpool.cli.bench.packages import Package
from bufpool.cli.bench.parts import Figures, Race, Row
from bufpool.cli.bench.timing import Entrant, Plan, compare
from bufpool.cli.bench.worker import Worker

#: Pools that do for connections what ours does for any object.
CONNECTION_POOLS = {name: speed(5.0) for name in ("psycopg_pool", "SQLAlchemy")}
#: Pools that notice a double release, as ours does.
CAREFUL = {name: speed(1.0) for name in ("fastalloc", "fastalloc, no lock", "anopool", "connpool")}
#: Other pools of objects. Most hand an object to two clients after a double release.
OTHERS = dict.fromkeys((name for name in peers.PEERS if name not in CONNECTION_POOLS | CAREFUL), NO_CLAIM)
#: What one writes by hand without a ``with``.
_PAIRS = dict.fromkeys(("list pair", "list + Lock", "queue.LifoQueue", "queue.SimpleQueue"), NO_CLAIM)
#: What one writes by hand; none of it notices anything.
BY_HAND = dict.fromkeys(by_hand.BY_HAND, NO_CLAIM)

ASYNC = {
    "object-pool-async": speed(10.0),
    "anopool, async": speed(5.0),
    "psycopg_pool, async": NO_CLAIM,
    "asyncio.Queue": NO_CLAIM,
}

#: Waiters that the figures are of, and a tenth of them, for each of which they must be the same.
MANY_TASKS, MANY_THREADS = 10_000, 1_000


_PACKAGES: dict[str, Package[Any]] = {**peers.PEERS, **ASYNC_PEERS}


def _entrant(workload: str, how: str) -> Entrant:
    """All in one process: a checkout takes less time than processes differ by."""
    return Entrant(how, workload, how, 0, seat="shared", peer=_PACKAGES.get(how))


def _race(label: str, workload: str, ours: str, against: Mapping[str, Bound]) -> Race:
    crew = tuple(_entrant(workload, how) for how in (ours, *against))
    checks = tuple(Check(label, ours, theirs, bound) for theirs, bound in against.items())
    return Race(label, 0, (crew,), checks)


def _turns(count: int) -> Race:
    bounds = {"queue.LifoQueue": speed(5.0), "queue.SimpleQueue": NO_CLAIM}
    return _race(f"{count} {plural(count, 'thread')}", f"turns x {count}", "lease", bounds)


# Figures: each reading in a fresh worker, in turns -------------------------------------------------------------------

Probe = dict[str, Any]


def _ask(probes: Mapping[str, Probe], rounds: int) -> dict[str, list[Any]]:
    """Answers to each probe by its name, one for each round; as in a race, every other round goes backwards."""
    answers: dict[str, list[Any]] = {name: [] for name in probes}
    for turn in range(rounds):
        for name in probes if turn % 2 == 0 else reversed(list(probes)):
            with Worker() as worker:
                worker.ready()
                answers[name].append(worker.ask(do="probe", **probes[name]))
    return answers


def _figure(check: Check, ours: Sequence[float | None], theirs: Sequence[float | None] = ()) -> Result:
    """The median of figures in the bound's unit, beside theirs; or the ratio of times."""
    mine = [value for value in ours if value is not None]
    others = [value for value in theirs if value is not None]
    if not mine:
        return Result(check, note="n/a: this platform does not tell a process its resident memory")
    if not check.bound.own:
        return compare(check, mine, others)
    figure = median(mine)
    return Result(check, figure, median(others) if others else None, figure, min(mine), max(mine))


def _measure_shares(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    """Checkouts of the slowest thread in per cent of the fastest's."""
    results = []
    for check, count in zip(checks, contention.COUNTS, strict=True):
        ways = (check.ours, check.theirs)
        probes = {
            how: {"name": "counts", "how": how, "count": count, "seconds": 25 * plan.seconds} for how in ways
        }
        shares = {
            how: [100.0 * min(found) / max(found) for found in answers]
            for how, answers in _ask(probes, min(5, plan.rounds)).items()
        }
        results.append(_figure(check, shares[check.ours], shares[check.theirs]))
    return results


_HELD_WAYS = ("lease", "queue.LifoQueue", "handed over", "own objects")


def _measure_held(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    probes = {how: {"name": "held", "how": how, "seconds": 100 * plan.seconds} for how in _HELD_WAYS}
    found = _ask(probes, min(5, plan.rounds))
    figures = {
        "p99.9 of the wait": lambda turn: turn["p99.9"] / turn["wait"],
        "throughput": lambda turn: 100.0 / turn["each"] / held.IDEAL,
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


def _measure_tasks(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    return _measure_waiters("waiting tasks", MANY_TASKS, checks, plan)


def _measure_threads(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    return _measure_waiters("waiting threads", MANY_THREADS, checks, plan)


def _measure_waiters(name: str, many: int, checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    def probe(how: str, count: int) -> Probe:
        return {"name": name, "how": how, "count": count}

    few = many // 10
    rivals = {check.theirs for check in checks} - {_waiters(few), ""}
    lacks = {how: ASYNC_PEERS[how].missing() if how in ASYNC_PEERS else "" for how in rivals}
    probes: dict[str, Probe] = {
        "lease": probe("lease", many),
        _waiters(few): probe("lease", few),
        **{how: probe(how, many) for how in rivals if not lacks[how]},
    }
    found = _ask(probes, min(3, plan.rounds))
    results = []
    for check in checks:
        if lacks.get(check.theirs):
            results.append(Result(check, note=lacks[check.theirs]))
            continue
        what = check.label.rpartition(", ")[2]
        ours, theirs = ([turn[what] for turn in found.get(how, ())] for how in (check.ours, check.theirs))
        results.append(_figure(check, ours, theirs))
    return results


def _waiters(count: int) -> str:
    return f"{count:,} {plural(count, 'waiter')}"


def _linear(kind: str, many: int, limit: float) -> tuple[Check, ...]:
    """Each waiter costs no more time where there are ten times as many; a second tells all that it is over."""
    return (
        Check(f"{many:,} {kind}, time", "lease", _waiters(many // 10), cost(limit)),
        Check(f"{many:,} {kind}, closing", "lease", "", at_most(1.0, "s")),
    )


ROWS = (
    Row(
        "lease",
        "`with pool.lease() as x: pass`, an object that needs no care, against other pools and what one writes by hand",
        (
            _race(
                "with lease()",
                "lease",
                "lease",
                {**CONNECTION_POOLS, **CAREFUL, **BY_HAND},
            ),
            _race("with lease(), others", "lease", "lease", OTHERS),
            _race("acquire, release", "lease", "acquire", _PAIRS),
        ),
    ),
    Row(
        "connection",
        "a database connection by `resources.dbapi`, rolled back on return; then with a query at each checkout, too",
        tuple(
            _race(kind, f"connection, {kind}", "lease", dict.fromkeys(connections.RIVALS, NO_CLAIM))
            for kind in connections.KINDS
        ),
    ),
    Row(
        "objects-threads",
        "threads on two objects, nothing done while one holds: a million checkouts; the slowest thread's share",
        (
            *(_turns(count) for count in contention.COUNTS),
            Figures(
                "slowest / fastest",
                0,
                tuple(
                    Check(
                        f"{count} {plural(count, 'thread')}, slowest", "lease", "queue.LifoQueue", at_least(50.0, "%")
                    )
                    for count in contention.COUNTS
                ),
                _measure_shares,
            ),
        ),
    ),
    Row(
        "objects-held",
        "eight threads on two objects, each held 1 ms: the longest waits, in means; throughput, in % of 2,000 a second",
        (
            Figures(
                "8 threads",
                0,
                (
                    Check("p99.9 of the wait", "lease", "queue.LifoQueue", at_most(3.0, "x")),
                    Check("throughput", "lease", "queue.LifoQueue", at_least(95.0, "%")),
                    Check("p99.9 of the wait", "lease", "handed over", told("x")),
                    Check("throughput", "lease", "handed over", told("%")),
                    Check("a checkout", "lease", "own objects", speed(0.95)),
                    Check("held", "lease", "own objects", told("ms")),
                ),
                _measure_held,
            ),
        ),
    ),
    Row(
        "objects-async",
        "`async with pool.lease() as x: pass`, nobody else about, against other pools and a queue",
        (_race("async with lease()", "async lease", "lease", ASYNC),),
    ),
    Row(
        "objects-waiters",
        "crowds that wait for one object: time and memory for each, against a tenth as many; closing tells all",
        (
            Figures(
                "tasks",
                0,
                (
                    *_linear("tasks", MANY_TASKS, 1.5),
                    Check(
                        f"{MANY_TASKS:,} tasks, bytes", "lease", _waiters(MANY_TASKS // 10), cost(1.5, of="B")
                    ),
                    *(
                        Check(f"{MANY_TASKS:,} tasks, {what}", "lease", rival, bound)
                        for rival in ("asyncio.Queue", "psycopg_pool, async")
                        for what, bound in (("time", NO_CLAIM), ("bytes", told("B")))
                    ),
                ),
                _measure_tasks,
            ),
            Figures(
                "threads",
                0,
                (
                    # Waking one of many threads takes longer than one of few, whatever it waits for: its stack is in no
                    # cache. The queue beside it tells; a pool that looked at all its waiters each time would be at ten.
                    *_linear("threads", MANY_THREADS, 3.0),
                    Check(f"{MANY_THREADS:,} threads, time", "lease", "queue.LifoQueue", NO_CLAIM),
                ),
                _measure_threads,
            ),
        ),
    ),
)
