"""The benchmarks of the buffer pool: contenders, and the targets of the project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.harness.allocators import ALLOCATORS, DEFAULT
from benchmarks.harness.benchmark import Benchmark, Comparison, Group, Measurement, groups_within_budget
from benchmarks.harness.interleaved import Contender, Plan
from benchmarks.harness.targets import NO_TARGET, Check, Result, Target, at_most, cost, speed
from benchmarks.harness.units import GIB, KIB, MIB, size_label
from benchmarks.harness.worker import Worker
from benchmarks.peers import arrays
from benchmarks.workloads import footprint, image_code, threads

#: Below this size, differences between processes are larger than the targets, so contenders share a process if they
#: can. From this size on the heap of glibc decides, and each contender gets a fresh one.
OWN_HEAP_FROM = 256 * KIB

#: What threads could share instead, and how much faster ours must be.
SHARED_BY_THREADS = {"list": speed(2.0), "queue": speed(1.0)}

OTHER_ALLOCATORS = tuple(name for name in ALLOCATORS if name != DEFAULT.name)


def _pair(workload: str, size: int, theirs: str, target: Target, *, how: str = "pool", name: str = "") -> Comparison:
    """The pool against plain NumPy in one process."""
    name = name or size_label(size)
    contenders = (
        Contender("pool", workload, how, size, process="shared"),
        Contender(theirs, workload, "plain", size, process="shared"),
    )
    return Comparison(name, size, (contenders,), (Check(name, "pool", theirs, target),))


def _scratch(how: str, limit: float) -> tuple[Comparison]:
    contenders = (
        Contender("scratch", "scratch", how, 64 * KIB, process="shared"),
        Contender("list pair", "scratch", "list", 64 * KIB, process="shared"),
    )
    return (Comparison("64 KiB", 64 * KIB, (contenders,), (Check("64 KiB", "scratch", "list pair", cost(limit)),)),)


def _empty() -> tuple[Comparison, ...]:
    sizes = (64, KIB, 64 * KIB, MIB, 8 * MIB, 64 * MIB, 256 * MIB)
    by_size = tuple(_pair("empty", size, "np.empty", cost(1.0)) for size in sizes)
    small, large = (
        Contender(f"pool at {size_label(size)}", "empty", "pool", size, process="shared")
        for size in (64 * KIB, 64 * MIB)
    )
    flat = Comparison(
        size_label(large.size), large.size, ((large, small),), (Check("64 MiB", large.name, small.name, cost(1.3)),)
    )
    return (*by_size, flat)


#: Targets against np.empty and a list of ready arrays, at the sizes that have targets.
FOUR_TARGETS = {MIB: (speed(100.0), cost(1.15)), 8 * MIB: (speed(50.0), cost(1.15))}


def _four(size: int) -> Comparison:
    """Contenders that keep arrays ready share a process; those that call an allocator have a heap of their own."""
    name = size_label(size)
    plain, ready = FOUR_TARGETS.get(size, (NO_TARGET, NO_TARGET))
    ours = Contender("pool", "four", "pool", size, process="shared")
    others = [
        Contender("np.empty", "four", "plain", size),
        *(Contender(how, "four", how, size, process="shared") for how in ("list", "dict")),
        *(
            Contender(how, "four", how, size, process="" if how == "numpy-allocator" else "shared", package=package)
            for how, package in arrays.FOUR.items()
        ),
        *(Contender(allocator, "four", "plain", size, allocator) for allocator in OTHER_ALLOCATORS),
    ]
    targets = {"np.empty": plain, "list": ready}
    checks = tuple(Check(name, "pool", each.name, targets.get(each.name, NO_TARGET)) for each in others)
    return Comparison(name, size, groups_within_budget(ours, others, 4 * size), checks)


#: 64 B to 256 MiB in steps of four, and 2 MiB.
EXPRESSION_SIZES = tuple(sorted({64 * 4**step for step in range(12)} | {2 * MIB}))
EXPRESSION_TARGETS = {2 * MIB: 2.2, 16 * MIB: 1.3, 64 * MIB: 1.5, 256 * MIB: 1.4}


def _expression(size: int) -> Comparison:
    name = size_label(size)
    if size in EXPRESSION_TARGETS:
        plain = speed(EXPRESSION_TARGETS[size])
    else:
        plain = cost(1.05 if size < KIB else 1.03)
    checks = [Check(name, "pool", "plain", plain)]
    if size >= MIB:
        checks.append(Check(name, "pool", "out= by hand", cost(1.05)))
    checks += [Check(name, "pool", peer, cost(1.05)) for peer in OTHER_ALLOCATORS]

    def contender(name: str, how: str, allocator: str = DEFAULT.name, process: str = "") -> Contender:
        return Contender(name, "expression", how, size, allocator, process)

    shared = "" if size >= OWN_HEAP_FROM else "shared"
    plain_ones = [contender("plain", "plain", process=shared)]
    if size >= MIB:
        plain_ones.append(contender("out= by hand", "out"))
    allocators = [contender(peer, "plain", peer) for peer in OTHER_ALLOCATORS]
    alone = contender("pool", "pool")
    each = 7 * size  # four inputs, two temporaries and the result
    if shared:
        first: Group = (contender("pool", "pool", process=shared), *plain_ones)
        groups = (first, *groups_within_budget(alone, allocators, each))
    else:
        groups = groups_within_budget(alone, [*plain_ones, *allocators], each)
    return Comparison(name, size, groups, tuple(checks))


def _expression_peers(size: int) -> Comparison:
    """Other packages, each in a process of its own, because two of them have process-wide threads and settings."""
    name = size_label(size)
    ours = Contender("pool", "expression", "pool", size)
    others = [Contender(how, "expression", how, size, package=package) for how, package in arrays.EXPRESSION.items()]
    checks = tuple(Check(name, "pool", each.name, NO_TARGET) for each in others)
    return Comparison(name, size, groups_within_budget(ours, others, 7 * size), checks)


def _bytes(size: int) -> Comparison:
    name = size_label(size)
    ours = Contender("pool.buffer", "bytes", "pool", size, process="shared")
    others = (
        Contender("bytearray", "bytes", "bytearray", size, process="shared"),
        *(
            Contender(how, "bytes", how, size, process="shared", package=package)
            for how, package in arrays.BYTES.items()
        ),
    )
    return Comparison(
        name, size, ((ours, *others),), tuple(Check(name, ours.name, each.name, NO_TARGET) for each in others)
    )


def _piece(name: str) -> Comparison:
    size = image_code.FRAME_4K
    group = (Contender("pool", name, "pool", size), Contender("plain", name, "plain", size))
    return Comparison(name, size, (group,), (Check(name, "pool", "plain", speed(0.97)),), needs=image_code.NEEDS)


def _handoff(source: str, write: str, plain: Target, tuned: Target) -> Comparison:
    name, workload, size = f"from {source}, {write}", f"handoff {source} {write}", 25 * MIB
    group = (
        Contender("pool", workload, "pool", size),
        Contender("plain", workload, "plain", size),
        Contender("glibc tuned", workload, "plain", size, "glibc tuned"),
        Contender("ready frames", workload, "list", size),
    )
    checks = (
        Check(name, "pool", "plain", plain),
        Check(name, "pool", "glibc tuned", tuned),
        Check(name, "pool", "ready frames", NO_TARGET),  # the cost without any allocation
    )
    return Comparison(name, size, (group,), checks)


def _in_threads(
    workload: str, linear: dict[str, Target], ours: Sequence[str], plain: dict[str, Target] | None = None
) -> Comparison:
    """Each contender with as many threads as cores against itself with one thread; then ours against the others."""
    one, many = threads.COUNTS

    def contender(how: str, count: int) -> Contender:
        return Contender(f"{how} x {count}", f"{workload} x {count}", how, KIB, process="shared")

    group = tuple(contender(how, count) for how in (*linear, *SHARED_BY_THREADS) for count in (one, many))
    checks = [Check(how, f"{how} x {many}", f"{how} x {one}", target) for how, target in linear.items()]
    checks += [
        Check(how, f"{how} x {many}", f"{other} x {many}", target)
        for how in ours
        for other, target in SHARED_BY_THREADS.items()
    ]
    checks += [Check(how, f"{how} x {many}", f"np.empty x {many}", target) for how, target in (plain or {}).items()]
    return Comparison("1 KiB", KIB, (group,), tuple(checks), free_threaded=True)


def _measure_waste(checks: tuple[Check, ...], _plan: Plan) -> list[Result]:
    found = footprint.waste()
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
            results.append(Result(check, note="n/a: this platform does not report resident memory"))
        else:
            results.append(Result(check, ours=held / MIB, figure=held / MIB))
    return results


def _measure_import(checks: tuple[Check, ...], plan: Plan) -> list[Result]:
    rounds = footprint.import_cost(plan.rounds)
    numpy, bufpool = ([1e3 * seconds for seconds in column] for column in zip(*rounds, strict=True))
    (check,) = checks
    return [Result(check, median(bufpool), median(numpy), median(bufpool), min(bufpool), max(bufpool))]


def _measured(
    size: int, measure: Callable[[tuple[Check, ...], Plan], list[Result]], *checks: Check, name: str = ""
) -> tuple[Measurement]:
    return (Measurement(name or checks[0].label, size, checks, measure),)


BENCHMARKS = (
    Benchmark("scratch", "scratch.release(scratch.acquire()) against list.append(list.pop())", _scratch("calls", 2.0)),
    Benchmark("scratch-with", "`with scratch as a: pass` against list.append(list.pop())", _scratch("with", 4.0)),
    Benchmark(
        "lease-array",
        "`with pool.lease(n) as a: pass` against `a = np.empty(n); del a`",
        tuple(_pair("lease of an array", size, "np.empty", cost(3.0)) for size in (KIB, 64 * KIB)),
    ),
    Benchmark("empty", "pool.empty(n, float32) and free, against np.empty; 64 MiB against 64 KiB", _empty()),
    Benchmark(
        "four",
        "four arrays at once, a write to each page, all freed, against np.empty, ready arrays, allocators",
        tuple(_four(size) for size in (64 * KIB, MIB, 8 * MIB, 64 * MIB)),
    ),
    Benchmark(
        "bytes",
        "pool.buffer(n) and free, untouched, against bytearray, which is zeroed, and pyarrow",
        tuple(_bytes(size) for size in (4 * KIB, 64 * KIB, MIB)),
    ),
    Benchmark(
        "expression",
        "np.sqrt(a*a + b*b) + c*d, float32, unchanged under `with pool:`",
        tuple(_expression(size) for size in EXPRESSION_SIZES),
    ),
    Benchmark(
        "expression-peers",
        "the expression in packages that fuse it, results written in place, or that change NumPy's allocator",
        tuple(_expression_peers(size) for size in (256 * KIB, 2 * MIB, 16 * MIB, 64 * MIB)),
    ),
    Benchmark(
        "real-code",
        "nine pieces of NumPy, SciPy and scikit-image code on 4K frames, unchanged under `with pool:`",
        tuple(_piece(name) for name in image_code.PIECES),
        mean=Check("geometric mean", "pool", "plain", speed(1.25)),
    ),
    Benchmark(
        "handoff",
        "four frames of 25 MiB from one thread to another through queue.Queue, by maker and by how it writes",
        (
            _handoff("main", "touched", speed(2.5), cost(1.0)),
            _handoff("main", "filled", speed(2.5), cost(1.0)),
            _handoff("worker", "touched", speed(2.5), cost(1.0)),
            _handoff("worker", "filled", speed(2.5), cost(1.0)),
        ),
    ),
    Benchmark(
        "zeros",
        "pool.zeros and a write to each page, against np.zeros",
        (_pair("zeros", 64 * MIB, "np.zeros", speed(4.0)),),
    ),
    Benchmark(
        "threads",
        "as many threads as cores, each acquires and releases 1 KiB, as in the README, against one thread (1.00x is "
        "linear) and others",
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
                    "np.empty": NO_TARGET,
                    "plain expression": NO_TARGET,
                    "nothing": NO_TARGET,
                },
                ("buffer", "empty", "scratch"),
                {"buffer": speed(1.0), "empty": speed(1.0), "lease": cost(3.0)},
            ),
        ),
    ),
    Benchmark(
        "threads-handoff",
        "as many threads as cores, each acquires 1 KiB and the next one releases it, in batches of 64; 1.00x is linear",
        (_in_threads("ring", {"buffer": speed(0.6), "empty": speed(0.6), "np.empty": NO_TARGET}, ("buffer", "empty")),),
    ),
    Benchmark(
        "waste",
        "bytes added by size classes, random sizes from 1 KiB to 1 GiB",
        _measured(
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
    Benchmark(
        "burst",
        "memory held after a burst of 2 GiB with max_retained of 256 MiB, without a call to trim",
        _measured(
            2 * GIB,
            _measure_burst,
            Check("counted", "pool", "", at_most(256 * 1.05, "MiB")),
            Check("resident", "pool", "", at_most(256 * 1.05, "MiB")),
            name="2 GiB",
        ),
    ),
    Benchmark(
        "import",
        "import bufpool on top of import numpy",
        _measured(0, _measure_import, Check("fresh process", "import bufpool", "import numpy", at_most(15.0, "ms"))),
    ),
)
