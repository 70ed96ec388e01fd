"""The tables of the performance page and of the README, as Markdown, each from one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from reading import Duel, bounds, duels
from run_file import Run

from bufpool._words import plural
from bufpool.cli.bench.checks import Result

#: What a row is about, for a reader who has not seen the bench.
SUBJECTS = {
    "scratch": "scratch, by calls",
    "scratch-with": "scratch, by `with`",
    "empty": "an array, untouched",
    "four": "four arrays at once",
    "bytes": "bytes, untouched",
    "expression": "`sqrt(a*a + b*b) + c*d`",
    "expression-peers": "`sqrt(a*a + b*b) + c*d`",
    "real-code": "image code, 4K frame",
    "handoff": "frames of 25 MiB between threads",
    "zeros": "zeros",
    "waste": "bytes added by size classes",
    "burst": "held after a burst of 2 GiB",
    "import": "import",
    "lease": "an object that needs no care",
    "connection": "a database connection",
    "objects-threads": "a million checkouts of two objects",
    "objects-held": "8 threads, two objects held 1 ms",
    "objects-async": "an object, asyncio",
    "objects-waiters": "a crowd that waits",
    "core same": "core, each its own",
    "core next": "core, handed on",
    "core random": "core, at random",
    "threads": "each thread its own",
    "threads-handoff": "handed to the next thread",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def amount(value: float | None, unit: str) -> str:
    """A figure with three digits; a time with the prefix that suits it."""
    if value is None:
        return ""
    if unit != "s":
        return _joined(f"{value:,.0f}" if value >= 1000 else f"{value:.3g}", unit)
    for factor, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return _joined(f"{value / factor:.3g}", name)
    return _joined(f"{value / 1e-9:.3g}", "ns")


def _joined(number: str, unit: str) -> str:
    """With a space at which no line breaks."""
    return f"{number}\N{NO-BREAK SPACE}{unit}"


def times(ratio: float) -> str:
    """A ratio with three figures, and no more than two decimals."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def spread(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{times(low)}–{times(high)}"


def marked(duel: Duel) -> str:
    """The ratio; bold where the rival is ahead."""
    return f"**{times(duel.ratio)}**" if duel.verdict == "behind" else times(duel.ratio)


# Blocks --------------------------------------------------------------------------------------------------------------


def machine(run: Run) -> str:
    found = run.machine
    day = date.fromisoformat(run.date)
    count, missed = bounds(run)
    minutes, rounds = max(1, round(run.seconds / 60)), run.plan["rounds"]
    load = "" if found["load"] is None else f" Load when it began: {found['load']:.1f}."
    return (
        f"The run: {day.day} {day:%B %Y}, {minutes} {plural(minutes, 'minute')}, at least {rounds} "
        f"{plural(rounds, 'round')} of each contender. {found['cpu']}, {found['cores']} "
        f"{plural(found['cores'], 'core')}, {found['system']}, transparent huge pages "
        f"on `{found['huge pages']}`; {found['python']}, NumPy {found['numpy']}, bufpool {found['bufpool']}.{load}\n"
        f"Of the {count} {plural(count, 'bound')} that the project holds itself to, {count - len(missed)} held."
    )


def losses(run: Run) -> str:
    """Every bound that did not hold, then every rival that is ahead, the farthest first."""
    _, missed = bounds(run)
    rows = [
        (
            _subject(row, result.check.label),
            result.check.theirs or "itself",
            _said(result),
            str(result.check.bound),
        )
        for row, result in missed
    ]
    bounds_missed = table(("bound that did not hold", "against", "figure (spread)", "bound"), rows)
    if not rows:
        bounds_missed = "Every bound held in this run."
    behind = sorted((duel for duel in duels(run) if duel.verdict == "behind"), key=lambda duel: duel.ratio)
    ahead_of_us = table(
        ("what", "who is ahead of bufpool", "theirs", "bufpool", "times as fast (spread)"),
        (
            (
                _subject(duel.row, duel.check.label, duel.check.ours),
                duel.check.theirs,
                amount(duel.theirs, duel.unit),
                amount(duel.ours, duel.unit),
                _inverse(duel),
            )
            for duel in behind
        ),
    )
    return f"{bounds_missed}\n\n{ahead_of_us if behind else 'Nobody was ahead of us in this run.'}"


def _subject(row: str, label: str, ours: str = "") -> str:
    parts = [SUBJECTS.get(row, row), label]
    if row == "lease":
        parts = [SUBJECTS[row], "by `acquire` and `release`" if ours == "acquire" else "by `with`"]
    return ", ".join(parts)


def _inverse(duel: Duel) -> str:
    wide = f" ({spread(1 / duel.high, 1 / duel.low)})" if duel.low and duel.high else ""
    return f"{times(1 / duel.ratio)}{wide}"


def _said(result: Result) -> str:
    bound, wide = result.check.bound, spread(result.low, result.high)
    figure = amount(result.figure, bound.unit) if bound.own and bound.unit != "s" else f"{result.figure:.3g}"
    return figure + (f" ({wide})" if wide else "")


def by_size(run: Run, *rows: str, only: Callable[[str], bool] = lambda _: True) -> str:
    """Rivals down, sizes across: how many times as fast bufpool is, with the spread below."""
    found = [duel for duel in duels(run, *rows) if only(duel.check.label)]
    sizes = list(dict.fromkeys(duel.check.label for duel in found))
    cell = {(duel.check.theirs, duel.check.label): duel for duel in found}
    own = {duel.check.label: duel for duel in reversed(found)}
    first = ["*bufpool itself takes*", *(amount(own[size].ours, own[size].unit) for size in sizes)]
    rivals = dict.fromkeys(duel.check.theirs for duel in found)
    body = [[rival, *(_cell(cell.get((rival, size))) for size in sizes)] for rival in rivals]
    return table(("bufpool is … times as fast as", *sizes), [first, *body])


def _cell(duel: Duel | None) -> str:
    if duel is None:
        return ""
    wide = spread(duel.low, duel.high)
    return f"{marked(duel)}<br><small>{wide}</small>" if wide else marked(duel)


def pieces(run: Run) -> str:
    """One line for each duel: what, the two times, the ratio and its spread."""
    return _lines(run, "real-code", "handoff", "zeros", "scratch", "scratch-with")


def connections(run: Run) -> str:
    """Pools of database connections that take the same care."""
    return _lines(run, "connection")


def crowds(run: Run) -> str:
    return _lines(run, "objects-async", "objects-threads", "objects-held", "objects-waiters")


def _lines(run: Run, *rows: str) -> str:
    return table(
        ("", "bufpool", "rival", "takes", "bufpool is … times as fast"),
        (
            (
                _subject(duel.row, duel.check.label),
                amount(duel.ours, duel.unit),
                duel.check.theirs,
                amount(duel.theirs, duel.unit),
                f"{marked(duel)} {f'({spread(duel.low, duel.high)})' if duel.low else ''}".strip(),
            )
            for duel in duels(run, *rows)
        ),
    )


_TWICE = {
    "refused": "refused",
    "nothing": "no effect",
    "two have it": "**two clients get it**",
    "one too many": "**limit passed**",
    "copies": "gives copies",
}


def peers(run: Run) -> str:
    """Every rival of `with pool.lease()`, the quickest first, with what it does when misused."""
    found = {duel.check.theirs: duel for duel in duels(run, "lease") if duel.check.ours == "lease"}
    ours = next(iter(found.values()))
    lines = [("*bufpool*", amount(ours.ours, "s"), "", *_manners(run, "lease"))]
    for name, duel in sorted(found.items(), key=lambda item: item[1].ratio):
        ratio = f"{marked(duel)} ({spread(duel.low, duel.high)})"
        lines.append((name, amount(duel.theirs, "s"), ratio, *_manners(run, name)))
    headings = ("", "a checkout", "bufpool is … times as fast", "given back twice", "none left")
    return table(headings, lines)


def _manners(run: Run, name: str) -> tuple[str, str]:
    found = run.manners.get(name)
    return ("", "") if found is None else (_TWICE[found["twice"]], found["empty"])


def memory(run: Run) -> str:
    """What the pool costs other than time."""
    rows = ("waste", "burst", "import")
    found = [(row, result) for row, result in run.results() if row in rows and result.figure is not None]
    return table(
        ("", "figure", "bound"),
        (
            (_subject(row, result.check.label), _said(result), str(result.check.bound))
            for row, result in found
        ),
    )


def absent(run: Run) -> str:
    """Who was measured, in which version, and who could not be."""
    names = sorted(run.versions, key=str.lower)
    measured = f"Measured: {', '.join(f'{name} {run.versions[name]}' for name in names)}."
    lines = "\n".join(f"- {name}: {why}" for name, why in run.absent.items())
    return f"{measured}\n\nNot measured:\n\n{lines}" if lines else measured


def everything(run: Run) -> str:
    """Every check of the run, for those who look for one."""
    headings = ("row", "what", "ours", "", "against", "", "figure", "spread", "bound", "holds")
    lines = table(headings, (_line(row, result) for row, result in run.results()))
    return f"<details><summary>Every figure of the run</summary>\n\n{lines}\n\n</details>"


def _line(row: str, result: Result) -> tuple[str, ...]:
    check = result.check
    if result.figure is None:
        return (row, check.label, check.ours, "", check.theirs, "", result.note, "", str(check.bound), "")
    unit = check.bound.unit if check.bound.own else check.bound.of
    ours, theirs = amount(result.ours, unit), amount(result.theirs, unit)
    figures = (f"{result.figure:.3f}", spread(result.low, result.high))
    verdict = {True: "yes", False: "**no**", None: ""}[result.holds]
    return (row, check.label, check.ours, ours, check.theirs, theirs, *figures, str(check.bound), verdict)


def core(run: Run) -> str:
    """Contenders down, patterns across: of linear, with as many threads as cores; then the pool against others."""
    rows = [row for row in run.rows if row.startswith("core ")]
    if not rows:
        return "Not measured in this run."
    linear = {
        (result.check.label, row): result
        for row in rows
        for result in run.rows[row]
        if result.check.theirs == "1 thread"
    }
    patterns = [SUBJECTS[row].partition(", ")[2] for row in rows]
    contenders = list(dict.fromkeys(label for label, _ in linear))
    shares = table(
        ("share of linear", *patterns),
        ([label, *(_share(linear.get((label, row))) for row in rows)] for label in contenders),
    )
    return f"{shares}\n\n{_lines(run, *rows)}"


def _share(result: Result | None) -> str:
    if result is None or result.figure is None:
        return ""
    shown = times(result.figure)
    return f"{f'**{shown}**' if result.holds is False else shown} ({spread(result.low, result.high)})"


def free_threaded(run: Run | None) -> str:
    """The rows that only an interpreter without a GIL has, from a run of its own."""
    if run is None:
        return "No run on a free-threaded interpreter is stored: `make figures PYTHON=python3.14t VENV=.venvs/3.14t`."
    rows = ("threads", "threads-handoff")
    linear = table(
        ("", "share of linear", "bound"),
        (
            (_subject(row, result.check.label), _share(result), str(result.check.bound))
            for row in rows
            for result in run.rows.get(row, ())
            if result.check.theirs.endswith(" x 1") and result.figure is not None
        ),
    )
    return f"{machine(run)}\n\n{linear}\n\n{_lines(run, *rows)}"
