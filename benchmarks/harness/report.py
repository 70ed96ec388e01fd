"""The table as text, printed line by line during the run, and the whole run as JSON.

In a terminal that is narrower than the table, each result is printed in words on lines of its own. With rich
installed, verdicts are coloured in a terminal; the text is the same.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import machine
from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.interleaved import Plan
from benchmarks.harness.targets import DECIMALS, Result
from benchmarks.harness.units import plural

_WIDTHS = (22, 10, 19, 10, 12, 18, 16, 5)
LEGEND = """\
ours, theirs: medians over the rounds. figure: the median of the rounds' ratios, each of two samples taken side by side
(not the ratio of the two columns: whole rounds may be slow); spread: the extremes. cost is ours/theirs, less is better;
speed is theirs/ours, more is better. docs/performance.md has the targets that a stored run missed."""
_TABLE = sum(_WIDTHS) + 2 * len(_WIDTHS)  # columns of the terminal
_HEADINGS = ("size", "ours", "against", "theirs", "figure", "spread", "target", "met")


class Report:
    """Prints the table to the standard output and progress to a terminal on the error stream."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._width = shutil.get_terminal_size((_TABLE, 24)).columns
        self._colour = sys.stdout.isatty() and find_spec("rich") is not None

    def head(self) -> None:
        """The machine, what the columns mean, and the headings."""
        self._print(self._fit(machine.line()))
        self._print(self._fit(LEGEND))
        if not self._narrow:
            self._print(columns(_HEADINGS))

    def title(self, benchmark: Benchmark) -> None:
        """The title of a benchmark."""
        self._print("\n" + self._fit(f"{benchmark.id}: {benchmark.summary}"))

    def results(self, results: Sequence[Result]) -> None:
        """One line for each result."""
        self._clear()
        for result in results:
            text = in_words(result, self._width) if self._narrow else columns(cells(result))
            self._print(text, result.met)

    def left_out(self, names: Sequence[str]) -> None:
        """Name the sizes that a quick run does not measure."""
        self._print(self._fit(f"  not with --quick: {', '.join(dict.fromkeys(names))}"))

    def listing(self, benchmarks: Sequence[Benchmark]) -> None:
        """Every benchmark with its targets, nothing measured."""
        for benchmark in benchmarks:
            self.title(benchmark)
            for check in benchmark.checks:
                against = f"against {check.theirs}" if check.theirs else ""
                if self._narrow:
                    self._print(self._fit(f"  {check.label}: {check.target} {against}".rstrip()))
                else:
                    self._print(f"  {check.label.ljust(22)}{str(check.target).ljust(18)}{against}".rstrip())

    def progress(self, words: str) -> None:
        """What is being measured now; the next call overwrites it."""
        if self._live:
            self._note(f"\r\033[K{words[: min(100, self._width - 1)]}")

    def tail(self, results: Sequence[Result]) -> None:
        """How many targets are met."""
        met = sum(result.met is True for result in results)
        missed = sum(result.met is False for result in results)
        unknown = sum(result.figure is None for result in results)
        self._print("\n" + self._fit(f"{met} {plural(met, 'target')} met, {missed} MISSED, {unknown} not measured."))

    @property
    def _narrow(self) -> bool:
        return self._width < _TABLE

    def _fit(self, text: str) -> str:
        return fill(text, self._width) if self._narrow else text

    def _clear(self) -> None:
        if self._live:
            self._note("\r\033[K")

    def _note(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    def _print(self, text: str, met: bool | None = None) -> None:
        if self._colour and met is not None:
            from rich.console import Console
            from rich.text import Text

            style = "green" if met else "bold red"
            verdict = len(text.rstrip()) - len(_verdict(met))
            Console(width=_TABLE).print(Text(text[:verdict]) + Text(text[verdict:], style=style), soft_wrap=True)
        else:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()  # a row at a time, also into a pipe


def columns(texts: Sequence[str]) -> str:
    """One line of the table."""
    return ("  " + "  ".join(text.ljust(width) for text, width in zip(texts, _WIDTHS, strict=True))).rstrip()


def fill(text: str, width: int) -> str:
    """Break a paragraph into lines of the terminal's width; all but the first are indented a little more."""
    indent = " " * (len(text) - len(text.lstrip()))
    words = " ".join(text.split())
    return textwrap.fill(words, width, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


def in_words(result: Result, width: int) -> str:
    """One line of the table, in words that fit the terminal's width; the verdict comes last."""
    label, ours, against, theirs, figure, spread, target, verdict = cells(result)
    head = f"  {label} against {against}" if against else f"  {label}"
    if result.figure is None:
        # A worker's report has several lines.
        lines = [f"    {line}" for line in f"{target}: {verdict}".splitlines()]
    else:
        against_theirs = f", theirs {theirs}" if theirs != "-" else ""
        within = f" ({spread})" if spread != "-" else ""
        lines = [f"    ours {ours}{against_theirs}", f"    {figure}{within}, {target}: {verdict}"]
    return "\n".join(fill(line, width) for line in (head, *lines))


def cells(result: Result) -> tuple[str, ...]:
    """The texts of one line, under the headings."""
    check = result.check
    if result.figure is None:
        return (check.label, "-", check.theirs, "-", "-", "-", str(check.target), result.note or "-")
    target = check.target
    ratio = f"{result.figure:.{DECIMALS}f}{f' {target.unit}' if target.absolute else 'x'}"
    spread = "-" if result.low is None or result.high is None else f"{result.low:.3g} .. {result.high:.3g}"
    ours, theirs = (
        _quantity(value, target.unit if target.absolute else target.of) for value in (result.ours, result.theirs)
    )
    return (check.label, ours, check.theirs, theirs, ratio, spread, str(check.target), _verdict(result.met))


def _verdict(met: bool | None) -> str:
    return {True: "yes", False: "NO", None: "-"}[met]


def _quantity(value: float | None, unit: str) -> str:
    """A time with a suitable prefix, or a figure in its own unit."""
    if value is None:
        return "-"
    if unit != "s":
        return f"{value:.4g} {unit}"
    for factor, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= factor:
            return f"{value / factor:.4g} {name}"
    return f"{value / 1e-9:.4g} ns"


def save(path: Path, plan: Plan, results: dict[str, list[Result]]) -> None:
    """Write the machine, the plan and all results, by benchmark, as JSON."""
    document = {
        "machine": machine.describe(),
        "plan": asdict(plan),
        "rows": {row: [result.as_dict() for result in found] for row, found in results.items()},
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
