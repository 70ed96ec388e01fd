"""Copies the docstrings of compiled code into the stubs beside it.

An editor shows the docstring that it finds in the stub, and does not look into the compiled module.

    python -m tests.support.stub_docstrings        # renews the stubs in src; `make api` does it
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module

from tests.support.checkout import ROOT
from tests.support.docstrings import text_of
from tests.support.public_api import names

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def definitions(tree: ast.Module) -> dict[str, Definition]:
    """The classes and functions of a stub and the members of its classes, by qualified name; of overloads the first."""
    found: dict[str, Definition] = {}
    for node in tree.body:
        if isinstance(node, Definition):
            found.setdefault(node.name, node)
        for member in getattr(node, "body", ()):
            if isinstance(member, Definition) and isinstance(node, ast.ClassDef):
                found.setdefault(f"{node.name}.{member.name}", member)
    return found


def public() -> dict[int, str]:
    """Docstrings of the public classes, functions and properties, by the identity of what has them."""
    return {
        id(name.thing): text_of(name.thing)
        for name in names()
        if name.kind in ("class", "function", "property") and text_of(name.thing)
    }


def wanted(module: str, stub: str, docstrings: Mapping[int, str]) -> dict[str, str]:
    """The docstrings that a module's stub must have, by qualified name."""
    found: dict[str, str] = {}
    for name in definitions(ast.parse(stub)):
        thing = import_module(module)
        for part in name.split("."):
            thing = vars(thing).get(part)
        if id(thing) in docstrings:
            found[name] = docstrings[id(thing)]
    return found


def literal(docstring: str, indent: str) -> list[str]:
    first, *rest = docstring.splitlines()
    lines = [f'{"r" if chr(92) in docstring else ""}"""{first}', *rest]
    if rest:
        lines.append('"""')
    else:
        lines[0] += '"""'
    return [f"{indent}{line}" if line else "" for line in lines]


def renewed(stub: str, docstrings: Mapping[str, str]) -> str:
    """Return the stub with these docstrings, laid out as `ruff format` does."""
    lines = stub.splitlines()
    found = definitions(ast.parse(stub))
    for name in sorted(docstrings, key=lambda name: found[name].lineno, reverse=True):
        node = found[name]
        first = node.body[0]
        new = literal(docstrings[name], " " * (node.col_offset + 4))
        if ast.get_docstring(node) is not None:
            lines[first.lineno - 1 : first.end_lineno] = new
        elif isinstance(node, ast.ClassDef):
            start = min([first.lineno, *[each.lineno for each in getattr(first, "decorator_list", ())]])
            lines[start - 1 : start - 1] = [*new, ""]
        else:  # "..." at the end of the line
            lines[first.lineno - 1 : first.end_lineno] = [
                lines[first.lineno - 1][: first.col_offset].rstrip(),
                *new,
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    found = public()
    for path in (ROOT / "src").rglob("*.pyi"):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        path.write_text(renewed(text, wanted(module, text, found)), encoding="utf-8")
