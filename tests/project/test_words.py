"""Counts in messages: "1 object" and "2 objects", wherever a person reads them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import bufpool
from bufpool._words import plural
from bufpool.objects.advice import advise
from tests.support.checkout import ROOT

in_checkout = pytest.mark.skipif(not (ROOT / "src").is_dir(), reason="the sources are in the checkout alone")

# A figure, perhaps an adjective, and a noun in the plural.
PLURAL = re.compile(r" (?:(?!of )[a-z]+ )?(?P<noun>[a-z]+s)\b")
NO_NOUN = re.compile("as|besides|does|has|is|its|lacks|ms|needs|ns|says|shows|states|this|us|was")
# Figures that are constants of more than one, or no counts.
NEVER_ONE = {
    "SMALLEST_SIDE", "MANY_TASKS", "MANY_THREADS", "ENOUGH",
    "block", "bytes_",  # at least 64; of a wheel that is too large
    "height",  # of a frame: "3840x2160 frames"
    "array.dtype", "descr",  # "dtype object holds references"
}  # fmt: skip


def test_a_noun_agrees_with_its_number() -> None:
    assert [plural(number, "object") for number in (0, 1, 2, 1.5)] == ["objects", "object", "objects", "objects"]
    assert [plural(number, "bound holds", "bounds hold") for number in (1, 2)] == ["bound holds", "bounds hold"]


def figures_before_plurals(path: Path) -> Iterator[str]:
    """Places where a figure stands before a noun that is always in the plural."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".pyx":
        for match in re.finditer(r"\{(?P<figure>[^{}]*)\}(?P<rest> [a-z ]+)", text):
            yield from _judged(match["figure"], match["rest"], path)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            for figure, rest in zip(node.values, node.values[1:], strict=False):
                if (
                    isinstance(figure, ast.FormattedValue)
                    and isinstance(rest, ast.Constant)
                    and figure.conversion == -1
                ):
                    yield from _judged(ast.unparse(figure.value), rest.value, path)


def _judged(figure: str, rest: str, path: Path) -> Iterator[str]:
    noun = PLURAL.match(rest)
    by_itself = figure.startswith("plural(") or figure.partition(":")[0] in NEVER_ONE
    if noun and not NO_NOUN.fullmatch(noun["noun"]) and not by_itself:
        yield f"{path.name}: {{{figure}}}{noun[0]}"


def test_such_a_place_is_found(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("f'{n} objects'\nf'{n:,} idle objects'\nf'{n} {plural(n, \"object\")}'\nf'{n!r} has it'", "utf-8")
    assert list(figures_before_plurals(path)) == ["module.py: {n} objects", "module.py: {n} idle objects"]
    path = tmp_path / "module.pyx"
    path.write_text("f'{self.count} exports'\nf'{self.count} {plural(self.count, \"export\")}'", "utf-8")
    assert list(figures_before_plurals(path)) == ["module.pyx: {self.count} exports"]


@in_checkout
def test_no_message_has_a_figure_before_a_fixed_plural() -> None:
    paths = [path for path in (ROOT / "src").rglob("*.py*") if path.suffix in (".py", ".pyx")]
    paths += [*(ROOT / "tools").glob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert len(paths) > 80
    assert [place for path in sorted(paths) for place in figures_before_plurals(path)] == []


NOUNS = "block|byte|checkout|export|object|time"


def messages_about_one() -> Iterator[str]:
    """What the package says where each of its counts is one."""
    pool = bufpool.BufferPool(1 << 20, name="arrays")
    buffer = pool.buffer(1)
    yield repr(buffer)
    with memoryview(buffer), pytest.raises(bufpool.ExportedError) as exported:
        buffer.release()
    yield str(exported.value)
    small = bufpool.BufferPool(1, name="small")
    with pytest.raises(bufpool.LimitError) as limited:
        small.empty(1, np.uint8)
    yield str(limited.value)
    with pytest.raises(bufpool.SizeError) as kept:
        bufpool.BufferPool(max_retained=1).prewarm(1, 1, np.uint8)
    yield str(kept.value)
    yield repr(small)
    objects = bufpool.Pool(list, max_size=1, name="objects")
    with objects.lease():
        yield repr(objects)
        with pytest.raises(bufpool.PoolTimeoutError) as refused:
            objects.acquire(timeout=0)
        yield str(refused.value)
    yield str(objects.advice())
    figures = objects.stats()
    broken = type(figures.discards)({"broken": 1, "failed_reset": 0})
    yield str(advise(figures._replace(checkouts=1, created=1, failures=1, discards=broken), 1))


def test_one_is_said_in_the_singular() -> None:
    said = "\n".join(messages_about_one())
    assert re.findall(rf"(?<![\d.,])1 (?:{NOUNS})s\b", said) == []
    assert set(re.findall(rf"(?<![\d.,])1 ({NOUNS})\b", said)) == set(NOUNS.split("|"))
