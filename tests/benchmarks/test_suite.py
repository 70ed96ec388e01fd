"""The benchmarks of the buffer pool and the targets of the project. No test here says how long anything may take."""

from __future__ import annotations

import os

import numpy as np

from benchmarks import suite
from benchmarks.harness.allocators import ALLOCATORS
from benchmarks.harness.benchmark import Comparison
from benchmarks.harness.targets import NO_TARGET, at_most, cost, speed
from benchmarks.harness.units import MIB
from benchmarks.suite import memory
from benchmarks.workloads import WORKLOADS, footprint, image_code

# The table -----------------------------------------------------------------------------------------------------------

EXPRESSION_SIZES = (
    *("64 B", "256 B", "1 KiB", "4 KiB", "16 KiB", "64 KiB", "256 KiB"),
    *("1 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB"),
)
FROM_1_MIB = ("1 MiB", "2 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB")
PEERS = ("glibc tuned", "glibc raised", "jemalloc", "mimalloc", "tcmalloc")

CORES = max(2, os.cpu_count() or 2)

#: The targets of the project, by benchmark: size, contender and target.
PROMISES = {
    "scratch": [("64 KiB", "list pair", cost(2.0))],
    "scratch-with": [("64 KiB", "list pair", cost(4.0))],
    "lease-array": [("1 KiB", "np.empty", cost(3.0)), ("64 KiB", "np.empty", cost(3.0))],
    "empty": [
        *((size, "np.empty", cost(1.0)) for size in ("64 B", "1 KiB", "64 KiB", "1 MiB", "8 MiB", "64 MiB", "256 MiB")),
        ("64 MiB", "pool at 64 KiB", cost(1.3)),
    ],
    "four": [
        ("1 MiB", "np.empty", speed(100.0)),
        ("8 MiB", "np.empty", speed(50.0)),
        ("1 MiB", "list", cost(1.15)),
        ("8 MiB", "list", cost(1.15)),
    ],
    "bytes": [],
    "expression": [
        ("64 B", "plain", cost(1.05)),
        ("256 B", "plain", cost(1.05)),
        *((size, "plain", cost(1.03)) for size in ("1 KiB", "4 KiB", "16 KiB", "64 KiB", "256 KiB")),
        ("1 MiB", "plain", cost(1.03)),
        ("2 MiB", "plain", speed(2.2)),
        ("4 MiB", "plain", cost(1.03)),
        ("16 MiB", "plain", speed(1.3)),
        ("64 MiB", "plain", speed(1.5)),
        ("256 MiB", "plain", speed(1.4)),
        *((size, "out= by hand", cost(1.05)) for size in FROM_1_MIB),
        *((size, peer, cost(1.05)) for size in (*EXPRESSION_SIZES, "2 MiB") for peer in PEERS),
    ],
    "expression-peers": [],
    "real-code": [
        *((piece, "plain", speed(0.97)) for piece in image_code.PIECES),
        ("geometric mean", "plain", speed(1.25)),
    ],
    "handoff": [
        (f"from {source}, {write}", *target)
        for source in ("main", "worker")
        for write in ("touched", "filled")
        for target in (("plain", speed(2.5)), ("glibc tuned", cost(1.0)))
    ],
    "zeros": [("64 MiB", "np.zeros", speed(4.0))],
    "threads": [
        *((ours, f"{ours} x 1", speed(0.8)) for ours in ("buffer", "empty", "lease")),
        *((ours, f"{ours} x 1", speed(0.9)) for ours in ("scratch", "scratch methods")),
        ("expression", "expression x 1", speed(0.85)),
        ("buffer", f"np.empty x {CORES}", speed(1.0)),
        ("empty", f"np.empty x {CORES}", speed(1.0)),
        ("lease", f"np.empty x {CORES}", cost(3.0)),
        *((ours, f"list x {CORES}", speed(2.0)) for ours in ("buffer", "empty", "scratch")),
        *((ours, f"queue x {CORES}", speed(1.0)) for ours in ("buffer", "empty", "scratch")),
    ],
    "threads-handoff": [
        *((ours, f"{ours} x 1", speed(0.6)) for ours in ("buffer", "empty")),
        *((ours, f"list x {CORES}", speed(2.0)) for ours in ("buffer", "empty")),
        *((ours, f"queue x {CORES}", speed(1.0)) for ours in ("buffer", "empty")),
    ],
    "waste": [
        ("log-uniform, mean", "", at_most(6.0, "%")),
        ("log-uniform, worst", "", at_most(12.5, "%")),
        ("uniform, mean", "", at_most(6.0, "%")),
        ("uniform, worst", "", at_most(12.5, "%")),
    ],
    "burst": [("counted", "", at_most(256 * 1.05, "MiB")), ("resident", "", at_most(256 * 1.05, "MiB"))],
    "import": [("fresh process", "import numpy", at_most(15.0, "ms"))],
}


def test_the_suite_has_every_target_of_the_buffer_pool():
    found = {
        benchmark.id: {
            (check.label, check.theirs, check.target) for check in benchmark.checks if check.target != NO_TARGET
        }
        for benchmark in memory.BENCHMARKS
    }
    assert found == {row: set(promises) for row, promises in PROMISES.items()}


def test_there_are_nine_pieces_of_image_code():
    assert len(image_code.PIECES) == 9


def comparisons() -> list[Comparison]:
    parts = [part for benchmark in suite.BENCHMARKS for part in benchmark.parts]
    return [part for part in parts if isinstance(part, Comparison)]


def test_every_contender_is_built_and_compared():
    for part in comparisons():
        for group in part.groups:
            names = [contender.name for contender in group]
            assert len(set(names)) == len(names)
            assert {contender.workload for contender in group} <= WORKLOADS.keys()
            assert {contender.allocator for contender in group} <= ALLOCATORS.keys()
        for check in part.checks:
            assert any({check.ours, check.theirs} <= {contender.name for contender in group} for group in part.groups)


def test_the_expression_by_hand_computes_the_same():
    rng = np.random.default_rng(0)
    a, b, c, d = rng.random((4, 100), dtype=np.float32)
    t, u = np.empty_like(a), np.empty_like(a)
    np.multiply(a, a, out=t)
    np.multiply(b, b, out=u)
    np.add(t, u, out=t)
    np.sqrt(t, out=t)
    np.multiply(c, d, out=u)
    np.add(t, u, out=t)
    np.testing.assert_array_equal(t, np.sqrt(a * a + b * b) + c * d)


# Probes --------------------------------------------------------------------------------------------------------------


def test_the_burst_counts_what_the_pool_keeps():
    found = footprint.burst(total=8 * MIB, block=MIB, max_retained=2 * MIB)
    assert 0 <= found["reserved"] <= 2 * MIB


def test_waste_is_a_share_of_what_was_asked_for():
    for figures in footprint.waste(count=200).values():
        assert 0 <= figures["mean"] <= figures["worst"]


def test_the_import_is_timed_in_fresh_interpreters():
    ((numpy, ours),) = footprint.import_cost(rounds=1)
    assert numpy > 0
    assert ours > 0
