"""The public names are those of ``api.txt``: whoever changes one does it on purpose."""

from __future__ import annotations

import importlib.util
import re

import pytest

from tests.support.public_api import SNAPSHOT, snapshot

ADVICE = """
If that is meant, run `make api`, look at `git diff tests/project/api.txt`, and say in CHANGELOG.md what users must
change."""

needs_all = pytest.mark.skipif(
    importlib.util.find_spec("sqlalchemy") is None, reason="a recipe's module needs sqlalchemy"
)


def by_name(lines: list[str]) -> dict[str, str]:
    """Lines by what they are about: all before the signature or the type, and without what kind of thing it is."""
    found: dict[str, str] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "overload":  # of which a name has several
            subject = line
        elif kind in ("type", "settings"):  # of names that have a line of their own, too
            subject = f"{kind} {re.split(r'[ (]', rest)[0]}"
        elif kind == "python":
            subject = line.partition(": ")[0]
        else:
            subject = re.sub(
                r"^(async def|def|(final )?class|error|property|attribute|special|module|value) ", "", line
            )
            subject = re.split(r"[\[({: ]", subject, maxsplit=1)[0]
        found[subject] = line
    return found


def parts(line: str) -> list[str]:
    """The parameters one by one, and what stands behind them; else all behind the name."""
    head, bracket, inside = line.partition("(")
    if not bracket or ": " in head or " = " in head:
        return [re.split(": | = ", line, maxsplit=1)[-1]]
    found, depth = [""], 1
    for place, letter in enumerate(inside):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            return [*map(str.strip, found), inside[place + 1 :].strip()]
        if letter == "," and depth == 1:
            found.append("")
        else:
            found[-1] += letter
    return [line]


def changed(before: str, after: str) -> str:
    """The parameters that differ, and the type."""
    old, new = parts(before), parts(after)
    gone, come = ([each for each in these if each not in those] for these, those in ((old, new), (new, old)))
    if any(gone) or any(come):
        return f"{', '.join(filter(None, gone)) or 'nothing'}, now {', '.join(filter(None, come)) or 'nothing'}"
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
        pytest.fail(f"the public API is not that of tests/project/api.txt:\n{found}\n{ADVICE}", pytrace=False)


def test_each_line_is_about_another_name() -> None:
    lines = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    assert len(by_name(lines)) == len(lines)


@needs_all
def test_each_has_its_types() -> None:
    """One whose stub or source was not found would freeze none."""
    lines = [line.removeprefix("async ") for line in snapshot()]
    overloaded = {re.split("[( ]", line)[1] for line in lines if line.startswith("overload ")}
    for line in lines:
        kind, name, *_ = re.split("[(: ]", line)
        if kind in ("property", "attribute"):
            assert line.startswith(f"{kind} {name}: ")
        elif kind == "def" and name not in overloaded:
            *given, result = parts(line)
            assert result.startswith("-> ")
            assert [each for each in given if ": " not in each and each not in ("", "/", "*")] == []


@needs_all
def test_what_the_reader_may_not_miss() -> None:
    """One of each kind, from compiled modules and from others, and what only some Pythons have when they run."""
    names = by_name(snapshot())
    assert names["bufpool.BufferPool.limit"] == "property bufpool.BufferPool.limit: int | None"
    assert names["bufpool.Buffer.__buffer__"] == "def bufpool.Buffer.__buffer__(flags: int, /) -> memoryview"
    assert names["bufpool.Buffer.__hash__"] == "special bufpool.Buffer.__hash__ = None"
    assert names["bufpool.Pool.acquire"].endswith("(timeout: float | EllipsisType | None = ...) -> _T")
    assert names["bufpool.AsyncPool.acquire"].startswith("async def ")
    assert names["bufpool.ClassStats"].startswith("class bufpool.ClassStats(size: int, ")
    assert names["type bufpool._typing.Order"] == "type bufpool._typing.Order = Literal['C', 'F'] | None"
    assert names["python -m bufpool demo --frames"] == "python -m bufpool demo --frames: N, positive, default 8"


def test_what_is_told_of_a_difference() -> None:
    frozen = [
        "class a.B(x, y=(1, 2), z=3) is tuple",
        "def a.B.close(timeout=0)",
        "def a.B.trim()",
        "def a.c(d, e)",
        "async def a.f()",
        "def a.g(x: dict[str, int] = ..., y: int = 3) -> int",
        "property a.B.size: int",
        "overload a.B.get(x: int) -> int",
        "settings a.c(check=..., max_size=3)",
        "type a.T = TypeVar('T', bound=int)",
        "python -m a run --limit: N, positive",
        "python -m a run --rounds: N, default 8",
    ]
    now = [
        "class a.B(x, y=(1, 3), z=3) is tuple",
        "def a.B.close(*, timeout: float = 0)",
        "def a.B.cut()",
        "def a.c(e, d)",
        "def a.f()",
        "def a.g(x: dict[str, Any] = ..., y: int = 3) -> Any",
        "property a.B.size: Any",
        "overload a.B.get(x: int) -> Any",
        "settings a.c(check=..., max_size=4)",
        "type a.T = TypeVar('T')",
        "python -m a run --max: N, positive",
        "python -m a run --rounds: N, default 9",
    ]
    assert differences(frozen, frozen) == ""
    assert differences(frozen, now).splitlines() == [
        "gone:    def a.B.trim()",
        "gone:    overload a.B.get(x: int) -> int",
        "gone:    python -m a run --limit: N, positive",
        "new:     def a.B.cut()",
        "new:     overload a.B.get(x: int) -> Any",
        "new:     python -m a run --max: N, positive",
        "changed: a.B: y=(1, 2), now y=(1, 3)",
        "changed: a.B.close: timeout=0, now *, timeout: float = 0",
        "changed: a.c: def a.c(d, e), now def a.c(e, d)",
        "changed: a.f: async def a.f(), now def a.f()",
        "changed: a.g: x: dict[str, int] = ..., -> int, now x: dict[str, Any] = ..., -> Any",
        "changed: a.B.size: int, now Any",
        "changed: settings a.c: max_size=3, now max_size=4",
        "changed: type a.T: TypeVar('T', bound=int), now TypeVar('T')",
        "changed: python -m a run --rounds: N, default 8, now N, default 9",
    ]
    assert differences(frozen, frozen[::-1]) == "the names are in another order"
