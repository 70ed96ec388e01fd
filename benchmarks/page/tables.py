"""The tables of the performance page and of the README, as Markdown, from one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from benchmarks.harness.targets import Result
from benchmarks.harness.units import plural
from benchmarks.page.run_file import Run
from benchmarks.page.speedups import Speedup, missed_targets, speedups

#: The benchmarks in words.
SUBJECTS = {
    "scratch": "scratch, by calls",
    "scratch-with": "scratch, by `with`",
    "empty": "an array, untouched",
    "lease-array": "an array, leased by `with`",
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
    "objects-slow": "40 clients, a connect takes 100 ms",
    "objects-async": "an object, asyncio",
    "objects-waiters": "many waiters",
    "core same": "core, each its own",
    "core next": "core, handed on",
    "core random": "core, at random",
    "threads": "each thread its own",
    "threads-handoff": "handed to the next thread",
}

#: Sizes of the expression at which memory matters, and not the interpreter.
LARGE = ("256 KiB", "1 MiB", "2 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB")

#: The table of the README: text, benchmark, contender, and sizes or labels.
HEADLINES = (
    (
        "`sqrt(a*a + b*b) + c*d`, unchanged, against plain NumPy",
        "expression",
        "plain",
        ("1 KiB", "2 MiB", "16 MiB", "64 MiB"),
    ),
    ("… against `out=` by hand", "expression", "out= by hand", ("2 MiB", "64 MiB")),
    ("… against glibc with raised thresholds", "expression", "glibc tuned", ("2 MiB", "64 MiB")),
    ("… against a fused loop by numba", "expression-peers", "numba", ("2 MiB", "64 MiB")),
    ("four arrays at once, a write to each page, against `np.empty`", "four", "np.empty", ("64 KiB", "1 MiB", "8 MiB")),
    ("… against a list of ready arrays", "four", "list", ("64 KiB", "1 MiB", "8 MiB")),
    (
        "image code on 4K frames, unchanged, against plain NumPy: mean of nine functions",
        "real-code",
        "plain",
        ("geometric mean",),
    ),
    (
        "frames from thread to thread, every byte written, against plain NumPy",
        "handoff",
        "plain",
        ("from main, filled",),
    ),
    ("a database connection, rolled back on return, against psycopg_pool", "connection", "psycopg_pool", ("no check",)),
    ("… with a query at each checkout", "connection", "psycopg_pool", ("a check",)),
    ("an object that needs no care, against a list with a lock", "lease", "list + Lock", ("with lease()",)),
    ("… against `queue.SimpleQueue`", "lease", "queue.SimpleQueue", ("with lease()",)),
    ("two threads on two objects, against `queue.SimpleQueue`", "objects-threads", "queue.SimpleQueue", ("2 threads",)),
)


def tables(run: Run, free: Run | None) -> dict[str, str]:
    """Every table, by the name of its place in a page; `free` is a run on a free-threaded interpreter."""
    return {
        "machine": machine(run),
        "losses": losses(run),
        "expression": by_size(run, "expression", "expression-peers", only=lambda label: label in LARGE),
        "four": by_size(run, "four"),
        "pieces": _lines(run, "real-code", "handoff", "zeros"),
        "connections": _lines(run, "connection"),
        "peers": peers(run),
        "clients": _lines(run, "objects-async", "objects-threads", "objects-held", "objects-waiters"),
        "core": core(run),
        "free-threaded": free_threaded(free),
        "memory": memory(run),
        "versions": versions(run),
        "headlines": headlines(run),
    }


# Cells ---------------------------------------------------------------------------------------------------------------


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def amount(value: float | None, unit: str) -> str:
    """A figure with three digits; a time with a suitable prefix."""
    if value is None:
        return ""
    if unit != "s":
        return _joined(f"{value:,.0f}" if value >= 1000 else f"{value:.3g}", unit)
    for factor, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return _joined(f"{value / factor:.3g}", name)
    return _joined(f"{value / 1e-9:.3g}", "ns")


def _joined(number: str, unit: str) -> str:
    return f"{number}\N{NO-BREAK SPACE}{unit}"


def times(ratio: float) -> str:
    """A ratio with three digits, and at most two decimals."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def spread(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{times(low)}–{times(high)}"


def marked(each: Speedup) -> str:
    """The ratio; bold if the alternative is faster."""
    return f"**{times(each.ratio)}**" if each.verdict == "behind" else times(each.ratio)


def _subject(row: str, label: str, ours: str = "") -> str:
    parts = [SUBJECTS.get(row, row), label]
    if row == "lease":
        parts = [SUBJECTS[row], "by `acquire` and `release`" if ours == "acquire" else "by `with`"]
    return ", ".join(parts)


def _figure(result: Result) -> str:
    target, wide = result.check.target, spread(result.low, result.high)
    own = target.absolute and target.unit != "s"
    return (amount(result.figure, target.unit) if own else f"{result.figure:.3g}") + (f" ({wide})" if wide else "")


# Tables --------------------------------------------------------------------------------------------------------------


def headlines(run: Run) -> str:
    """The table of the README."""
    found = {(each.row, each.check.theirs, each.check.label): marked(each) for each in speedups(run)}
    lines = []
    for text, row, theirs, labels in HEADLINES:
        known = [label for label in labels if (row, theirs, label) in found]
        size = " at {}" if len(labels) > 1 else ""
        cells = [found[row, theirs, label] + size.format(label) for label in known]
        if cells:
            lines.append((text, ", ".join(cells)))
    return table(("", "speed-up with bufpool"), lines)


def lacking(run: Run) -> list[str]:
    """Benchmarks of the README's table that the run does not have, because it is older or partial."""
    return list(dict.fromkeys(row for _, row, *_ in HEADLINES if row not in run.rows))


def machine(run: Run) -> str:
    found = run.machine
    day = date.fromisoformat(run.date)
    count, missed = missed_targets(run)
    minutes, rounds = max(1, round(run.seconds / 60)), run.plan["rounds"]
    load = "" if found["load"] is None else f" Load at the start: {found['load']:.1f}."
    return (
        f"The run: {day.day} {day:%B %Y}, {minutes} {plural(minutes, 'minute')}, at least {rounds} "
        f"{plural(rounds, 'round')} of each contender. {found['cpu']}, {found['cores']} "
        f"{plural(found['cores'], 'core')}, {found['system']}, transparent huge pages "
        f"on `{found['huge pages']}`; {found['python']}, NumPy {found['numpy']}, bufpool {found['bufpool']}.{load}\n"
        f"Of {count} {plural(count, 'target')} of the project, {count - len(missed)} were met."
    )


def losses(run: Run) -> str:
    """Every missed target, then every contender that is ahead, the largest loss first."""
    _, missed = missed_targets(run)
    targets = table(
        ("missed target", "against", "figure (spread)", "target"),
        (
            (
                _subject(row, result.check.label),
                result.check.theirs or "itself",
                _figure(result),
                str(result.check.target),
            )
            for row, result in missed
        ),
    )
    behind = sorted((each for each in speedups(run) if each.verdict == "behind"), key=lambda each: each.ratio)
    ahead_of_us = table(
        ("what", "faster than bufpool", "theirs", "bufpool", "times as fast (spread)"),
        (
            (
                _subject(each.row, each.check.label, each.check.ours),
                each.check.theirs,
                amount(each.theirs, each.unit),
                amount(each.ours, each.unit),
                _inverse(each),
            )
            for each in behind
        ),
    )
    return "\n\n".join(
        (
            targets if missed else "Every target was met in this run.",
            ahead_of_us if behind else "Nothing was faster than bufpool in this run.",
        )
    )


def _inverse(each: Speedup) -> str:
    wide = f" ({spread(1 / each.high, 1 / each.low)})" if each.low and each.high else ""
    return f"{times(1 / each.ratio)}{wide}"


def by_size(run: Run, *rows: str, only: Callable[[str], bool] = lambda _: True) -> str:
    """Contenders down, sizes across: the speed-up, with the spread below."""
    found = [each for each in speedups(run, *rows) if only(each.check.label)]
    sizes = list(dict.fromkeys(each.check.label for each in found))
    cell = {(each.check.theirs, each.check.label): each for each in found}
    own = {each.check.label: each for each in reversed(found)}
    first = ["*time with bufpool*", *(amount(own[size].ours, own[size].unit) for size in sizes)]
    contenders = dict.fromkeys(each.check.theirs for each in found)
    body = [[name, *(_cell(cell.get((name, size))) for size in sizes)] for name in contenders]
    return table(("speed-up over", *sizes), [first, *body])


def _cell(each: Speedup | None) -> str:
    if each is None:
        return ""
    wide = spread(each.low, each.high)
    return f"{marked(each)}<br><small>{wide}</small>" if wide else marked(each)


def _lines(run: Run, *rows: str) -> str:
    """One line for each speed-up: what, both times, the ratio and its spread."""
    return table(
        ("", "bufpool", "against", "theirs", "speed-up"),
        (
            (
                _subject(each.row, each.check.label),
                amount(each.ours, each.unit),
                each.check.theirs,
                amount(each.theirs, each.unit),
                f"{marked(each)} {f'({spread(each.low, each.high)})' if each.low else ''}".strip(),
            )
            for each in speedups(run, *rows)
        ),
    )


#: What a pool does after a double release that its clients must not see.
_HARMFUL = ("two clients get it", "limit passed")


def peers(run: Run) -> str:
    """Every alternative to `with pool.lease()`, the fastest first, with what it does when misused."""
    found = {each.check.theirs: each for each in speedups(run, "lease") if each.check.ours == "lease"}
    ours = next(iter(found.values()))
    lines = [("*bufpool*", amount(ours.ours, "s"), "", *_misuse(run, "lease"))]
    for name, each in sorted(found.items(), key=lambda item: item[1].ratio):
        ratio = f"{marked(each)} ({spread(each.low, each.high)})"
        lines.append((name, amount(each.theirs, "s"), ratio, *_misuse(run, name)))
    return table(("", "a checkout", "speed-up", "released twice", "none left"), lines)


def _misuse(run: Run, name: str) -> tuple[str, str]:
    found = run.misuse.get(name)
    if found is None:
        return "", ""
    return f"**{found['twice']}**" if found["twice"] in _HARMFUL else found["twice"], found["empty"]


def memory(run: Run) -> str:
    """Costs of the pool other than time."""
    rows = ("waste", "burst", "import")
    found = [(row, result) for row, result in run.results() if row in rows and result.figure is not None]
    return table(
        ("", "figure", "target"),
        ((_subject(row, result.check.label), _figure(result), str(result.check.target)) for row, result in found),
    )


def versions(run: Run) -> str:
    """The packages that were measured, and why others were not."""
    names = sorted(run.versions, key=str.lower)
    measured = f"Measured: {', '.join(f'{name} {run.versions[name]}' for name in names)}."
    lines = "\n".join(f"- {name}: {why}" for name, why in run.absent.items())
    return f"{measured}\n\nNot measured:\n\n{lines}" if lines else measured


def core(run: Run) -> str:
    """Contenders down, patterns across: the share of linear scaling, with as many threads as cores."""
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
    return table(
        ("share of linear", *patterns),
        ([label, *(_share(linear.get((label, row))) for row in rows)] for label in contenders),
    )


def _share(result: Result | None) -> str:
    if result is None or result.figure is None:
        return ""
    shown = times(result.figure)
    return f"{f'**{shown}**' if result.met is False else shown} ({spread(result.low, result.high)})"


def free_threaded(run: Run | None) -> str:
    """The benchmarks that need an interpreter without a GIL, from a run of their own."""
    if run is None:
        return "No run on a free-threaded interpreter is stored: `make figures PYTHON=python3.14t VENV=.venvs/3.14t`."
    rows = ("threads", "threads-handoff")
    linear = table(
        ("", "share of linear", "target"),
        (
            (_subject(row, result.check.label), _share(result), str(result.check.target))
            for row in rows
            for result in run.rows.get(row, ())
            if result.check.theirs.endswith(" x 1") and result.figure is not None
        ),
    )
    return f"{machine(run)}\n\n{linear}\n\n{_lines(run, *rows)}"
