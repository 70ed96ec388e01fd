"""The tables of the performance page and of the README, as Markdown, each from one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from bufpool.cli.bench.checks import Result
from reading import Duel, bounds, duels
from run_file import Run

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
    "lease": "an object",
    "objects-threads": "threads on two objects",
    "objects-held": "8 threads, objects held 1 ms",
    "objects-async": "an object, asyncio",
    "objects-waiters": "a crowd that waits",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def amount(value: float | None, unit: str) -> str:
    """A figure with three digits; a time with the prefix that suits it."""
    if value is None:
        return ""
    if unit != "s":
        return f"{value:.3g} {unit}"
    for factor, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return f"{value / factor:.3g} {name}"
    return f"{value / 1e-9:.3g} ns"


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
    load = "" if found["load"] is None else f" Load when it began: {found['load']:.1f}."
    return (
        f"The run: {day.day} {day:%B %Y}, {max(1, round(run.seconds / 60))} minutes, {run.plan['rounds']} rounds or more of "
        f"each contender. {found['cpu']}, {found['cores']} cores, {found['system']}, transparent huge pages on "
        f"`{found['huge pages']}`; {found['python']}, NumPy {found['numpy']}, bufpool {found['bufpool']}.{load}\n"
        f"Of the {count} bounds that the project holds itself to, {count - len(missed)} held."
    )


def losses(run: Run) -> str:
    """Every bound that did not hold, then every rival that is ahead, the farthest first."""
    _, missed = bounds(run)
    rows = [
        (_subject(row, result.check.label), result.check.theirs or "itself", _said(result), str(result.check.bound))
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
    unit = result.check.bound.unit if result.check.bound.own else ""
    wide = spread(result.low, result.high)
    return f"{result.figure:.3g} {unit}".strip() + (f" ({wide})" if wide else "")


def by_size(*rows: str, labels: Callable[[str], bool] = lambda _: True) -> Callable[[Run], str]:
    """Rivals down, sizes across: how many times as fast bufpool is, with the spread below."""

    def block(run: Run) -> str:
        found = [duel for duel in duels(run, *rows) if labels(duel.check.label)]
        sizes = list(dict.fromkeys(duel.check.label for duel in found))
        rivals = list(dict.fromkeys(duel.check.theirs for duel in found))
        cell = {(duel.check.theirs, duel.check.label): duel for duel in found}
        own = {duel.check.label: duel for duel in reversed(found)}
        first = ["*bufpool itself takes*", *(amount(own[size].ours, own[size].unit) for size in sizes)]
        body = [
            [rival, *(_cell(cell.get((rival, size))) for size in sizes)]
            for rival in rivals
        ]
        return table(("bufpool is … times as fast as", *sizes), [first, *body])

    return block


def _cell(duel: Duel | None) -> str:
    if duel is None:
        return ""
    wide = spread(duel.low, duel.high)
    return f"{marked(duel)}<br><small>{wide}</small>" if wide else marked(duel)


def pieces(run: Run) -> str:
    """One line for each duel: what, the two times, the ratio and its spread."""
    return _lines(run, "real-code", "handoff", "zeros", "scratch", "scratch-with")


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
    found = {
        duel.check.theirs: duel for duel in duels(run, "lease") if duel.check.ours == "lease"
    }
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
    found = [
        (row, result) for row, result in run.results() if row in ("waste", "burst", "import") and result.figure is not None
    ]
    return table(
        ("", "figure", "bound"),
        ((_subject(row, result.check.label), _said(result), str(result.check.bound)) for row, result in found),
    )


def absent(run: Run) -> str:
    """Who was measured, in which version, and who could not be."""
    measured = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items(), key=lambda kv: kv[0].lower()))
    lines = "\n".join(f"- {name}: {why}" for name, why in run.absent.items())
    return f"Measured: {measured}.\n\nNot measured:\n\n{lines}" if lines else f"Measured: {measured}."


def everything(run: Run) -> str:
    """Every check of the run, for those who look for one."""
    rows = []
    for row, result in run.results():
        check = result.check
        unit = check.bound.unit if check.bound.own else check.bound.of
        verdict = {True: "yes", False: "**no**", None: ""}[result.holds]
        if result.figure is None:
            rows.append((row, check.label, check.ours, "", check.theirs, "", result.note, "", str(check.bound), ""))
        else:
            figures = (amount(result.ours, unit), check.theirs, amount(result.theirs, unit))
            rows.append(
                (row, check.label, check.ours, *figures, f"{result.figure:.3f}", spread(result.low, result.high), str(check.bound), verdict)
            )
    headings = ("row", "what", "ours", "", "against", "", "figure", "spread", "bound", "holds")
    return f"<details><summary>Every figure of the run</summary>\n\n{table(headings, rows)}\n\n</details>"


#: What a newcomer wants to know: the subject, and the results that tell it.
HEADLINES = (
    ("`sqrt(a*a + b*b) + c*d`, unchanged, against plain NumPy", "expression", ("1 KiB", "2 MiB", "16 MiB", "64 MiB"), "plain"),
    ("the same against `out=` by hand", "expression", ("2 MiB", "64 MiB"), "out= by hand"),
    ("the same against one fused loop by numba", "expression-peers", ("2 MiB", "64 MiB"), "numba"),
    ("four arrays at once, against `np.empty`", "four", ("64 KiB", "1 MiB", "8 MiB"), "np.empty"),
    ("the same against a list of ready arrays", "four", ("64 KiB", "1 MiB", "8 MiB"), "list"),
    ("nine pieces of SciPy and scikit-image code on 4K frames, their mean", "real-code", ("geometric mean",), "plain"),
    ("frames of 25 MiB from thread to thread, each byte written", "handoff", ("from main, filled", "from worker, filled"), "plain"),
    ("an object, against psycopg_pool", "lease", ("with lease()",), "psycopg_pool"),
    ("an object, against a list with a lock", "lease", ("with lease()",), "list + Lock"),
    ("an object, against `queue.SimpleQueue`", "lease", ("with lease()",), "queue.SimpleQueue"),
    ("2 threads on two objects, against `queue.SimpleQueue`", "objects-threads", ("2 threads",), "queue.SimpleQueue"),
)


def headlines(run: Run) -> str:
    found = {(duel.row, duel.check.label, duel.check.theirs): duel for duel in duels(run)}
    lines = []
    for subject, row, labels, rival in HEADLINES:
        cells = [
            f"{marked(duel)} at {label}" if len(labels) > 1 and "from" not in label else f"{marked(duel)}{_source(label)}"
            for label in labels
            if (duel := found.get((row, label, rival)))
        ]
        if cells:
            lines.append((subject, ", ".join(cells)))
    return table(("", "bufpool is … times as fast"), lines)


def _source(label: str) -> str:
    return f" ({label.partition(',')[0]})" if label.startswith("from") else ""


#: The tables, by the name of their place in a page.
BLOCKS: dict[str, Callable[[Run], str]] = {
    "machine": machine,
    "losses": losses,
    "expression": by_size("expression", "expression-peers", labels=lambda label: "MiB" in label or label == "256 KiB"),
    "expression-small": by_size("expression", labels=lambda label: "MiB" not in label and label != "256 KiB"),
    "four": by_size("four"),
    "empty": by_size("empty"),
    "bytes": by_size("bytes"),
    "pieces": pieces,
    "peers": peers,
    "crowds": crowds,
    "memory": memory,
    "absent": absent,
    "everything": everything,
    "headlines": headlines,
}
