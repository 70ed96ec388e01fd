"""What the documentation says is true: its code runs, its examples run, its names exist.

Python blocks of a page run in order and share their names, as a reader would type them; blocks with prompts must also
print what they show. A block that imports what is not here is left out. Commands in consoles are not run: what they
name must exist. Docstrings are collected from Python and compiled modules alike.
"""

from __future__ import annotations

import contextvars
import doctest
import gc
import importlib.util
import inspect
import pkgutil
import re
import shlex
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import bufpool
import bufpool.memory.native
import bufpool.objects.native
import bufpool.resources
from bufpool.cli import make_parser
from tests.support.checkout import ROOT
from tests.support.clients import until
from tests.support.postgres_server import Server
from tests.support.programs import python

in_checkout = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="no documentation here: these tests run beside an installed wheel"
)
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if "_build" not in path.parts
)
OPTIONS = doctest.ELLIPSIS
POOLS, STATS = (bufpool.BufferPool, bufpool.Pool), (bufpool.PoolStats, bufpool.ObjectStats)

# Pages -------------------------------------------------------------------------------------------------------------

RUN = ("python", "pycon")
# Other kinds of blocks: commands; drawings and output.
NOT_RUN = ("console", "text")
# What some pages need and some machines have not: packages without wheels for each build of Python, a server's driver.
OPTIONAL = ("psycopg", "scipy", "skimage", "sqlalchemy", "zstandard")
FENCE = re.compile(r"^```(?P<kind>[a-z]+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block and the line of the page before its first one."""

    kind: str
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    return [
        Block(match["kind"], match["code"], text.count("\n", 0, match.start("code"))) for match in FENCE.finditer(text)
    ]


def missing(block: Block) -> bool:
    """Whether the block imports an optional package that is not here."""
    return any(
        re.search(rf"^(import|from) {name}\b", block.code, re.MULTILINE) and importlib.util.find_spec(name) is None
        for name in OPTIONAL
    )


def run_block(block: Block, page: str, names: dict[str, Any]) -> None:
    if block.kind == "python":
        # Blank lines in front, so that a traceback names the line of the page.
        exec(compile("\n" * block.line + block.code, page, "exec"), names)
    else:
        test = doctest.DocTestParser().get_doctest(block.code, {}, page, page, block.line)
        test.globs = names  # itself, not a copy: the next block knows what this one made
        run_doctest(test)


def run_doctest(test: doctest.DocTest) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    result = runner.run(test, out=report.append, clear_globs=False)
    assert result.attempted, f"{test.name} has no examples"
    assert not result.failed, "".join(report)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def runnable() -> list[str]:
    return [page for page in PAGES if any(block.kind in RUN for block in blocks(read(page)))]


@in_checkout
@pytest.mark.parametrize("page", runnable())
def test_the_code_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    text = read(page)
    if "import resource" in text:
        pytest.importorskip("resource")
    server = "import psycopg" in text and find_server(request, monkeypatch)
    monkeypatch.chdir(tmp_path)
    before = own_threads()

    def follow() -> None:
        names: dict[str, Any] = {"__name__": page}
        for block in blocks(text):
            if block.kind in RUN and not missing(block) and (server or "import psycopg" not in block.code):
                run_block(block, page, names)

    # What a page installs must not reach the next one.
    contextvars.copy_context().run(follow)
    # A server's thread for a request ends when it has answered, which may be a moment later.
    until(lambda: own_threads() <= before, "that the page's threads end")


def own_threads() -> set[threading.Thread]:
    """All but the one that looks after pools, which comes and goes with them."""
    return {thread for thread in threading.enumerate() if thread.name != "bufpool-maintenance"}


def find_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let clients of PostgreSQL find the tests' own server as they do by themselves, by the environment."""
    try:
        server: Server = request.getfixturevalue("postgres")
    except pytest.skip.Exception:
        return False
    monkeypatch.setenv("PGHOST", str(server.folder))
    monkeypatch.setenv("PGUSER", "tester")
    return True


@in_checkout
def test_the_pages_with_code_are_found() -> None:
    expected = {"README.md", "docs/index.md", "docs/tutorial.md", "docs/faq.md", "docs/concepts/memory.md"}
    guides = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/guides").glob("*.md")}
    assert expected | guides - {"docs/guides/index.md"} <= set(runnable())


@in_checkout
@pytest.mark.parametrize("page", PAGES)
def test_code_is_marked_as_code(page: str) -> None:
    """A block is Python that runs, a console, or a drawing or output: nothing else goes untried."""
    for block in blocks(read(page)):
        assert block.kind in (*RUN, *NOT_RUN), f"{page}:{block.line}: a block of {block.kind}"
        if block.kind == "text":
            hidden = re.search(r"^(>>>|\$ |import |from \w+ import |with |def )", block.code, re.MULTILINE)
            assert not hidden, f"{page}:{block.line}: code marked as text"


@in_checkout
@pytest.mark.parametrize("page", PAGES)
def test_named_commands_exist(page: str) -> None:
    text = read(page)
    makefile = read("Makefile")
    for target in re.findall(r"(?:`|\$ )make ([a-z][a-z-]*)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}: make {target}"
    for command in re.findall(r"python -m bufpool ([a-z]+)", text):
        assert command in ("run", "demo"), f"{page}: python -m bufpool {command}"
    known = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    for extras in re.findall(r"(?:bufpool|'\.)\[([\w,]+)\]", text):
        assert set(extras.split(",")) <= set(known), f"{page}: [{extras}]"


@in_checkout
@pytest.mark.parametrize("page", PAGES)
def test_commands_in_consoles_can_be_given(page: str) -> None:
    for block in blocks(read(page)):
        lines = block.code.splitlines() if block.kind == "console" else []
        for line in lines:
            if not line.startswith("$ "):
                continue
            words = shlex.split(line[2:].replace("[args]", ""), comments=True)
            while len(words) > 1 and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words[:3] == ["python", "-m", "bufpool"]:
                make_parser().parse_args(words[3:])  # exits if there is no such command or option
            if words[0] == "bash":
                assert (ROOT / words[1]).is_file(), f"{page}: {line}"


@in_checkout
@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page: str) -> None:
    text = read(page)
    for name in re.findall(r"`((?:docs|examples|src|tests|benchmarks)/[\w./]+)`", text):
        assert (ROOT / name).exists() or "/_build/" in name, f"{page}: {name}"  # made by `make docs`
    for name in re.findall(r"(?<![\w/])([\w/]*test_\w+\.py)\b", text):
        assert (ROOT / name).is_file(), f"{page}: {name}"


@in_checkout
@pytest.mark.parametrize("page", PAGES)
def test_named_attributes_exist(page: str) -> None:
    """`bufpool.x`, `pool.x` and `stats().x` in the text are there."""
    text = read(page)
    for name in re.findall(r"`bufpool\.(\w+)", text):
        assert hasattr(bufpool, name) or importlib.util.find_spec(f"bufpool.{name}"), f"{page}: bufpool.{name}"
    for name in re.findall(r"(?<![-\w.])pool\.(?!py\b)([a-z]\w+)", text):
        assert any(hasattr(kind, name) for kind in POOLS), f"{page}: pool.{name}"
    for name in re.findall(r"\bstats\(\)\.(\w+)", text):
        assert any(hasattr(kind, name) for kind in STATS), f"{page}: stats().{name}"


@in_checkout
def test_architecture_names_every_source_file() -> None:
    text = read("ARCHITECTURE.md")
    package = ROOT / "src" / "bufpool"
    suffixes = (".py", ".pyx", ".pxd", ".hpp", ".cpp")
    files = {
        path.name
        for path in package.rglob("*")
        if path.suffix in suffixes
        and "cli" not in path.relative_to(package).parts
        and not (path.suffix == ".cpp" and path.with_suffix(".pyx").exists())
    }
    assert files
    assert {name for name in files if f"`{name}`" not in text and name != "__main__.py"} == set()
    named = set(re.findall(r"`(_?[a-z_]+\.(?:pyx|pxd|hpp|cpp))`", text))
    assert named - files == set(), "files that do not exist"


# Docstrings ----------------------------------------------------------------------------------------------------------


def modules() -> Iterator[ModuleType]:
    """The package's own modules, the compiled ones and the recipes; the command line has tests of its own."""
    yield bufpool
    wings = (bufpool.memory, bufpool.memory.native, bufpool.objects, bufpool.objects.native)
    for package in (bufpool, *wings, bufpool.resources):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.ispkg and not module.name.endswith((".__main__", ".sqlalchemy")):
                yield importlib.import_module(module.name)


def documented() -> Iterator[tuple[str, str, ModuleType]]:
    """Name, docstring and module of everything with examples.

    `doctest` finds members of compiled classes on some versions of Python and Cython only; this does not depend on it.
    """
    for module in modules():
        if module.__doc__:
            yield module.__name__, module.__doc__, module
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) != module.__name__ or not (inspect.isclass(thing) or callable(thing)):
                continue
            yield f"{module.__name__}.{name}", inspect.getdoc(thing) or "", module
            if inspect.isclass(thing):
                for member, value in vars(thing).items():
                    if isinstance(doc := getattr(value, "__doc__", None), str):
                        yield f"{module.__name__}.{name}.{member}", doc, module


EXAMPLES = {name: (doc, module) for name, doc, module in documented() if ">>>" in doc}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_docstring_run(name: str) -> None:
    doc, module = EXAMPLES[name]
    names = dict(vars(module)) if module.__name__ == "bufpool" else {}
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(doc), names, name, module.__file__, 0)
    contextvars.copy_context().run(run_doctest, test)
    gc.collect()


@in_checkout
@pytest.mark.parametrize(
    "source", sorted((ROOT / "src/bufpool").glob("*/native/*.pyx")), ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)
def test_docstrings_of_compiled_code_are_found(source: Path) -> None:
    """Every docstring with an example in a ``.pyx`` is among those tried, behind the signature that Cython adds."""
    name = f"bufpool.{source.parts[-3]}.native.{source.stem}"
    found = [words(doc) for doc, module in EXAMPLES.values() if module.__name__ == name]
    written = [doc for doc in re.findall(r'"""(.*?)"""', source.read_text(encoding="utf-8"), re.DOTALL) if ">>>" in doc]
    assert [doc for doc in written if not any(words(doc) in each for each in found)] == []
    assert len(found) >= len(written)


def words(text: str) -> str:
    return " ".join(text.split())


# Examples ------------------------------------------------------------------------------------------------------------

SMALL = {
    "frames_in_threads.py": ["--frames", "4", "--size", "60", "80"],
    "socket_receive.py": ["--messages", "3", "--elements", "1000"],
    "bounded.py": ["--tiles", "9", "--tile-bytes", "65536"],
    "unchanged_code.py": ["--size", "60", "--steps", "3"],
    "connections.py": ["--clients", "12", "--requests", "3", "--busy", "0.002", "--patience", "0.004"],
}


@in_checkout
def test_every_example_is_tried() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(SMALL)


@in_checkout
@pytest.mark.parametrize("name", SMALL)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    run_example(name, SMALL[name], tmp_path)


@in_checkout
def test_the_example_of_connections_runs_against_a_server(postgres: Server, tmp_path: Path) -> None:
    told = run_example("connections.py", ["--postgres", postgres.dsn, *SMALL["connections.py"]], tmp_path)
    assert "PostgreSQL" in told


def run_example(name: str, arguments: list[str], folder: Path) -> str:
    """What it prints."""
    done = python(ROOT / "examples" / name, *arguments, env={"PYTHONWARNINGS": "error"}, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return done.stdout
