"""The public names are those of ``api.txt``: whoever changes one does it on purpose."""

from __future__ import annotations

import importlib.util
import re

import pytest
from public_api import SNAPSHOT, snapshot

ADVICE = """
If users shall meet this, run `make api`, look at `git diff tests/api.txt`, and say it in CHANGELOG.md; in a release
that is not a major one a name goes only after a release in which it warns."""

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


def differences(frozen: list[str], now: list[str]) -> str:
    """What a maintainer has to know, a line or two a name; empty if nothing differs."""
    before, after = by_name(frozen), by_name(now)
    told = [f"gone:    {line}" for name, line in before.items() if name not in after]
    told += [f"new:     {line}" for name, line in after.items() if name not in before]
    for name, line in after.items():
        if name in before and before[name] != line:
            told += [f"was:     {before[name]}", f"is now:  {line}"]
    if not told and frozen != now:
        told.append("the names are in another order")
    return "\n".join(told)


@needs_all
def test_public_names_are_those_that_were_promised() -> None:
    found = differences(SNAPSHOT.read_text(encoding="utf-8").splitlines(), snapshot())
    assert not found, f"the public API is not that of tests/api.txt:\n{found}\n{ADVICE}"


def test_each_line_is_about_another_name() -> None:
    lines = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    assert len(by_name(lines)) == len(lines)


def test_what_is_told_of_a_difference() -> None:
    frozen = [
        "class a.B(x=1): __enter__",
        "def a.B.close(timeout=0.0)",
        "def a.B.trim()",
        "python -m a run --limit",
    ]
    now = [
        "class a.B(x=2): __enter__",
        "async def a.B.close(timeout=0.0)",
        "def a.B.shrink()",
        "python -m a run --max",
    ]
    assert differences(frozen, frozen) == ""
    assert differences(frozen, now).splitlines() == [
        "gone:    def a.B.trim()",
        "gone:    python -m a run --limit",
        "new:     def a.B.shrink()",
        "new:     python -m a run --max",
        "was:     class a.B(x=1): __enter__",
        "is now:  class a.B(x=2): __enter__",
        "was:     def a.B.close(timeout=0.0)",
        "is now:  async def a.B.close(timeout=0.0)",
    ]
    assert differences(frozen, frozen[::-1]) == "the names are in another order"
