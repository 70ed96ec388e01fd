"""``make bench``: every benchmark, measured on this machine beside its target."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import suite
from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.interleaved import QUICK, Plan
from benchmarks.harness.report import Report, save
from benchmarks.harness.targets import Result
from benchmarks.harness.worker import WorkerError

INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
_FAILED = "failed: "


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def file_to_write(text: str) -> Path:
    """Parse the path of a file in a folder that exists, so that a typing error does not cost a run of minutes."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in a folder that exists")
    return path


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(
            "Measure every claim of speed and memory on this machine and print it beside its target. "
            "Takes about a quarter of an hour and up to 8 GiB of memory; with --quick, about three minutes and 1 GiB."
        ),
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing above 16 MiB")
    parser.add_argument("--row", action="append", metavar="ID", help="only this row; may be given again")
    parser.add_argument(
        "--rounds", type=positive, metavar="N", help="samples of each contender (default: 12; 3 with --quick)"
    )
    parser.add_argument("--json", type=file_to_write, metavar="PATH", help="also write every figure to this file")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--list", action="store_true", help="print the rows and their targets, measure nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen benchmarks and print the table.

    Returns
    -------
    int
        0; 1 if a measurement failed, or a target is missed and ``--strict`` was given; 2 if a row does not exist.
    """
    args = make_parser().parse_args(argv)
    ids = [benchmark.id for benchmark in suite.BENCHMARKS]
    wanted = args.row or ids
    unknown = set(wanted) - set(ids)
    if unknown:
        sys.stderr.write(f"benchmarks: there is no row {', '.join(sorted(unknown))}; rows: {', '.join(ids)}\n")
        return 2
    benchmarks = [benchmark for benchmark in suite.BENCHMARKS if benchmark.id in wanted]
    report = Report()
    if args.list:
        report.listing(benchmarks)
        return 0

    plan = QUICK if args.quick else Plan()
    plan = plan if args.rounds is None else replace(plan, rounds=args.rounds)
    report.head()
    found = {benchmark.id: measure(benchmark, plan, report) for benchmark in benchmarks}
    results = [result for of_one in found.values() for result in of_one]
    report.tail(results)
    if args.json is not None:
        save(args.json, plan, found)
    failed = any(result.note.startswith(_FAILED) for result in results)
    missed = any(result.met is False for result in results)
    return int(failed or (args.strict and missed))


def measure(benchmark: Benchmark, plan: Plan, report: Report) -> list[Result]:
    """Run the parts of a benchmark; a part that fails is reported, and the rest of the table still runs."""
    report.title(benchmark)
    results = []
    for part in benchmark.parts:
        if not plan.includes(part.size):
            continue

        def progress(words: str, where: str = f"{benchmark.id}, {part.label}") -> None:
            report.progress(f"{where}: {words}")

        try:
            of_part = part.run(plan, progress)
        except WorkerError as error:
            of_part = [Result(check, note=f"{_FAILED}{error}") for check in part.checks]
        report.results(of_part)
        results += of_part
    left_out = [part.label for part in benchmark.parts if not plan.includes(part.size)]
    if left_out:
        report.left_out(left_out)
    else:
        mean = benchmark.mean_of(results)
        report.results(mean)
        results += mean
    return results


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
