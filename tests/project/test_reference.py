"""The pages that `make docs` builds are whole: every public name is in the reference, drawings suit their pages."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import bufpool
from tests.support.checkout import ROOT

DOCS = ROOT / "docs"
SVG = "{http://www.w3.org/2000/svg}"

pytestmark = pytest.mark.skipif(
    not DOCS.is_dir(), reason="no documentation here: these tests run beside an installed wheel"
)

PUBLIC = [name for name in bufpool.__all__ if name != "__version__"]
CLASSES = [
    name
    for name in PUBLIC
    if inspect.isclass(getattr(bufpool, name)) and not issubclass(getattr(bufpool, name), Exception)
]


def members(owner: str) -> set[str]:
    """What users see of a class; the fields of a named tuple are in its docstring."""
    kind = getattr(bufpool, owner)
    return {name for name in dir(kind) if not name.startswith("_") and not hasattr(tuple, name)} - set(
        getattr(kind, "_fields", ())
    )


def directives(text: str) -> set[str]:
    """Each thing that a page of the reference shows."""
    return set(re.findall(r"^\.\. (?:auto\w+|py:data|module):: ([\w.]+)", text, re.MULTILINE))


def reference() -> set[str]:
    return directives("".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")))


def test_the_reference_has_every_public_name() -> None:
    shown = reference()
    assert [name for name in PUBLIC if name not in shown and f"bufpool.{name}" not in shown] == []


@pytest.mark.parametrize("owner", CLASSES)
def test_the_reference_has_every_member(owner: str) -> None:
    shown = reference()
    assert [name for name in sorted(members(owner)) if f"{owner}.{name}" not in shown] == []


def test_the_reference_has_every_recipe() -> None:
    page = (DOCS / "reference/resources.md").read_text(encoding="utf-8")
    modules = {part.partition("\n")[0]: directives(part) for part in page.split(".. module:: bufpool.resources.")[1:]}
    for source in (DOCS.parent / "src/bufpool/resources").glob("[a-z]*.py"):
        listed = re.search(r"^__all__ = \[(.*?)\]", source.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        assert listed, source.name
        assert set(re.findall(r'"(\w+)"', listed[1])) == set(modules[source.stem])


@pytest.mark.parametrize("drawing", sorted((DOCS / "diagrams").glob("*.svg")), ids=lambda path: path.stem)
def test_a_drawing_is_whole_and_has_no_own_colours(drawing: Path) -> None:
    text = drawing.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    for name in "title", "desc":
        assert root.findtext(f"{SVG}{name}"), f"nothing for those who cannot see it: {name}"
    assert not re.search("(fill|stroke)=", text), "colours are in the style"
    shown = f"diagrams/{drawing.name})"
    assert any(shown in page.read_text(encoding="utf-8") for page in DOCS.glob("*/*.md")), "no page shows it"
