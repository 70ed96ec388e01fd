"""The benchmarks use the public names of bufpool, as users do, and are not installed with it."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import bufpool
from tests.support.checkout import ROOT

FILES = sorted((ROOT / "benchmarks").rglob("*.py"))

#: Folders of the package that are not underscored and not public either.
INTERNAL = {"cli", "core", "native"}


def private_names(source: str) -> Iterator[str]:
    """Internal modules and names of bufpool that a program imports or reaches from `bufpool`.

    The C++ program of `benchmarks/scaling` is no part of this: it measures the core, which Python cannot see.
    """
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]  # of a module that is found by its name
        for name in names:
            package, *parts = name.replace(":", ".").split(".")
            special = all(part.startswith("__") and part.endswith("__") for part in parts)
            private = any(part.startswith("_") or part in INTERNAL for part in parts)
            if package == "bufpool" and private and not special:
                yield name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import bufpool", []),
        ("from bufpool.resources import dbapi", []),
        ("bufpool.__version__", []),
        ("from bufpool._words import plural", ["bufpool._words.plural"]),
        ("from bufpool import BufferPool, _words", ["bufpool._words"]),
        ("import bufpool.native._arena", ["bufpool.native._arena"]),
        ("def f():\n    from bufpool.cli import main", ["bufpool.cli.main"]),
        ("bufpool._sizes.text(1)", ["bufpool._sizes.text", "bufpool._sizes"]),
        ("resolve_name('bufpool.core:x')", ["bufpool.core:x"]),
    ],
)
def test_a_private_name_is_found(source, found):
    assert list(private_names(source)) == found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_benchmark_uses_a_private_name(path):
    assert list(private_names(path.read_text(encoding="utf-8"))) == []


def test_benchmarks_are_not_installed():
    package = Path(bufpool.__file__).parent
    assert (package / "cli" / "__init__.py").exists()
    assert list(package.rglob("*bench*")) == []
    assert [str(file) for file in metadata.files("bufpool") or () if "bench" in str(file)] == []


def test_the_extras_name_the_contenders():
    """Every package that a contender needs is in `bench` or `peers`, and nothing else is in `peers`."""
    from benchmarks.page.figures import packages

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    bench, peers = ({entry.partition(">")[0].lower() for entry in extras[name]} for name in ("bench", "peers"))
    needed = {name.lower() for name in packages()}
    assert needed <= bench | peers
    assert peers <= needed
    assert not bench & peers
