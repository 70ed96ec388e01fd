"""The command line as a terminal has it: Ctrl-C, a pipe that nobody reads any more, and few columns."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from programs import Programs, environment

from bufpool import _startup, cli
from bufpool.cli.bench import rows
from bufpool.cli.bench.checks import Check, Result, at_most, speed
from bufpool.cli.bench.parts import Row
from bufpool.cli.bench.report import Report, cells
from bufpool.cli.bench.worker import Worker

COLUMNS = 60
posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
needs_demo = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("matplotlib", "PIL", "rich", "scipy", "sklearn")),
    reason="the demo's packages are not here",
)
LONG = {  # runs of minutes, and what they print when the measuring begins
    "bench": (["--row", "scratch", "--rounds", "100000"], "scratch: "),
    "demo": (["--frames", "100000", "--size", "64x64", "--output", "X.png"], "bufpool demo"),
}
of_each = pytest.mark.parametrize("command", ["bench", pytest.param("demo", marks=needs_demo)])


# Ctrl-C --------------------------------------------------------------------------------------------------------------


def descendants(process: int) -> list[int]:
    """All processes below one, from Linux's own lists; the nearest first."""
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        found += [int(word) for word in children.read_text(encoding="ascii").split()]
    return found + [below for child in found for below in descendants(child)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@of_each
def test_ctrl_c_ends_a_run_at_once_and_without_a_traceback(command, tmp_path) -> None:
    options, began = LONG[command]
    process = subprocess.Popen(
        [sys.executable, "-m", "bufpool", command, *options],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the suite itself runs in the background, SIGINT may be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for line in process.stdout:
        if began in line:
            break
    deadline = time.monotonic() + 60
    while not (workers := descendants(process.pid)):
        assert time.monotonic() < deadline, "it measures in processes of their own"
    time.sleep(1)  # in the middle of it: imports, or samples
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    stopped = time.monotonic()
    _, shown = process.communicate(timeout=60)
    assert (process.returncode, shown) == (130, f"bufpool {command}: interrupted\n")
    assert time.monotonic() - stopped < 20
    assert [worker for worker in workers if Path(f"/proc/{worker}").exists()] == []


@posix
def test_ctrl_c_reaches_the_parent_alone_and_it_waits_for_no_measurement() -> None:
    began = time.monotonic()
    worker = Worker()
    worker.ready()
    assert os.getpgid(worker._process.pid) == worker._process.pid != os.getpgid(0)
    worker.send(do="probe", name="waste", count=10**8)  # for minutes
    with pytest.raises(KeyboardInterrupt), worker:
        raise KeyboardInterrupt
    assert worker._process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 20


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
    ("module", "command"),
    [
        ("numpy", " bench"),
        ("numpy._core._multiarray_umath", " bench"),
        ("bufpool.memory.native._arena", " run"),
        ("bufpool.errors", ""),
        ("bufpool.__main__", ""),
        ("bufpool.cli", ""),
        ("argparse", ""),
        ("bufpool.cli.bench", " bench"),
        ("bufpool.cli.bench.rows", " bench"),
    ],
)
@pytest.mark.parametrize("options", [["-m", "bufpool"], ["-Bm", "bufpool"]], ids=" ".join)
def test_ctrl_c_during_an_import_leaves_no_traceback(options, module, command, tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_AT, encoding="utf-8")
    found = environment()
    arguments = ["run", "--help"] if command == " run" else ["bench", "--list"]
    done = subprocess.run(
        [sys.executable, *options, *arguments],
        env=found | {"INTERRUPTED_AT": module, "PYTHONPATH": os.pathsep.join([str(tmp_path), found["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
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
        done = subprocess.run(
            [sys.executable, *options],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert (done.returncode, done.stderr) == (0, "")


# A full device -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", [True, False], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["bench", "--list"],
        ["bench", "--quick", "--row", "waste"],
        pytest.param(["demo", "--size", "64x64", "--output", "X.png"], marks=needs_demo),
    ],
    ids=" ".join,
)
def test_a_full_device_ends_a_command_with_one_line(arguments, unbuffered, tmp_path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bufpool", *arguments],
            cwd=tmp_path,
            env=environment() | {"PYTHONUNBUFFERED": "1" if unbuffered else ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    line = f"bufpool {arguments[0]}: [Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}\n"
    assert (done.returncode, done.stderr) == (1, line)


# A closed pipe -------------------------------------------------------------------------------------------------------


def into_a_closed_pipe(
    folder: Path, *arguments: str, unbuffered: bool = False
) -> subprocess.CompletedProcess[str]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment() | {"PYTHONUNBUFFERED": "1" if unbuffered else ""},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)


@posix
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["bench", "--help"],
        ["bench", "--list"],
        ["bench", "--quick", "--row", "waste"],
        pytest.param(["demo", "--size", "64x64", "--output", "X.png"], marks=needs_demo),
    ],
    ids=" ".join,
)
def test_a_closed_pipe_ends_a_command_quietly(arguments, tmp_path) -> None:
    done = into_a_closed_pipe(tmp_path, "-m", "bufpool", *arguments)
    assert (done.returncode, done.stderr) == (141, "")


@posix
@pytest.mark.parametrize(("arguments", "status"), [(["bench", "--list"], 141), (["--help"], 0)], ids=str)
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


def test_the_paragraphs_of_a_help_stay_apart_and_fill_their_lines(narrow, capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    paragraphs = capsys.readouterr().out.partition("\n\n")[2].partition("\n\npositional")[0].split("\n\n")
    assert [paragraph.split()[0] for paragraph in paragraphs] == ["Run", "The", "NumPy", "Other"]
    for paragraph in paragraphs:
        # Each line but the last has no room for the next one's first word.
        lines = paragraph.splitlines()
        assert all(
            len(line) + 1 + len(after.split()[0]) > COLUMNS - 2 for line, after in pairwise(lines)
        )


def squeezed(text: str) -> str:
    return " ".join(text.split())


def results() -> Iterator[tuple[Row, Result]]:
    """Every line of the table, with long figures; then those that cannot be measured."""
    for row in rows.ROWS:
        for check in row.checks:
            yield row, Result(check, 123.4e-6, 234.5e-6, 1234.567, 0.00123, 98765.4)
            yield row, Result(check, note="not installed: a_package (pip install bufpool[bench])")
            yield row, Result(check, note="failed: worker on the default allocator reported:\nTraceback\nValueError: x")


def test_results_of_the_bench_fit_and_lose_nothing(narrow, capsys) -> None:
    report = Report()
    for row, result in results():
        report.results([result])
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= COLUMNS, (row.id, out)
        said = squeezed(out)
        for cell in cells(result):
            assert cell == "-" or squeezed(cell) in said, (row.id, cell, out)


def test_the_rest_of_the_bench_fits(narrow, capsys) -> None:
    report = Report()
    report.head()
    report.listing(rows.ROWS)
    report.left_out([f"{size} MiB" for size in range(40)])
    check = Check("16 MiB", "pool", "plain", speed(1.0))
    report.tail([Result(check, figure=figure) for figure in (0.5, 1.5)])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= COLUMNS
    said = squeezed(out)
    assert all(squeezed(f"{row.id}: {row.words}") in said for row in rows.ROWS)
    assert said.endswith("1 bound holds, 1 does NOT, 0 could not be measured.")


@pytest.mark.parametrize("columns", [COLUMNS, 80, 500])
def test_progress_stays_on_one_line(columns, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Report().progress("words " * 100)
    shown = re.sub(r"\033\[K|\r", "", capsys.readouterr().err)
    assert 50 < len(shown) < min(columns, 101)


def test_a_wide_terminal_has_the_table(monkeypatch, capsys) -> None:
    check = Check("16 MiB", "pool", "plain", speed(1.0))
    for columns in ("128", ""):  # not known: a file, a pipe
        monkeypatch.setenv("COLUMNS", columns)
        Report().results([Result(check, 1e-6, 2e-6, 2.0, 1.9, 2.1), Result(Check("x", "pool", "", at_most(1, "s")))])
        first, second = capsys.readouterr().out.splitlines()
        assert squeezed(first) == "16 MiB 1 us plain 2 us 2.000x 1.9 .. 2.1 speed >= 1.00x yes"
        assert second.startswith("  x  ")


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["-m", "bufpool", "bench"], "bufpool"),
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
