"""``make figures``: one run of the bench, from which the performance page, its charts and the README's table are made.

Measuring and rendering are apart: the run is kept in ``docs/figures/run.json``, and ``--render`` makes everything from
it again. A free-threaded interpreter measures instead what means something there only, and has a file of its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import core_scaling
from blocks import blocks, lacking
from chart_data import charts
from charts import draw
from page import fill
from run_file import Run, load, save

from bufpool.cli import bench
from bufpool.cli.bench import array_peers, machine
from bufpool.cli.bench.allocators import ALLOCATORS, locate
from bufpool.cli.bench.allocators import missing as allocator_missing
from bufpool.cli.bench.async_peers import ASYNC_PEERS
from bufpool.cli.bench.by_hand import BY_HAND
from bufpool.cli.bench.packages import Package
from bufpool.cli.bench.peers import PEERS
from bufpool.cli.bench.report import Report
from bufpool.cli.bench.rows import ROWS
from bufpool.cli.bench.timing import QUICK, Plan
from bufpool.cli.bench.worker import Worker

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"
RUN, RUN_FREE_THREADED = FIGURES / "run.json", FIGURES / "free-threaded.json"
PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")

#: Rows that mean something on a free-threaded interpreter only.
THREADS = ("threads", "threads-handoff")
FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()

#: Fewer rounds than the bench has by itself, so that a run stays below a quarter of an hour.
PLAN = replace(Plan(), rounds=9)


def packages() -> dict[str, Package]:
    """Every package that a rival is from, by its distribution."""
    groups = (PEERS, ASYNC_PEERS, array_peers.FOUR, array_peers.EXPRESSION, array_peers.BYTES)
    return {package.distribution: package for group in groups for package in group.values()}


def measure(plan: Plan) -> Run:
    """Run the bench, its table on the standard output meanwhile."""
    report = Report()
    report.head()
    where, began = machine.describe(), time.monotonic()
    rows = {row.id: bench.measure(row, plan, report) for row in ROWS if (row.id in THREADS) is FREE_THREADED}
    manners = {}
    if not FREE_THREADED:
        rows |= core_scaling.measure(
            report, min(5, plan.rounds), core_scaling.counts(int(where["cores"] or 1))
        )
        there = [how for how in PEERS if not PEERS[how].missing()]
        manners = {how: _manners(how) for how in ("lease", *BY_HAND, *there)}
    report.tail([result for results in rows.values() for result in results])
    versions, absent = _versions()
    seconds = round(time.monotonic() - began)
    return Run(where, date.today().isoformat(), seconds, asdict(plan), versions, absent, manners, rows)


def _versions() -> tuple[dict[str, str], dict[str, str]]:
    """The version of each package and library that is here, and why each other is not."""
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


def _manners(how: str) -> dict[str, str]:
    with Worker() as worker:
        worker.ready()
        found: dict[str, str] = worker.ask(do="probe", name="manners", how=how)
        return found


def render() -> None:
    """Charts into the folder of figures, tables into the pages."""
    run, free = load(RUN), load(RUN_FREE_THREADED) if RUN_FREE_THREADED.exists() else None
    if missing := lacking(run):
        raise SystemExit(
            f"figures: {RUN}: the run of {run.date} has no row {' or '.join(map(repr, missing))}, which the README "
            "tells of; `make figures` measures all rows anew"
        )
    for chart in charts(run):
        for path in draw(chart, FIGURES):
            print(f"figures: {path.relative_to(ROOT)}")
    for path in PAGES:
        path.write_text(fill(path.read_text(encoding="utf-8"), blocks(run, free)), encoding="utf-8")
        print(f"figures: {path.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make figures", description=__doc__)
    parser.add_argument(
        "--render", action="store_true", help="measure nothing, make all from the last run again"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing above 16 MiB")
    options = parser.parse_args()
    if not options.render:
        save(measure(QUICK if options.quick else PLAN), RUN_FREE_THREADED if FREE_THREADED else RUN)
    render()


if __name__ == "__main__":
    main()
