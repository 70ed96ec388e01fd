"""Everything that a user may call says what it takes, what it raises and how it is used.

That the examples run, ``test_docs.py`` tries.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import sys
from typing import Any

import pytest

import bufpool
from tests.support.declarations import FUNCTIONS
from tests.support.docstrings import described, entries, find, referred, sections, text_of
from tests.support.public_api import Name, names, parameters

if importlib.util.find_spec("sqlalchemy") is None:
    pytest.skip("a recipe's module needs sqlalchemy", allow_module_level=True)

NAMES = [name for name in names() if name.kind in ("class", "error", "function", "property")]
# What a recipe wants of a driver's connection, and what a base class from elsewhere documents: no use of one's own.
TOLD_ELSEWHERE = (
    "bufpool.resources.dbapi.Connection",
    "bufpool.resources.dbapi.AsyncConnection",
    "bufpool.resources.http.Connection.",
    "bufpool.resources.http.SecureConnection",
    "bufpool.resources.sqlalchemy.BufpoolPool",
)


def owner_of(name: Name) -> Any:
    """The class of a member, the module of all else."""
    head, _, _ = name.path.rpartition(".")
    return find(head) if head != "bufpool" else bufpool


def module_of(name: Name) -> Any:
    return sys.modules[getattr(name.thing, "__module__", None) or owner_of(name).__module__]


def having(*kinds: str) -> pytest.MarkDecorator:
    chosen = [name for name in NAMES if name.kind in kinds]
    return pytest.mark.parametrize("name", chosen, ids=[name.path for name in chosen])


@having("class", "error", "function", "property")
def test_a_name_has_a_docstring(name: Name) -> None:
    doc = text_of(name.thing)
    if name.kind == "property" and not doc:
        # A field of a compiled class, for which there is no place of its own.
        owner = text_of(owner_of(name))
        assert name.path.rpartition(".")[2] in entries(owner, "Attributes") + entries(owner, "Parameters")
        return
    first = doc.partition("\n\n")[0]
    assert first.endswith((".", "`")), "a docstring begins with a sentence"
    assert "\n" not in first, "a docstring begins with one line"
    assert "Alias for field" not in doc


@having("class", "error", "function", "property")
def test_an_editor_shows_the_docstring(name: Name) -> None:
    """Editors read the stub where there is one: `make api` copies the docstring of compiled code into it."""
    written = [ast.get_docstring(node) for node in name.nodes if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    assert not written or not text_of(name.thing) or text_of(name.thing) in written


@having("function", "class")
def test_every_parameter_is_described_and_no_other(name: Name) -> None:
    doc = text_of(name.thing)
    if fields := getattr(name.thing, "_fields", ()):
        assert tuple(entries(doc, "Attributes")) == fields
        return
    taker = vars(name.thing).get("__init__") if name.kind == "class" else name.thing
    if taker is None or name.path.startswith(TOLD_ELSEWHERE[:4]):
        return
    taken = [] if not callable(taker) or repr(taker).startswith("<slot") else [each.name for each in parameters(taker)]
    own = entries(doc, "Parameters")
    assert set(own) <= set(taken), "described, but not taken"
    assert set(taken) <= described(doc, owner_of(name), module_of(name)), "taken, but not described"
    assert own == [each for each in taken if each in own], "described in another order"


@having("function", "class")
def test_a_name_is_shown_in_use(name: Name) -> None:
    if name.path.startswith(TOLD_ELSEWHERE):
        return
    doc = text_of(name.thing)
    twins = [doc] + [text_of(other) for other in referred(doc.partition("\n")[0], owner_of(name), module_of(name))]
    assert any(">>>" in sections(each).get("Examples", "") for each in twins)


@having("function", "class")
def test_errors_that_are_named_exist(name: Name) -> None:
    for error in entries(text_of(name.thing), "Raises"):
        kind = getattr(builtins, error, None) or find(error)
        assert issubclass(kind, BaseException), error


@having("error")
def test_an_error_says_when_it_comes(name: Name) -> None:
    assert len(text_of(name.thing).split()) >= 6
