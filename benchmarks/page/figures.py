"""``make figures``: one run of all benchmarks, and from it the performance page, its chart and the README's table.

The run is stored in ``docs/figures/run.json``; ``--render`` makes the pages from it again. A free-threaded interpreter
measures only the benchmarks that need one, and stores them in a file of its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.__main__ import measure as measure_benchmark
from benchmarks.harness import machine
from benchmarks.harness.allocators import ALLOCATORS, locate
from benchmarks.harness.allocators import missing as allocator_missing
from benchmarks.harness.interleaved import QUICK, Plan
from benchmarks.harness.packages import Package
from benchmarks.harness.report import Report
from benchmarks.harness.worker import Worker
from benchmarks.page.chart import dots, draw
from benchmarks.page.pages import fill
from benchmarks.page.run_file import Run, load, save
from benchmarks.page.tables import lacking, tables
from benchmarks.peers import arrays
from benchmarks.peers.async_pools import ASYNC_POOLS
from benchmarks.peers.connection_pools import BARE
from benchmarks.peers.stdlib import STDLIB
from benchmarks.scaling import core_scaling
from benchmarks.suite import BENCHMARKS

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "figures"
RUN, RUN_FREE_THREADED = FIGURES / "run.json", FIGURES / "free-threaded.json"
PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")

#: Benchmarks that need a free-threaded interpreter.
THREADS = ("threads", "threads-handoff")
FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()

#: Fewer rounds than `make bench`, so that a run takes less than a quarter of an hour.
PLAN = replace(Plan(), rounds=9)


def packages() -> dict[str, Package[Any]]:
    """Every package that a contender needs, by its distribution."""
    groups: tuple[dict[str, Package[Any]], ...] = (BARE, ASYNC_POOLS, arrays.FOUR, arrays.EXPRESSION, arrays.BYTES)
    return {package.distribution: package for group in groups for package in group.values()}


def measure(plan: Plan) -> Run:
    """Run the benchmarks, and print their table."""
    report = Report()
    report.head()
    where, began = machine.describe(), time.monotonic()
    rows = {
        benchmark.id: measure_benchmark(benchmark, plan, report)
        for benchmark in BENCHMARKS
        if (benchmark.id in THREADS) is FREE_THREADED
    }
    misuse = {}
    if not FREE_THREADED:
        threads = core_scaling.counts(int(where["cores"] or 1))
        rows |= core_scaling.measure(report, min(5, plan.rounds), threads)
        available = [how for how in BARE if not BARE[how].missing()]
        misuse = {how: _misuse(how) for how in ("lease", *STDLIB, *available)}
    report.tail([result for results in rows.values() for result in results])
    versions, absent = _versions()
    seconds = round(time.monotonic() - began)
    return Run(where, date.today().isoformat(), seconds, asdict(plan), versions, absent, misuse, rows)


def _versions() -> tuple[dict[str, str], dict[str, str]]:
    """The versions of the available packages and libraries, and why others are missing."""
    versions, absent = {}, {}
    for name, package in packages().items():
        if package.missing():
            absent[name] = package.missing()
        else:
            versions[name] = str(package.version())
    for name, allocator in ALLOCATORS.items():
        if allocator_missing(name):
            absent[name] = allocator_missing(name)
        elif allocator.library:
            versions[name] = Path(str(locate(allocator))).resolve().name
    return versions, absent


def _misuse(how: str) -> dict[str, str]:
    with Worker() as worker:
        worker.ready()
        found: dict[str, str] = worker.ask(do="probe", name="misuse", how=how)
        return found


def render() -> None:
    """Write the chart into the folder of figures, and the tables into the pages."""
    run, free = load(RUN), load(RUN_FREE_THREADED) if RUN_FREE_THREADED.exists() else None
    if missing := lacking(run):
        raise SystemExit(
            f"figures: {RUN}: the run of {run.date} has no row {' or '.join(map(repr, missing))}, which the README's "
            "table needs; `make figures` measures all rows"
        )
    for path in draw(dots(run), FIGURES):
        print(f"figures: {path.relative_to(ROOT)}")
    for path in PAGES:
        path.write_text(fill(path.read_text(encoding="utf-8"), tables(run, free)), encoding="utf-8")
        print(f"figures: {path.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make figures", description=__doc__)
    parser.add_argument("--render", action="store_true", help="measure nothing, render the last run again")
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing above 16 MiB")
    options = parser.parse_args()
    if not options.render:
        save(measure(QUICK if options.quick else PLAN), RUN_FREE_THREADED if FREE_THREADED else RUN)
    render()


if __name__ == "__main__":
    main()
