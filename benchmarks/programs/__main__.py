"""``make programs``: whole programs on real data, on plain NumPy, bufpool and other allocators: time beside memory.

Each program runs in fresh processes, contenders in turn. Every figure is the median of the rounds, every ratio the
median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.page.pages import fill
from benchmarks.programs.catalogue import PROGRAMS
from benchmarks.programs.contenders import CONTENDERS, PLAIN, POOLED
from benchmarks.programs.figures import load, save
from benchmarks.programs.runner import empty_run, measure
from benchmarks.programs.show import blocks, program_text, summary_text, verdicts

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "docs" / "figures" / "programs.json"
PAGE = ROOT / "docs" / "whole-programs.md"


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make programs", description=__doc__)
    parser.add_argument("--only", action="append", choices=PROGRAMS, metavar="NAME", help="this program; repeatable")
    parser.add_argument(
        "--contender",
        action="append",
        choices=CONTENDERS,
        metavar="NAME",
        help="this contender, beside plain NumPy and bufpool; repeatable",
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="processes a contender (default: 5)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every target is judged and kept")
    parser.add_argument(
        "--file",
        type=Path,
        help="where to store the figures (default: docs/figures/programs.json, if everything was measured)",
    )
    parser.add_argument("--render", action="store_true", help="measure nothing: put the stored figures into the page")
    parser.add_argument("--list", action="store_true", help="print the programs and contenders")
    options = parser.parse_args(given)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def listing() -> None:
    for program in PROGRAMS.values():
        print(f"{program.name:24}{program.kind:14}{program.about}")
    print()
    for contender in CONTENDERS.values():
        print(f"{contender.name:24}{contender.missing() or contender.about}")


def render(file: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(fill(page, blocks(load(file))), encoding="utf-8")
    print(f"programs: {PAGE}")


def progress(words: str) -> None:
    """Show what runs now, where somebody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{words}")


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    if options.list:
        listing()
        return 0
    if options.render:
        render(options.file or RUN)
        return 0
    if not sys.platform.startswith("linux"):
        sys.exit("programs: resident memory is read from /proc, on Linux only")
    programs = [program for program in PROGRAMS.values() if program.name in (options.only or PROGRAMS)]
    wanted = {PLAIN.name, POOLED.name, *(options.contender or CONTENDERS)}
    contenders = [contender for contender in CONTENDERS.values() if contender.name in wanted]
    run = empty_run(programs, contenders, options.rounds)
    there = [contender for contender in contenders if contender.name not in run.absent]
    for program in programs:
        run.programs[program.name] = measure(program, there, options.rounds, progress)
        progress("")
        print(program_text(run, program.name), end="\n\n", flush=True)
    print(summary_text(run))
    complete = len(programs) == len(PROGRAMS) and len(contenders) == len(CONTENDERS)
    if options.file or complete:
        save(run, options.file or RUN)
    kept = not run.absent and all(verdict.holds for verdict in verdicts(run))
    return 1 if options.strict and not kept else 0


if __name__ == "__main__":
    sys.exit(main())
