"""A run as text for a terminal, at most 100 columns wide, and as tables in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from benchmarks.harness.units import plural
from benchmarks.programs.catalogue import JOBS
from benchmarks.programs.figures import Run, Series
from benchmarks.programs.targets import Verdict, judge, judge_mean

WIDTH = 100
_MEASURED = (20, 10, 10, 12, 12, 12, 12)
_JUDGED = (14, 11, 20, 11, 13, 15)


# Text ----------------------------------------------------------------------------------------------------------------


def program_text(run: Run, name: str) -> str:
    """What one program took on each contender, and the verdict on each of its targets."""
    outcome = run.programs[name]
    lines = [f"{name}: {outcome.about}"]
    if outcome.missing:
        return "\n".join([*lines, *_wrapped(f"not measured: {outcome.missing}")])
    if outcome.series:
        headings = ("", "time", "faults", "peak", "mean", "at end", "idle at end")
        lines.append(_columns(headings, _MEASURED))
        lines += [_columns(_measured(contender, series), _MEASURED) for contender, series in outcome.series.items()]
    for contender, failure in outcome.failures.items():
        lines += _wrapped(f"{contender}: failed: {failure}")
    lines.append(_columns(("target", "bufpool", "against", "", "figure", "at most", "kept"), (*_JUDGED, 0)))
    lines += [line for verdict in judge(run, name) for line in _judged(verdict)]
    return "\n".join(lines)


def _measured(contender: str, series: Series) -> Iterator[str]:
    yield contender
    yield f"{series.typical('seconds'):.3f} s"
    yield f"{series.typical('faults'):,.0f}"
    for figure in ("peak", "mean", "end", "idle"):
        yield f"{series.typical(figure):,.0f} MiB" if series.rounds(figure) else "-"


def _judged(verdict: Verdict) -> Iterator[str]:
    if verdict.holds is None:
        yield _columns((verdict.what, "-", verdict.against, "-", "-", verdict.limit, "-"), (*_JUDGED, 0))
    else:
        ours, theirs = (_amount(value, verdict.unit) for value in (verdict.ours, verdict.theirs))
        kept = "yes" if verdict.holds else "NO"
        cells = (verdict.what, ours, verdict.against, theirs, verdict.figure, verdict.limit, kept)
        yield _columns(cells, (*_JUDGED, 0))
    if verdict.note:
        yield from _wrapped(verdict.note, "    ")


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.3f} s" if unit == "s" else f"{value:,.1f} {unit}"


def verdicts(run: Run) -> list[Verdict]:
    """Every verdict of the run."""
    found = [verdict for name in run.programs for verdict in judge(run, name)]
    return [*found, judge_mean(run)] if set(JOBS) <= run.programs.keys() else found


def summary_text(run: Run) -> str:
    """The mean of the jobs, what is missing, and how many targets the run keeps."""
    lines = []
    if set(JOBS) <= run.programs.keys():
        lines += ["all jobs: geometric mean of their times", *_judged(judge_mean(run)), ""]
    found = verdicts(run)
    for contender, why in run.absent.items():
        lines += _wrapped(f"{contender}: {why}", "")
    kept, missed, unknown = (sum(verdict.holds is holds for verdict in found) for holds in (True, False, None))
    lines.append(f"Targets: {kept} kept, {missed} MISSED, {unknown} could not be judged.")
    return "\n".join(lines)


def _columns(cells: Iterable[str], widths: Iterable[int]) -> str:
    return ("  " + " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))).rstrip()


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


# Markdown ------------------------------------------------------------------------------------------------------------


def jobs_table(run: Run) -> str:
    """Time and peak of each job on each contender."""
    return _table(run, "job", "time, peak", ("seconds", "peak"))


def patterns_table(run: Run) -> str:
    """Time of each memory pattern on each contender, and the resident memory that it adds: mean and peak."""
    return _table(run, "memory pattern", "time, mean, peak", ("seconds", "work mean", "work peak"))


def _table(run: Run, kind: str, cells: str, figures: tuple[str, ...]) -> str:
    chosen = {name: outcome for name, outcome in run.programs.items() if (outcome.kind == "job") is (kind == "job")}
    lines = [[f"{kind}: {cells}", *run.contenders], ["---"] * (1 + len(run.contenders))]
    for name, outcome in chosen.items():
        series = [outcome.series.get(contender) for contender in run.contenders]
        lines.append([f"{name}: {outcome.about}", *(_cell(each, figures) for each in series)])
    notes = [f"{contender}: {why}" for contender, why in run.absent.items()]
    for name, outcome in chosen.items():
        notes += [f"{name}: {outcome.missing}"] if outcome.missing else []
        notes += [f"{name} on {contender} failed: {why}" for contender, why in outcome.failures.items()]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([table, *(["", "Not measured:", ""] if notes else []), *(f"- {note}" for note in notes)])


def _cell(series: Series | None, figures: tuple[str, ...]) -> str:
    if series is None:
        return "–"
    texts = [
        f"{series.typical(figure):.2f}\N{NO-BREAK SPACE}s" if figure == "seconds" else f"{series.typical(figure):,.0f}"
        for figure in figures
    ]
    return ", ".join(texts) + "\N{NO-BREAK SPACE}MiB"


def setting(run: Run) -> str:
    """One sentence on where and how the run was made."""
    machine = run.machine
    return (
        f"Medians of {run.rounds} {plural(run.rounds, 'round')}, {run.date}: {machine['cpu']}, "
        f"{machine['cores']} {plural(machine['cores'], 'core')}, {machine['system']}, {machine['python']}, "
        f"NumPy {machine['numpy']}, bufpool {machine['bufpool']}."
    )


def blocks(run: Run) -> dict[str, str]:
    """Every block by the name of its place in a page."""
    return {
        "programs-setting": setting(run),
        "programs-jobs": jobs_table(run),
        "programs-patterns": patterns_table(run),
    }
