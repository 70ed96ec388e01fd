"""What the installed package writes of a name, in its stub where there is one, else in its source: parsed, never run.

That is what type checkers read, and the same text under every Python.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(module: str) -> ast.Module:
    """The module, parsed."""
    spec = find_spec(module)
    assert spec is not None, module
    assert spec.origin is not None, module
    # A compiled module's file is called name.cpython-313-….so.
    path = Path(spec.origin)
    stub = path.with_name(path.name.partition(".")[0] + ".pyi")
    return ast.parse((stub if stub.exists() else path).read_text(encoding="utf-8"))


def ours(module: str) -> bool:
    return module.partition(".")[0] == "bufpool"


def called(node: ast.stmt) -> str:
    """What a statement defines; nothing if it defines nothing."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else ""


def defined(body: list[ast.stmt], name: str) -> list[ast.stmt]:
    """All its definitions there: several if it has overloads. Another name for something has those of that."""
    found = [node for node in body if called(node) == name]
    if len(found) == 1 and isinstance(found[0], ast.Assign) and isinstance(found[0].value, ast.Name):
        return defined(body, found[0].value.id)
    return found


# Where things are written --------------------------------------------------------------------------------------------


def of_module(module: str, name: str) -> list[ast.stmt]:
    return defined(tree(module).body, name) if ours(module) else []


def bodies(owner: type) -> Iterator[list[ast.stmt]]:
    """Of the class and of those of its bases that are ours."""
    for base in owner.__mro__:
        for node in of_module(base.__module__, base.__qualname__):
            if isinstance(node, ast.ClassDef):
                yield node.body


def members(owner: type) -> set[str]:
    return {called(node) for body in bodies(owner) for node in body} - {""}


def of_member(owner: type, name: str) -> list[ast.stmt]:
    """In the first of its classes that has it."""
    return next(filter(None, (defined(body, name) for body in bodies(owner))), [])


def instance_attributes(owner: type) -> dict[str, list[ast.stmt]]:
    """The public ones, which ``__init__`` sets; each with the statement that says its type, if one does."""
    found: dict[str, list[ast.stmt]] = {}
    for init in of_member(owner, "__init__"):
        for node in ast.walk(init):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for each in targets:
                if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "self":
                    found[each.attr] = [node] if isinstance(node, ast.AnnAssign) else []
    return {name: nodes for name, nodes in found.items() if not name.startswith("_")}


def read_for(things: Iterable[Any]) -> set[str]:
    """The modules in which these classes and functions are written, and the one whose words they share."""
    owners = [base for each in things for base in getattr(each, "__mro__", (each,))]
    named = {getattr(each, "__module__", None) or "" for each in owners}
    return {module for module in named if ours(module)} | {"bufpool._typing"}


# What is written -----------------------------------------------------------------------------------------------------


class Text(str):
    """Shown as it is written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def text(node: ast.expr | None) -> Any:
    return inspect.Parameter.empty if node is None else Text(ast.unparse(node))


def functions(nodes: list[ast.stmt]) -> list[Function]:
    return [node for node in nodes if isinstance(node, FUNCTIONS)]


def is_decorated(nodes: list[ast.stmt], word: str) -> bool:
    return any(ast.unparse(each) == word for node in nodes for each in getattr(node, "decorator_list", ()))


def is_overload(node: Function) -> bool:
    return is_decorated([node], "overload")


def is_awaited(nodes: list[ast.stmt]) -> bool:
    return any(isinstance(node, ast.AsyncFunctionDef) for node in nodes)


def parameters(node: Function) -> list[inspect.Parameter]:
    """Of a function, with annotations and defaults as they are written."""
    given, kind = node.args, inspect.Parameter
    positional = [*given.posonlyargs, *given.args]
    defaults = [*[None] * (len(positional) - len(given.defaults)), *given.defaults]
    rows: list[tuple[ast.arg | None, Any, ast.expr | None]] = [
        *(
            (each, kind.POSITIONAL_ONLY if each in given.posonlyargs else kind.POSITIONAL_OR_KEYWORD, default)
            for each, default in zip(positional, defaults, strict=True)
        ),
        (given.vararg, kind.VAR_POSITIONAL, None),
        *(
            (each, kind.KEYWORD_ONLY, default)
            for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        ),
        (given.kwarg, kind.VAR_KEYWORD, None),
    ]
    return [
        inspect.Parameter(each.arg, of_kind, default=text(default), annotation=text(each.annotation))
        for each, of_kind, default in rows
        if each is not None
    ]


def annotations(nodes: list[ast.stmt]) -> dict[str, Any]:
    """Of the parameters by name, and of the result as ``return``; those of overloads are apart."""
    found: dict[str, Any] = {}
    for node in functions(nodes):
        if not is_overload(node):
            found |= {each.name: each.annotation for each in parameters(node)}
            found["return"] = text(node.returns)
    return found


def type_of(nodes: list[ast.stmt]) -> str:
    """Of a property, an attribute, a field."""
    for node in nodes:
        kind = node.annotation if isinstance(node, ast.AnnAssign) else getattr(node, "returns", None)
        if kind is not None:
            return f": {ast.unparse(kind)}"
    return ""


def generic(nodes: list[ast.stmt]) -> str:
    """The bases of a class that have types in brackets, those types alone."""
    bases = [base for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases]
    found = {ast.unparse(base.slice): None for base in bases if isinstance(base, ast.Subscript)}
    return f"[{', '.join(found)}]" if found else ""


def type_words(module: str) -> Iterator[tuple[str, str]]:
    """Type variables and aliases of a module, and what each means."""
    for node in tree(module).body:
        meaning = ast.unparse(node.value) if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value else ""
        is_alias = isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias"
        if is_alias or meaning.startswith(("TypeVar(", "ParamSpec(")):
            yield called(node), meaning
