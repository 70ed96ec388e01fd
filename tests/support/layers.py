"""The layers of ``src/bufpool``, and a reader of imports that finds every one that points the wrong way.

The table ``LAYERS`` is the picture in ARCHITECTURE.md in a form that a machine can hold against the sources. Imports
are read from the text of Python, Cython and C++ files, those inside functions and under ``TYPE_CHECKING`` included;
nothing is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from os.path import normpath
from pathlib import Path
from typing import NamedTuple


class Layer(NamedTuple):
    """Files that lie together, and the layers that they may use besides their own.

    The rows go from the bottom to the top: a file may use those of its own row and of the rows below it. A module's
    .pxd, .pyi, header and source lie in one row: one pattern names them all.
    """

    uses: frozenset[str]
    rows: tuple[tuple[str, ...], ...]


def layer(uses: str, *rows: str) -> Layer:
    return Layer(frozenset(filter(None, uses.split(", "))), tuple(tuple(row.split()) for row in rows))


# Two wings, memory and objects, over what both stand on. Neither wing uses the other.
LAYERS: dict[str, Layer] = {
    "core": layer(
        "",
        "_core/__init__.pxd _core/atomics.* _core/clock.* _core/os_memory.* _core/size_classes.* _core/thread_end.*",
        "_core/freelist.*",
        "_core/waiter_queue.*",
    ),
    # Compiled code raises these errors, so they lie below it and know nothing of the package.
    "shared": layer(
        "",
        "errors.* _version.* _typing.* _words.* _tables.* _startup.* _subinterpreters.* _counts.* _pending_calls.*",
        "_validate.*",
    ),
    "memory core": layer(
        "core",
        "memory/core/__init__.pxd memory/core/libc_malloc.*",
        "memory/core/counters.* memory/core/thread_cache.* memory/core/recent_peak.*",
        "memory/core/page_heap* memory/core/page_map.* memory/core/slab.* memory/core/limit_queue.*",
        "memory/core/arena.* memory/core/arena_* memory/core/limit_wait.* memory/core/maintenance.*",
    ),
    "memory native": layer("core, memory core, shared", "memory/native/*"),
    "memory": layer(
        "memory native, shared",
        "memory/stats.* memory/decorate.* memory/sizes.* memory/container.* memory/conf.*",
        "memory/buffer_pool.* memory/registry.* memory/__init__.py",
    ),
    "objects core": layer(
        "core",
        "objects/core/__init__.pxd objects/core/object_table.* objects/core/idle_objects.*",
        "objects/core/object_pool.*",
    ),
    "objects native": layer("core, objects core, shared", "objects/native/*"),
    # From what callbacks run in to what a pool says of itself.
    "objects": layer(
        "objects native, shared",
        "objects/settings.* objects/maintenance_thread.*",
        "objects/workers.*",
        "objects/runtimes.* objects/tracing.*",
        "objects/callbacks.* objects/refusals.*",
        "objects/creation.* objects/orders.*",
        "objects/engine.*",
        "objects/maintenance.* objects/stats.*",
        "objects/advice.*",
        "objects/__init__.py objects/pool.* objects/async_pool.*",
    ),
    "resources": layer("objects, shared", "resources/*"),
    "public names": layer("memory, memory native, objects, objects native, shared, resources", "__init__.*"),
    "command line": layer("public names, memory, resources, shared", "cli/* __main__.*"),
}
STANDS_ALONE = tuple(
    f"{name}.py"
    for name in (
        "errors",
        "_version",
        "_typing",
        "_words",
        "_startup",
        "_subinterpreters",
        "_counts",
        "_pending_calls",
    )
)

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
        if path.suffix in PYTHON + CYTHON + CPP and not (path.suffix == ".cpp" and path.with_suffix(".pyx").exists())
    )


def python_statements(text: str) -> Iterator[Statement]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Statement(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            yield Statement(node.lineno, "." * node.level + (node.module or ""), tuple(a.name for a in node.names))


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
            tokens[3:4] if tokens[:3] == ["cdef", "extern", "from"] else tokens[1:2] if tokens[0] == "include" else []
        )
        for token in named:
            if token[0] in "\"'":
                yield line, token.strip("\"'<>")
    # C++ that stands in a string of the file.
    for match in re.finditer(r"^[ \t]*#include\s*[<\"](bufpool/[^>\"]+)[>\"]", text, re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match[1]


def cpp_headers(text: str) -> Iterator[tuple[int, str]]:
    # Comments become blank lines, so that line numbers stay right.
    code = re.sub(r"//[^\n]*|/\*.*?\*/", lambda match: "\n" * match.group().count("\n"), text, flags=re.DOTALL)
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
    beside = normpath(Path(source).parent / header).replace("\\", "/")
    return next((path for path in (beside, header.removeprefix("bufpool/")) if path in known), None)


# Judging -------------------------------------------------------------------------------------------------------------


def places(path: str) -> list[tuple[str, int]]:
    """The layer and the row of a file: one, in a sound tree."""
    return [
        (name, row)
        for name, layer in LAYERS.items()
        for row, patterns in enumerate(layer.rows)
        if any(fnmatchcase(path, pattern) for pattern in patterns)
    ]


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
            (user, row), (used, used_row) = above[0], below[0]
            if user != used:
                if used not in LAYERS[user].uses:
                    found.append(f"{here}: in layer {user!r}, imports {arrow.target} of layer {used!r}")
            elif used_row > row:
                found.append(f"{here}: imports {arrow.target} of a row above it in layer {user!r}")
            elif used_row == row:
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
    """Traces of Python or NumPy in the cores, which must work without either and without the GIL."""
    found: list[str] = []
    for path in sources(package):
        if Path(path).parent.name not in ("_core", "core"):
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
