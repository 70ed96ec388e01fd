"""The public names are those of ``api.txt``: whoever changes one does it on purpose."""

from __future__ import annotations

import importlib.util
import re

import pytest
from public_api import SNAPSHOT, snapshot

ADVICE = """
If that is meant, run `make api`, look at `git diff tests/api.txt`, and say in CHANGELOG.md what users must change."""

needs_all = pytest.mark.skipif(
    importlib.util.find_spec("sqlalchemy") is None, reason="a recipe's module needs sqlalchemy"
)


def by_name(lines: list[str]) -> dict[str, str]:
    """Lines by what they are about: all before the signature, and without what kind of thing it is."""
    found: dict[str, str] = {}
    for line in lines:
        subject = re.sub(r"^(async def|def|class|error|property|module|value) ", "", line)
        found[subject if " -" in subject else re.split(r"[({: ]", subject, maxsplit=1)[0]] = line
    return found


def changed(before: str, after: str) -> str:
    """The words and parameters that differ."""
    old, new = (
        re.findall(r"[^\s,(){}:]+(?:\([^)]*\))?", line.partition("(")[2] or line) for line in (before, after)
    )
    gone, come = ([each for each in these if each not in those] for these, those in ((old, new), (new, old)))
    if gone or come:
        return f"{', '.join(gone) or 'nothing'}, now {', '.join(come) or 'nothing'}"
    return f"{before}, now {after}"


def differences(frozen: list[str], now: list[str]) -> str:
    """What a maintainer has to know, one line a name; empty if nothing differs."""
    before, after = by_name(frozen), by_name(now)
    told = [f"gone:    {line}" for name, line in before.items() if name not in after]
    told += [f"new:     {line}" for name, line in after.items() if name not in before]
    for name, line in after.items():
        if name in before and before[name] != line:
            told.append(f"changed: {name}: {changed(before[name], line)}")
    if not told and frozen != now:
        told.append("the names are in another order")
    return "\n".join(told)


@needs_all
def test_public_names_are_those_that_were_promised() -> None:
    found = differences(SNAPSHOT.read_text(encoding="utf-8").splitlines(), snapshot())
    if found:
        pytest.fail(f"the public API is not that of tests/api.txt:\n{found}\n{ADVICE}", pytrace=False)


def test_each_line_is_about_another_name() -> None:
    lines = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    assert len(by_name(lines)) == len(lines)


def test_what_is_told_of_a_difference() -> None:
    frozen = [
        "class a.B(x, y=(1, 2), z=3): __enter__",
        "def a.B.close(timeout=0)",
        "def a.B.trim()",
        "def a.c(d, e)",
        "async def a.f()",
        "python -m a run --limit",
    ]
    now = [
        "class a.B(x, y=(1, 3), z=3): __enter__",
        "def a.B.close(*, timeout=0)",
        "def a.B.cut()",
        "def a.c(e, d)",
        "def a.f()",
        "python -m a run --max",
    ]
    assert differences(frozen, frozen) == ""
    assert differences(frozen, now).splitlines() == [
        "gone:    def a.B.trim()",
        "gone:    python -m a run --limit",
        "new:     def a.B.cut()",
        "new:     python -m a run --max",
        "changed: a.B: y=(1, 2), now y=(1, 3)",
        "changed: a.B.close: nothing, now *",
        "changed: a.c: def a.c(d, e), now def a.c(e, d)",
        "changed: a.f: async def a.f(), now def a.f()",
    ]
    assert differences(frozen, frozen[::-1]) == "the names are in another order"
