"""The layers of ``src/bufpool``, and a reader of imports that finds every one that points upward.

The table ``LAYERS`` is the picture in ARCHITECTURE.md in a form that a machine can hold against the sources. Imports
are read from the text of Python, Cython and C++ files, those inside functions and under ``TYPE_CHECKING`` included;
nothing is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

# From the bottom to the top. A module's .pxd, .pyi, header and source lie in one layer: one pattern names them all.
LAYERS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0, ("core/__init__.pxd", *(f"core/{name}.*" for name in ("atomics", "os_memory", "size_classes", "thread_end")))),
    (0, ("core/libc_malloc.*",)),
    (1, ("core/freelist.*", "core/counters.*", "core/magazine.*", "core/recent_peak.*")),
    (2, ("core/page_heap*", "core/page_map.*", "core/slab.*", "core/object_table.*", "core/idle_objects.*")),
    (2, ("core/waiter_queue.*", "core/limit_queue.*")),
    (3, ("core/arena.*", "core/arena_*", "core/limit_wait.*", "core/maintenance.*", "core/object_pool.*")),
    # Compiled code raises these errors, so they lie below it and know nothing of the package.
    (3.5, ("errors.*", "_version.*", "_typing.*", "_words.*", "_startup.*")),
    (4, ("native/*",)),
    (5, ("_tables.*", "stats.*", "decorate.*", "settings.*", "_sizes.*", "_container.*", "_conf.*")),
    # The pool of objects, from what its callbacks run in to what it says of itself.
    (5.1, tuple(f"objects/{name}.*" for name in ("ports", "tracing", "log", "settings"))),
    (5.1, ("objects/maintenance_thread.*", "objects/loops.*")),
    (5.2, ("objects/lifecycle.*",)),
    (5.3, ("objects/manager.*", "objects/advice.*")),
    (5.4, ("objects/readings.*",)),
    (6, ("buffer_pool.*", "registry.*", "objects/__init__.*", "objects/pool.*", "objects/async_pool.*")),
    (6.5, ("__init__.*",)),
    (7, ("cli/*", "__main__.*", "resources/*")),
)
STANDS_ALONE = ("errors.py", "_version.py", "_typing.py", "_words.py", "_startup.py")

PYTHON, CYTHON, CPP = (".py", ".pyi"), (".pyx", ".pxd"), (".hpp", ".cpp")


class Arrow(NamedTuple):
    """``source``, a path in the package, imports ``target``, a path too or the name that led nowhere."""

    source: str
    line: int
    target: str
    found: bool


class Statement(NamedTuple):
    """One import as written: ``from module import names``, where ``names`` is empty for a plain ``import``."""

    line: int
    module: str
    names: tuple[str, ...] = ()


# Reading -------------------------------------------------------------------------------------------------------------


def sources(package: Path) -> list[str]:
    """Paths of the package's source files, without what Cython made from a module of the same name."""
    return sorted(
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.suffix in PYTHON + CYTHON + CPP
        and not (path.suffix == ".cpp" and path.with_suffix(".pyx").exists())
    )


def python_statements(text: str) -> Iterator[Statement]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Statement(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            yield Statement(
                node.lineno, "." * node.level + (node.module or ""), tuple(a.name for a in node.names)
            )


CYTHON_TOKEN = re.compile(
    r"""(?P<skip>\#[^\n]*|\\\n|[ \t\f]+)
      | (?P<string>[A-Za-z]{0,2}(?:\"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3}
                                 | "(?:\\.|[^\\"\n])*" | '(?:\\.|[^\\'\n])*'))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<end>\n|;|:)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


def cython_clauses(text: str) -> Iterator[tuple[int, list[str]]]:
    """Tokens between one line end, ``;`` or ``:`` and the next, brackets joined; enough to find every import."""
    tokens: list[str] = []
    line = start = 1
    depth = 0
    for match in CYTHON_TOKEN.finditer(text):
        token, kind = match.group(), match.lastgroup
        if kind == "end" and depth == 0:
            if tokens:
                yield start, tokens
            tokens = []
        elif kind not in ("skip", "end"):
            start = start if tokens else line
            tokens.append(token)
            depth = max(0, depth + (token in "([{") - (token in ")]}"))
        line += token.count("\n")
    if tokens:
        yield start, tokens


def cython_statements(text: str) -> Iterator[Statement]:
    for line, tokens in cython_clauses(text):
        word = next((token for token in tokens if token in ("import", "cimport")), "")
        if tokens[0] == "from" and word:
            at = tokens.index(word)
            yield Statement(line, "".join(tokens[1:at]), tuple(_first_words(tokens[at + 1 :])))
        elif tokens[0] in ("import", "cimport"):
            for module in _first_words(tokens[1:]):
                yield Statement(line, module)


def _first_words(tokens: list[str]) -> Iterator[str]:
    """The dotted names of ``a.b as c, (d, e)``: what is imported, without what it is called here."""
    for item in " ".join(token for token in tokens if token not in "()").split(","):
        name = item.split(" as ")[0].replace(" ", "")
        if name:
            yield name


def cython_headers(text: str) -> Iterator[tuple[int, str]]:
    """Files named by ``cdef extern from "file"`` and ``include "file"``."""
    for line, tokens in cython_clauses(text):
        named = (
            tokens[3:4]
            if tokens[:3] == ["cdef", "extern", "from"]
            else tokens[1:2]
            if tokens[0] == "include"
            else []
        )
        for token in named:
            if token[0] in "\"'":
                yield line, token.strip("\"'<>")


def cpp_headers(text: str) -> Iterator[tuple[int, str]]:
    # Comments become blank lines, so that line numbers stay right.
    code = re.sub(
        r"//[^\n]*|/\*.*?\*/", lambda match: "\n" * match.group().count("\n"), text, flags=re.DOTALL
    )
    for number, line in enumerate(code.split("\n"), 1):
        if match := re.match(r"\s*#\s*include\s*[<\"]([^>\"]+)[>\"]", line):
            yield number, match.group(1)


# Resolving -----------------------------------------------------------------------------------------------------------


def arrows(package: Path) -> list[Arrow]:
    """Every import of one of the package's files by another."""
    files = sources(package)
    known = set(files)
    found: list[Arrow] = []
    for source in files:
        text = (package / source).read_text(encoding="utf-8")
        suffix = Path(source).suffix
        if suffix in PYTHON + CYTHON:
            for statement in (python_statements if suffix in PYTHON else cython_statements)(text):
                for target, exists in _module_targets(source, statement, known):
                    found.append(Arrow(source, statement.line, target, exists))
        if suffix in CYTHON + CPP:
            for line, header in (cython_headers if suffix in CYTHON else cpp_headers)(text):
                path = _header_target(source, header, known)
                if path or header.startswith("bufpool/"):
                    found.append(Arrow(source, line, path or header, bool(path)))
    return sorted({arrow for arrow in found if arrow.target != arrow.source})


def _module_targets(source: str, statement: Statement, known: set[str]) -> Iterator[tuple[str, bool]]:
    module = statement.module
    level = len(module) - len(module.lstrip("."))
    if level:
        folders = ["bufpool", *Path(source).parts[:-1]]
        module = ".".join([*folders[: len(folders) - level + 1], *filter(None, [module.lstrip(".")])])
    if module != "bufpool" and not module.startswith("bufpool."):
        return
    own = _module_file(module, known)
    for name in statement.names or ("",):
        target = (_module_file(f"{module}.{name}", known) if name else None) or own
        yield target or f"{module}.{name}".rstrip("."), bool(target)


def _module_file(module: str, known: set[str]) -> str | None:
    path = "/".join(module.split(".")[1:])
    names = (f"{path}{suffix}" for suffix in PYTHON[:1] + CYTHON + PYTHON[1:])
    packages = (f"{path}/__init__{suffix}".lstrip("/") for suffix in (".py", ".pxd"))
    return next((name for name in (*names, *packages) if name in known), None)


def _header_target(source: str, header: str, known: set[str]) -> str | None:
    beside = (Path(source).parent / header).as_posix()
    return next(
        (path for path in (beside, header.removeprefix("bufpool/"), f"core/{header}") if path in known), None
    )


# Judging -------------------------------------------------------------------------------------------------------------


def places(path: str) -> list[float]:
    return [layer for layer, patterns in LAYERS for pattern in patterns if fnmatchcase(path, pattern)]


def faults(package: Path) -> list[str]:
    """What is wrong with the package's layers, in words; nothing for a sound tree."""
    found = [f"{path}: in {len(places(path))} layers" for path in sources(package) if len(places(path)) != 1]
    level: dict[str, set[tuple[str, str]]] = {}
    for arrow in arrows(package):
        here = f"{arrow.source}:{arrow.line}"
        if not arrow.found:
            found.append(f"{here}: imports {arrow.target}, which no file here provides")
            continue
        if arrow.source in STANDS_ALONE:
            found.append(f"{here}: imports {arrow.target}, but must stand alone")
        below, above = places(arrow.target), places(arrow.source)
        if len(below) == len(above) == 1:
            if below > above:
                found.append(f"{here}: in layer {above[0]:g}, imports {arrow.target} of layer {below[0]:g}")
            elif below == above:
                units = (_unit(arrow.source), _unit(arrow.target))
                level.setdefault(units[0], set()).add(units)
    return found + cycles({unit: {target for _, target in pairs} - {unit} for unit, pairs in level.items()})


def _unit(path: str) -> str:
    """What can be in a cycle: a module with all its files, but each C++ file by itself, as the compiler sees it."""
    return path if path.endswith(CPP) else Path(path).with_suffix("").as_posix()


def cycles(graph: dict[str, set[str]]) -> list[str]:
    """One line for each cycle that a depth-first walk meets."""
    found: list[str] = []
    done: set[str] = set()

    def walk(unit: str, trail: tuple[str, ...]) -> None:
        if unit in trail:
            found.append("a cycle: " + " -> ".join((*trail[trail.index(unit) :], unit)))
        elif unit not in done:
            for target in sorted(graph.get(unit, ())):
                walk(target, (*trail, unit))
            done.add(unit)

    for unit in sorted(graph):
        walk(unit, ())
    return found


def python_in_core(package: Path) -> list[str]:
    """Traces of Python or NumPy in the core, which must work without either and without the GIL."""
    found: list[str] = []
    for path in sources(package):
        if not path.startswith("core/"):
            continue
        text = (package / path).read_text(encoding="utf-8")
        if Path(path).suffix in CPP:
            found += [
                f"{path}:{n}: includes {name}"
                for n, name in cpp_headers(text)
                if re.match(r"Python\.h|numpy/|structmember", name)
            ]
            code = re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\\\"\n])*\"", "", text, flags=re.DOTALL)
            found += [f"{path}: names {name}" for name in sorted(set(re.findall(r"\b_?Py[A-Z_]\w*", code)))]
        elif Path(path).suffix in CYTHON:
            found += [
                f"{path}:{line}: names {token}"
                for line, tokens in cython_clauses(text)
                for token in tokens
                if token in ("object", "cpython", "numpy") or re.match(r"_?Py[A-Z_]", token)
            ]
        else:
            found.append(f"{path}: is Python")
    return found
