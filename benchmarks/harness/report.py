"""The table as text, printed line by line while the run goes on, and the whole run as JSON.

In a terminal that is narrower than the table each result has lines of its own, with the same figures in words. With
rich installed and a terminal to write to, the verdicts are in colour; the text is the same.
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

from bufpool._words import plural
from bufpool.cli.bench import machine
from bufpool.cli.bench.checks import DECIMALS, Result
from bufpool.cli.bench.parts import Row
from bufpool.cli.bench.timing import Plan

_WIDTHS = (22, 10, 19, 10, 12, 18, 16, 5)
LEGEND = """\
ours, theirs: medians over the rounds. figure: the median of the rounds' ratios, each of two samples taken side by side
(not the ratio of the two columns: whole rounds may be slow); spread: the extremes. cost is ours/theirs, less is better;
speed is theirs/ours, more is better. A bound is what we hold ourselves to; docs/performance.md has what it missed."""
_TABLE = sum(_WIDTHS) + 2 * len(_WIDTHS)  # columns of the terminal
_HEADINGS = ("size", "ours", "against", "theirs", "figure", "spread", "bound", "holds")


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

    def row(self, row: Row) -> None:
        """The title of a row."""
        self._print("\n" + self._fit(f"{row.id}: {row.words}"))

    def results(self, results: Sequence[Result]) -> None:
        """One line for each result."""
        self._clear()
        for result in results:
            text = in_words(result, self._width) if self._narrow else columns(cells(result))
            self._print(text, result.holds)

    def left_out(self, names: Sequence[str]) -> None:
        """Name the sizes that a quick run does not measure."""
        self._print(self._fit(f"  not with --quick: {', '.join(dict.fromkeys(names))}"))

    def listing(self, rows: Sequence[Row]) -> None:
        """Every row with its bounds, nothing measured."""
        for row in rows:
            self.row(row)
            for check in row.checks:
                against = f"against {check.theirs}" if check.theirs else ""
                if self._narrow:
                    self._print(self._fit(f"  {check.label}: {check.bound} {against}".rstrip()))
                else:
                    self._print(f"  {check.label.ljust(22)}{str(check.bound).ljust(18)}{against}".rstrip())

    def progress(self, words: str) -> None:
        """What is going on now; overwritten by the next words."""
        if self._live:
            self._note(f"\r\033[K{words[: min(100, self._width - 1)]}")

    def tail(self, results: Sequence[Result]) -> None:
        """How many bounds hold."""
        held = sum(result.holds is True for result in results)
        broken = sum(result.holds is False for result in results)
        unknown = sum(result.figure is None for result in results)
        holding = f"{held} {plural(held, 'bound holds', 'bounds hold')}"
        failing = f"{broken} {plural(broken, 'does', 'do')} NOT"
        self._print("\n" + self._fit(f"{holding}, {failing}, {unknown} could not be measured."))

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

    def _print(self, text: str, holds: bool | None = None) -> None:
        if self._colour and holds is not None:
            from rich.console import Console
            from rich.text import Text

            style = "green" if holds else "bold red"
            verdict = len(text.rstrip()) - len(_verdict(holds))
            Console(width=_TABLE).print(
                Text(text[:verdict]) + Text(text[verdict:], style=style), soft_wrap=True
            )
        else:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()  # a row at a time, also into a pipe


def columns(texts: Sequence[str]) -> str:
    """One line of the table."""
    return ("  " + "  ".join(text.ljust(width) for text, width in zip(texts, _WIDTHS, strict=True))).rstrip()


def fill(text: str, width: int) -> str:
    """Break a paragraph into lines of the terminal's width; the others are indented a little more than its first."""
    indent = " " * (len(text) - len(text.lstrip()))
    words = " ".join(text.split())
    return textwrap.fill(
        words, width, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )


def in_words(result: Result, width: int) -> str:
    """The texts of one line of the table, as sentences in the terminal's width; the verdict is the last."""
    label, ours, against, theirs, figure, spread, bound, verdict = cells(result)
    head = f"  {label} against {against}" if against else f"  {label}"
    if result.figure is None:
        # What a worker reported has lines of its own.
        lines = [f"    {line}" for line in f"{bound}: {verdict}".splitlines()]
    else:
        against_theirs = f", theirs {theirs}" if theirs != "-" else ""
        within = f" ({spread})" if spread != "-" else ""
        lines = [f"    ours {ours}{against_theirs}", f"    {figure}{within}, {bound}: {verdict}"]
    return "\n".join(fill(line, width) for line in (head, *lines))


def cells(result: Result) -> tuple[str, ...]:
    """The texts of one line, under the headings."""
    check = result.check
    if result.figure is None:
        return (check.label, "-", check.theirs, "-", "-", "-", str(check.bound), result.note or "-")
    bound = check.bound
    ratio = f"{result.figure:.{DECIMALS}f}{f' {bound.unit}' if bound.own else 'x'}"
    spread = "-" if result.low is None or result.high is None else f"{result.low:.3g} .. {result.high:.3g}"
    ours, theirs = (_quantity(value, bound.unit if bound.own else bound.of) for value in (result.ours, result.theirs))
    return (check.label, ours, check.theirs, theirs, ratio, spread, str(check.bound), _verdict(result.holds))


def _verdict(holds: bool | None) -> str:
    return {True: "yes", False: "NO", None: "-"}[holds]


def _quantity(value: float | None, unit: str) -> str:
    """A time with the prefix that suits it, or a figure in its own unit."""
    if value is None:
        return "-"
    if unit != "s":
        return f"{value:.4g} {unit}"
    for factor, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= factor:
            return f"{value / factor:.4g} {name}"
    return f"{value / 1e-9:.4g} ns"


def save(path: Path, plan: Plan, results: dict[str, list[Result]]) -> None:
    """Write the machine, the plan and every result, by row, as JSON."""
    document = {
        "machine": machine.describe(),
        "plan": asdict(plan),
        "rows": {row: [result.as_dict() for result in found] for row, found in results.items()},
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
