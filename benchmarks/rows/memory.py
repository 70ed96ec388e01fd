"""The table: every claim of speed and memory that bufpool makes, its bound, and the contenders that test it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from bufpool.cli.bench import array_peers, object_rows, probes, real_code, threads
from bufpool.cli.bench.allocators import ALLOCATORS, DEFAULT
from bufpool.cli.bench.checks import NO_CLAIM, Bound, Check, Result, at_most, cost, speed
from bufpool.cli.bench.parts import Crew, Figures, Race, Row, crews
from bufpool.cli.bench.probes import GIB, KIB, MIB
from bufpool.cli.bench.timing import Entrant, Plan
from bufpool.cli.bench.worker import Worker

#: Below this, process luck is larger than the bounds: contenders that can share a process do.  From here on glibc's
#: heap decides, and each contender gets a fresh one.
OWN_HEAP_FROM = 256 * KIB

#: What threads would share instead, and how much faster ours must be.
RIVALS = {"list": speed(2.0), "queue": speed(1.0)}

PEERS = tuple(name for name in ALLOCATORS if name != DEFAULT.name)


def label(size: int) -> str:
    """A size as a person reads it."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def _pair(workload: str, size: int, theirs: str, bound: Bound, *, how: str = "pool", name: str = "") -> Race:
    """The pool against plain NumPy in one process."""
    name = name or label(size)
    entrants = (
        Entrant("pool", workload, how, size, seat="shared"),
        Entrant(theirs, workload, "plain", size, seat="shared"),
    )
    return Race(name, size, (entrants,), (Check(name, "pool", theirs, bound),))


def _scratch(how: str, limit: float) -> tuple[Race]:
    entrants = (
        Entrant("scratch", "scratch", how, 64 * KIB, seat="shared"),
        Entrant("list pair", "scratch", "list", 64 * KIB, seat="shared"),
    )
    return (Race("64 KiB", 64 * KIB, (entrants,), (Check("64 KiB", "scratch", "list pair", cost(limit)),)),)


def _empty() -> tuple[Race, ...]:
    sizes = (64, KIB, 64 * KIB, MIB, 8 * MIB, 64 * MIB, 256 * MIB)
    races = tuple(_pair("empty", size, "np.empty", cost(1.0)) for size in sizes)
    small, large = (
        Entrant(f"pool at {label(size)}", "empty", "pool", size, seat="shared")
        for size in (64 * KIB, 64 * MIB)
    )
    flat = Race(
        label(large.size),
        large.size,
        ((large, small),),
        (Check("64 MiB", large.name, small.name, cost(1.3)),),
    )
    return (*races, flat)


#: Bounds against np.empty and a list of ready arrays, where the project has some.
FOUR_BOUNDS = {MIB: (speed(100.0), cost(1.15)), 8 * MIB: (speed(50.0), cost(1.15))}


def _four(size: int) -> Race:
    """Those that keep arrays ready share a process; those that ask an allocator have a heap of their own."""
    name = label(size)
    plain, ready = FOUR_BOUNDS.get(size, (NO_CLAIM, NO_CLAIM))
    ours = Entrant("pool", "four", "pool", size, seat="shared")
    others = [
        Entrant("np.empty", "four", "plain", size),
        *(Entrant(how, "four", how, size, seat="shared") for how in ("list", "dict")),
        *(
            Entrant(how, "four", how, size, seat="" if how == "numpy-allocator" else "shared", peer=package)
            for how, package in array_peers.FOUR.items()
        ),
        *(Entrant(allocator, "four", "plain", size, allocator) for allocator in PEERS),
    ]
    bounds = {"np.empty": plain, "list": ready}
    checks = tuple(Check(name, "pool", each.name, bounds.get(each.name, NO_CLAIM)) for each in others)
    return Race(name, size, crews(ours, others, 4 * size), checks)


#: 64 B to 256 MiB in steps of four, and 2 MiB, which has a bound of its own.
EXPRESSION_SIZES = tuple(sorted({64 * 4**step for step in range(12)} | {2 * MIB}))
EXPRESSION_SPEED = {2 * MIB: 2.2, 16 * MIB: 1.3, 64 * MIB: 1.5, 256 * MIB: 1.4}


def _expression(size: int) -> Race:
    name = label(size)
    if size in EXPRESSION_SPEED:
        plain = speed(EXPRESSION_SPEED[size])
    else:
        plain = cost(1.05 if size < KIB else 1.03)
    checks = [Check(name, "pool", "plain", plain)]
    if size >= MIB:
        checks.append(Check(name, "pool", "out= by hand", cost(1.05)))
    checks += [Check(name, "pool", peer, cost(1.05)) for peer in PEERS]

    def entrant(who: str, how: str, allocator: str = DEFAULT.name, seat: str = "") -> Entrant:
        return Entrant(who, "expression", how, size, allocator, seat)

    shared = "" if size >= OWN_HEAP_FROM else "shared"
    here = [entrant("plain", "plain", seat=shared)]
    if size >= MIB:
        here.append(entrant("out= by hand", "out"))
    rivals = [entrant(peer, "plain", peer) for peer in PEERS]
    alone = entrant("pool", "pool")
    each = 7 * size  # four inputs, two temporaries and the result
    if shared:
        teams: tuple[Crew, ...] = ((entrant("pool", "pool", seat=shared), *here), *crews(alone, rivals, each))
    else:
        teams = crews(alone, [*here, *rivals], each)
    return Race(name, size, teams, tuple(checks))


def _expression_peers(size: int) -> Race:
    """Other packages, each in a process of its own: two of them have threads and settings of the whole process."""
    name = label(size)
    ours = Entrant("pool", "expression", "pool", size)
    others = [
        Entrant(how, "expression", how, size, peer=package) for how, package in array_peers.EXPRESSION.items()
    ]
    checks = tuple(Check(name, "pool", each.name, NO_CLAIM) for each in others)
    return Race(name, size, crews(ours, others, 7 * size), checks)


def _bytes(size: int) -> Race:
    name = label(size)
    ours = Entrant("pool.buffer", "bytes", "pool", size, seat="shared")
    others = (
        Entrant("bytearray", "bytes", "bytearray", size, seat="shared"),
        *(
            Entrant(how, "bytes", how, size, seat="shared", peer=package)
            for how, package in array_peers.BYTES.items()
        ),
    )
    return Race(
        name, size, ((ours, *others),), tuple(Check(name, ours.name, each.name, NO_CLAIM) for each in others)
    )


def _piece(name: str) -> Race:
    size = real_code.FRAME_4K
    crew = (Entrant("pool", name, "pool", size), Entrant("plain", name, "plain", size))
    return Race(name, size, (crew,), (Check(name, "pool", "plain", speed(0.97)),), needs=real_code.NEEDS)


def _handoff(source: str, write: str, plain: Bound, tuned: Bound) -> Race:
    name, workload, size = f"from {source}, {write}", f"handoff {source} {write}", 25 * MIB
    crew = (
        Entrant("pool", workload, "pool", size),
        Entrant("plain", workload, "plain", size),
        Entrant("glibc tuned", workload, "plain", size, "glibc tuned"),
        Entrant("ready frames", workload, "list", size),
    )
    checks = (
        Check(name, "pool", "plain", plain),
        Check(name, "pool", "glibc tuned", tuned),
        Check(name, "pool", "ready frames", NO_CLAIM),  # what is left when nothing is allocated at all
    )
    return Race(name, size, (crew,), checks)


def _in_threads(
    workload: str, linear: dict[str, Bound], ours: Sequence[str], plain: dict[str, Bound] | None = None
) -> Race:
    """Each contender with as many threads as cores against itself with one; then ours against rivals and `np.empty`."""
    one, many = threads.COUNTS

    def entrant(how: str, count: int) -> Entrant:
        return Entrant(f"{how} x {count}", f"{workload} x {count}", how, KIB, seat="shared")

    crew = tuple(entrant(how, count) for how in (*linear, *RIVALS) for count in (one, many))
    checks = [Check(how, f"{how} x {many}", f"{how} x {one}", bound) for how, bound in linear.items()]
    checks += [
        Check(how, f"{how} x {many}", f"{rival} x {many}", bound)
        for how in ours
        for rival, bound in RIVALS.items()
    ]
    checks += [
        Check(how, f"{how} x {many}", f"np.empty x {many}", bound) for how, bound in (plain or {}).items()
    ]
    return Race("1 KiB", KIB, (crew,), tuple(checks), free_threaded=True)


def _measure_waste(checks: tuple[Check, ...], _plan: Plan) -> list[Result]:
    found = probes.waste()
    figures = {f"{drawn}, {which}": value for drawn, both in found.items() for which, value in both.items()}
    return [Result(check, ours=figures[check.label], figure=figures[check.label]) for check in checks]


def _measure_burst(checks: tuple[Check, ...], _plan: Plan) -> list[Result]:
    with Worker() as worker:
        worker.ready()
        found = worker.ask(do="probe", name="burst", total=2 * GIB, block=64 * MIB, max_retained=256 * MIB)
    figures = {"counted": found["reserved"], "resident": found["resident_growth"]}
    results = []
    for check in checks:
        held = figures[check.label]
        if held is None:
            results.append(
                Result(check, note="n/a: this platform does not tell a process its resident memory")
            )
        else:
            results.append(Result(check, ours=held / MIB, figure=held / MIB))
    return results


def _measure_import(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    rounds = probes.import_cost(plan.rounds)
    numpy, bufpool = ([1e3 * seconds for seconds in column] for column in zip(*rounds, strict=True))
    (check,) = checks
    return [Result(check, median(bufpool), median(numpy), median(bufpool), min(bufpool), max(bufpool))]


def _figures(
    size: int, measure: Callable[[tuple[Check, ...], Plan], list[Result]], *checks: Check, name: str = ""
) -> tuple[Figures]:
    return (Figures(name or checks[0].label, size, checks, measure),)


ROWS = (
    Row(
        "scratch",
        "scratch.release(scratch.acquire()) against list.append(list.pop())",
        _scratch("calls", 2.0),
    ),
    Row("scratch-with", "`with scratch as a: pass` against list.append(list.pop())", _scratch("with", 4.0)),
    Row(
        "lease-array",
        "`with pool.lease(n) as a: pass` against `a = np.empty(n); del a`",
        tuple(_pair("lease of an array", size, "np.empty", cost(3.0)) for size in (KIB, 64 * KIB)),
    ),
    Row("empty", "pool.empty(n, float32) and drop, against np.empty; 64 MiB against 64 KiB", _empty()),
    Row(
        "four",
        "four arrays at once, a write to each page, all dropped, against np.empty, ready arrays, allocators, pools",
        tuple(_four(size) for size in (64 * KIB, MIB, 8 * MIB, 64 * MIB)),
    ),
    Row(
        "bytes",
        "pool.buffer(n) and drop, untouched, against what else gives bytes; all others but pyarrow zero theirs",
        tuple(_bytes(size) for size in (4 * KIB, 64 * KIB, MIB)),
    ),
    Row(
        "expression",
        "np.sqrt(a*a + b*b) + c*d, float32, unchanged under `with pool:`",
        tuple(_expression(size) for size in EXPRESSION_SIZES),
    ),
    Row(
        "expression-peers",
        "the same expression by packages that fuse it, results written in place, or that change NumPy's allocator",
        tuple(_expression_peers(size) for size in (256 * KIB, 2 * MIB, 16 * MIB, 64 * MIB)),
    ),
    Row(
        "real-code",
        "nine pieces of NumPy, SciPy and scikit-image code on 4K frames, unchanged under `with pool:`",
        tuple(_piece(name) for name in real_code.PIECES),
        mean=Check("geometric mean", "pool", "plain", speed(1.25)),
    ),
    Row(
        "handoff",
        "four frames of 25 MiB from one thread to another through queue.Queue, by who makes them and how it writes",
        (
            _handoff("main", "touched", speed(2.5), cost(1.0)),
            _handoff("main", "filled", speed(2.5), cost(1.0)),
            _handoff("worker", "touched", speed(2.5), cost(1.0)),
            _handoff("worker", "filled", speed(2.5), cost(1.0)),
        ),
    ),
    Row(
        "zeros",
        "pool.zeros and a write to each page, against np.zeros",
        (_pair("zeros", 64 * MIB, "np.zeros", speed(4.0)),),
    ),
    Row(
        "threads",
        "as many threads as cores, each takes 1 KiB and gives it back, as the README writes it, against one thread "
        "(1.00x is linear) and others",
        (
            _in_threads(
                "same thread",
                {
                    "buffer": speed(0.8),
                    "empty": speed(0.8),
                    "lease": speed(0.8),
                    "scratch": speed(0.9),
                    "scratch methods": speed(0.9),
                    "expression": speed(0.85),
                    "np.empty": NO_CLAIM,
                    "plain expression": NO_CLAIM,
                    "nothing": NO_CLAIM,
                },
                ("buffer", "empty", "scratch"),
                {"buffer": speed(1.0), "empty": speed(1.0), "lease": cost(3.0)},
            ),
        ),
    ),
    Row(
        "threads-handoff",
        "as many threads as cores, each takes 1 KiB and the next one gives it back, in batches of 64; 1.00x is linear",
        (
            _in_threads(
                "ring", {"buffer": speed(0.6), "empty": speed(0.6), "np.empty": NO_CLAIM}, ("buffer", "empty")
            ),
        ),
    ),
    Row(
        "waste",
        "bytes added by size classes, random sizes from 1 KiB to 1 GiB",
        _figures(
            0,
            _measure_waste,
            *(
                Check(f"{drawn}, {which}", "pool", "", at_most(limit, "%"))
                for drawn in ("log-uniform", "uniform")
                for which, limit in (("mean", 6.0), ("worst", 12.5))
            ),
            name="random sizes",
        ),
    ),
    Row(
        "burst",
        "held after a burst of 2 GiB with max_retained of 256 MiB, without a call",
        _figures(
            2 * GIB,
            _measure_burst,
            Check("counted", "pool", "", at_most(256 * 1.05, "MiB")),
            Check("resident", "pool", "", at_most(256 * 1.05, "MiB")),
            name="2 GiB",
        ),
    ),
    Row(
        "import",
        "import bufpool on top of import numpy",
        _figures(
            0, _measure_import, Check("fresh process", "import bufpool", "import numpy", at_most(15.0, "ms"))
        ),
    ),
    *object_rows.ROWS,
)
