"""``python -m bufpool bench``: every claim of speed and memory, measured on the user's machine beside its bound.

`rows` holds the claims, `workloads` what is timed, `timing` how, `worker` the processes it happens in, `allocators`
the rivals under NumPy, `array_peers` the others for arrays, `probes` the figures that are no races, and `report` the
table. The pool of objects has files of its own: `object_rows` the claims, `objects`, `contention`, `held` and `waiters`
what is measured, `peers`, `async_peers` and `by_hand` the rivals, `connections` those for connections, with the care
that these want, `manners` what rivals do with a mistake. `packages` and `apart` tell which of other people's packages
are here.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

# Everything else is imported inside functions: `bufpool --help` should not pay for it.
if TYPE_CHECKING:
    from bufpool.cli.bench.checks import Result
    from bufpool.cli.bench.parts import Row
    from bufpool.cli.bench.report import Report
    from bufpool.cli.bench.timing import Plan

_FAILED = "failed: "


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def file_to_write(text: str) -> Path:
    """Parse the path of a file in a folder that exists: a typing error should not cost a run of minutes."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in a folder that exists")
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the bench."""
    parser.description = (
        "Measure every claim of speed and memory on this machine and print it beside its bound. "
        "Takes about a quarter of an hour and up to 8 GiB of memory; with --quick, about three minutes and 1 GiB."
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing above 16 MiB")
    parser.add_argument("--row", action="append", metavar="ID", help="only this row; may be given again")
    parser.add_argument(
        "--rounds", type=positive, metavar="N", help="samples of each contender (default: 12; 3 with --quick)"
    )
    parser.add_argument(
        "--json", type=file_to_write, metavar="PATH", help="also write every figure to this file"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a bound does not hold")
    parser.add_argument(
        "--list", action="store_true", help="print the rows and their bounds, measure nothing"
    )


def main(args: argparse.Namespace) -> int:
    """Run the rows asked for and print the table.

    Returns
    -------
    int
        0; 1 if a measurement failed, or a bound does not hold and ``--strict`` was given; 2 if a row does not exist.
    """
    from bufpool.cli.bench.report import Report, save
    from bufpool.cli.bench.rows import ROWS

    wanted = args.row or [row.id for row in ROWS]
    unknown = set(wanted) - {row.id for row in ROWS}
    if unknown:
        known = ", ".join(row.id for row in ROWS)
        sys.stderr.write(f"bufpool bench has no row {', '.join(sorted(unknown))}; it has {known}\n")
        return 2
    rows = [row for row in ROWS if row.id in wanted]
    report = Report()
    if args.list:
        report.listing(rows)
        return 0

    plan = _plan(args)
    report.head()
    found = {row.id: measure(row, plan, report) for row in rows}
    results = [result for of_row in found.values() for result in of_row]
    report.tail(results)
    if args.json is not None:
        save(args.json, plan, found)
    failed = any(result.note.startswith(_FAILED) for result in results)
    broken = any(result.holds is False for result in results)
    return int(failed or (args.strict and broken))


def measure(row: Row, plan: Plan, report: Report) -> list[Result]:
    """Run one row's parts; one that fails is reported and does not cost the user the rest of the table."""
    from bufpool.cli.bench.checks import Result
    from bufpool.cli.bench.worker import WorkerError

    report.row(row)
    results = []
    for part in row.parts:
        if not plan.includes(part.size):
            continue

        def say(words: str, where: str = f"{row.id}, {part.label}") -> None:
            report.progress(f"{where}: {words}")

        try:
            of_part = part.run(plan, say)
        except WorkerError as error:
            of_part = [Result(check, note=f"{_FAILED}{error}") for check in part.checks]
        report.results(of_part)
        results += of_part
    left_out = [part.label for part in row.parts if not plan.includes(part.size)]
    if left_out:
        report.left_out(left_out)
    else:
        summary = row.summary(results)
        report.results(summary)
        results += summary
    return results


def _plan(args: argparse.Namespace) -> Plan:
    from bufpool.cli.bench.timing import QUICK, Plan

    plan = QUICK if args.quick else Plan()
    return plan if args.rounds is None else replace(plan, rounds=args.rounds)
