"""``make figures``: one run of the bench, from which the performance page, its charts and the README's table are made.

Measuring and rendering are apart: the run is kept in ``docs/figures/run.json``, and ``--render`` makes everything from
it again.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

from charts import draw
from chart_data import charts
from page import fill
from run_file import Run, load, save
from tables import BLOCKS

from bufpool.cli import bench
from bufpool.cli.bench import array_peers, machine
from bufpool.cli.bench.allocators import ALLOCATORS, DEFAULT, locate
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
PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")

#: Rows that mean something on a free-threaded interpreter only: `make scaling` has them.
NOT_HERE = ("threads", "threads-handoff")

#: Fewer rounds than the bench has by itself: more rivals are measured, and it should not take longer.
PLAN = replace(Plan(), rounds=9)

#: Peers that one would look for in vain, and why.
NOT_COMPARED = {
    "pycybase": "no longer on PyPI",
}


def packages() -> dict[str, Package]:
    """Every package that a rival is from, by its distribution."""
    groups = (PEERS, ASYNC_PEERS, array_peers.FOUR, array_peers.EXPRESSION, array_peers.BYTES)
    return {package.distribution: package for group in groups for package in group.values()}


def measure(plan: Plan) -> Run:
    """Run the bench, its table on the standard output meanwhile."""
    report = Report()
    report.head()
    where, began = machine.describe(), time.monotonic()
    rows = {row.id: bench.measure(row, plan, report) for row in ROWS if row.id not in NOT_HERE}
    manners = {how: _manners(how) for how in ("lease", *BY_HAND, *PEERS) if how not in PEERS or not PEERS[how].missing()}
    report.tail([result for results in rows.values() for result in results])
    versions, absent = {}, dict(NOT_COMPARED)
    for name, package in packages().items():
        if package.missing():
            absent[name] = package.missing()
        else:
            versions[name] = package.version() or "?"
    for name, allocator in ALLOCATORS.items():
        if allocator_missing(name):
            absent[name] = allocator_missing(name)
        elif allocator is not DEFAULT and allocator.library:
            versions[name] = Path(str(locate(allocator))).resolve().name
    seconds = round(time.monotonic() - began)
    return Run(where, date.today().isoformat(), seconds, asdict(plan), versions, absent, manners, rows)


def _manners(how: str) -> dict[str, str]:
    with Worker() as worker:
        worker.ready()
        found: dict[str, str] = worker.ask(do="probe", name="manners", how=how)
        return found


def render(run: Run) -> None:
    """Charts into the folder of figures, tables into the pages."""
    for chart in charts(run):
        for path in draw(chart, FIGURES):
            print(f"figures: {path.relative_to(ROOT)}")
    blocks = {name: block(run) for name, block in BLOCKS.items()}
    for path in PAGES:
        path.write_text(fill(path.read_text(encoding="utf-8"), blocks), encoding="utf-8")
        print(f"figures: {path.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make figures", description=__doc__)
    parser.add_argument("--render", action="store_true", help="measure nothing, make all from the last run again")
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing above 16 MiB")
    options = parser.parse_args()
    path = FIGURES / "run.json"
    if not options.render:
        save(measure(QUICK if options.quick else PLAN), path)
    render(load(path))


if __name__ == "__main__":
    main()
