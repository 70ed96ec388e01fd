"""The command line as a terminal has it: Ctrl-C, a pipe that nobody reads any more, and few columns."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from bufpool import _startup, cli
from tests.support.programs import Programs, environment, python
from tests.support.terminal import COLUMNS, default_sigint, interrupted

DEMO = ["demo", "--frames", "1", "--size", "64x64", "--output", "X.png"]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
needs_demo = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("matplotlib", "PIL", "rich", "scipy", "sklearn")),
    reason="the demo's packages are not here",
)


# Ctrl-C --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@needs_demo
def test_ctrl_c_ends_the_demo_without_a_traceback(tmp_path) -> None:
    arguments = ("-m", "bufpool", "demo", "--frames", "100000", "--size", "64x64", "--output", "X.png")
    assert interrupted(*arguments, cwd=tmp_path, after="bufpool demo") == (130, "bufpool demo: interrupted\n")


# A signal at the import of a module: `sitecustomize` is imported before all of them.
INTERRUPTED_AT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED_AT"]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""


@posix
@pytest.mark.parametrize(
    ("module", "arguments", "command"),
    [
        pytest.param("numpy", DEMO, " demo", marks=needs_demo),
        pytest.param("numpy._core._multiarray_umath", DEMO, " demo", marks=needs_demo),
        ("bufpool.memory.native._arena", ["run", "--help"], " run"),
        ("bufpool.errors", ["demo", "--help"], ""),
        ("bufpool.__main__", ["demo", "--help"], ""),
        ("bufpool.cli", ["demo", "--help"], ""),
        ("argparse", ["demo", "--help"], ""),
        ("bufpool.cli.demo", ["demo", "--help"], " demo"),
    ],
)
@pytest.mark.parametrize("options", [["-m", "bufpool"], ["-Bm", "bufpool"]], ids=" ".join)
def test_ctrl_c_during_an_import_leaves_no_traceback(options, module, arguments, command, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_AT, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    variables = {"INTERRUPTED_AT": module, "PYTHONPATH": path}
    done = python(*options, *arguments, cwd=tmp_path, env=variables, preexec_fn=default_sigint)
    assert (done.returncode, done.stderr) == (130, f"bufpool{command}: interrupted\n")


@posix
def test_ctrl_c_is_left_alone_in_other_programs(tmp_path) -> None:
    """Also in one that Python runs with ``-m``, and that imports the package; and in what `run` runs."""
    package = tmp_path / "program"
    package.mkdir()
    (package / "__init__.py").write_text("import bufpool", encoding="utf-8")
    (package / "__main__.py").write_text(
        "import signal; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler", encoding="utf-8"
    )
    for options in (["-m", "program"], ["-m", "bufpool", "run", "-m", "program"]):
        done = python(*options, cwd=tmp_path, preexec_fn=default_sigint)
        assert (done.returncode, done.stderr) == (0, "")


# A full device -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (["demo", "--help"], False),  # without a buffer argparse itself passes over the error
        pytest.param(DEMO, False, marks=needs_demo),
        pytest.param(DEMO, True, marks=needs_demo),
    ],
    ids=str,
)
def test_a_full_device_ends_a_command_with_one_line(arguments, unbuffered, tmp_path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        variables = {"PYTHONUNBUFFERED": "1" if unbuffered else ""}
        done = python("-m", "bufpool", *arguments, cwd=tmp_path, env=variables, stdout=full)
    line = f"bufpool {arguments[0]}: [Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}\n"
    assert (done.returncode, done.stderr) == (1, line)


# A closed pipe -------------------------------------------------------------------------------------------------------


def into_a_closed_pipe(folder: Path, *arguments: str, unbuffered: bool = False) -> subprocess.CompletedProcess[str]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        variables = {"PYTHONUNBUFFERED": "1" if unbuffered else ""}
        return python(*arguments, cwd=folder, env=variables, stdout=writer)
    finally:
        os.close(writer)


@posix
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["run", "--help"], ["demo", "--help"], pytest.param(DEMO, marks=needs_demo)],
    ids=" ".join,
)
def test_a_closed_pipe_ends_a_command_quietly(arguments, tmp_path) -> None:
    done = into_a_closed_pipe(tmp_path, "-m", "bufpool", *arguments)
    assert (done.returncode, done.stderr) == (141, "")


@posix
@pytest.mark.parametrize(("arguments", "status"), [pytest.param(DEMO, 141, marks=needs_demo), (["--help"], 0)], ids=str)
def test_so_does_an_output_without_a_buffer(arguments, status, tmp_path) -> None:
    """Where each write fails at once: argparse itself passes over that."""
    done = into_a_closed_pipe(tmp_path, "-m", "bufpool", *arguments, unbuffered=True)
    assert (done.returncode, done.stderr) == (status, "")


@posix
def test_the_pipe_of_a_program_under_run_is_its_own(tmp_path) -> None:
    script = Programs(tmp_path).write("script.py", "print('words')")
    plain = into_a_closed_pipe(tmp_path, script)
    pooled = into_a_closed_pipe(tmp_path, "-m", "bufpool", "run", script)
    assert (pooled.returncode, pooled.stderr) == (plain.returncode, plain.stderr)
    assert plain.returncode == 120


# Few columns ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_fits(command, narrow, capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main([*filter(None, [command]), "--help"])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= COLUMNS
    if command:
        # What it does, before its options.
        what = out.partition("\n\n")[2].partition("\n\noptions:")[0].partition("\n\npositional")[0]
        assert len(what.split()) > 12


def test_paragraphs_of_a_help_fill_their_lines(narrow, capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    paragraphs = capsys.readouterr().out.partition("\n\n")[2].partition("\n\npositional")[0].split("\n\n")
    assert [paragraph.split()[0] for paragraph in paragraphs] == ["Run", "The", "NumPy", "Other"]
    for paragraph in paragraphs:
        # Each line but the last has no room for the next one's first word.
        lines = paragraph.splitlines()
        assert all(len(line) + 1 + len(after.split()[0]) > COLUMNS - 2 for line, after in pairwise(lines))


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["-m", "bufpool", "demo"], "bufpool"),
        (["-I", "-W", "error", "-Xdev", "-m", "bufpool"], "bufpool"),
        (["-Im", "bufpool"], "bufpool"),
        (["-m", "other", "-m", "bufpool"], "other"),
        (["script.py", "-m", "bufpool"], None),
        (["-m"], None),
        ([], None),
    ],
)
def test_only_pythons_own_option_makes_it_the_command_line(words: list[str], module: str | None) -> None:
    """Another program may have an option ``-m``, and its Ctrl-C is its own."""
    assert _startup._module(words) == module
