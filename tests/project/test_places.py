"""Nothing depends on where the checkout, the environment or the temporary folder is, nor on what they are called."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import bufpool
from tests.support.checkout import ROOT, git
from tests.support.programs import beside_places, python
from tests.verify.cpp_programs import CPP, LACKS_COMPILER, LACKS_LIBRARY, NoSanitizerError, build, preloaded, run
from tests.verify.sanitizers import Build

PACKAGE = Path(bufpool.__file__).parent
ODD = "a b/Prüfung/bufpool"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD of Linux")
compiles = pytest.mark.skipif(bool(LACKS_COMPILER), reason=LACKS_COMPILER)


# The suite, elsewhere ------------------------------------------------------------------------------------------------

# Some of each way to depend on a place: stacks, tracebacks, child processes, preloaded libraries, the pages.
ELSEWHERE = (
    "project/test_building.py::test_without_an_address_the_description_is_the_readme",
    "objects/test_async.py::test_a_trace_names_the_task_and_the_place",
    "project/test_links.py",
    "memory/test_no_memory.py::test_a_system_call_fails",
    "objects/test_leaks.py::test_who_has_an_object_too_long_is_told_once",
    "resources/test_workers.py::test_a_process_is_prepared_once_and_serves_again",
    "cli/test_run.py",
    "cli/test_run_pool.py::test_multiprocessing_works",
    "project/test_words.py",
    "benchmarks/test_workers.py::test_a_worker_reports_its_exceptions_and_goes_on",
)
# Spaces, other letters than ASCII, and longer than the first line of a script and the name of a socket may be.
ANY_NAME = f"a b/Prüfung/{'lang' * 32}/bufpool"


def suite(folder: Path, tests: Path, temporary: Path, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the chosen files on the package that `folder` has."""
    temporary.mkdir(parents=True)
    variables = {
        "PYTHONPATH": str(folder / "installed"),
        "TMPDIR": str(temporary),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(temporary / "hypothesis"),
    }
    command = [*before, sys.executable, "-m", "pytest", *ELSEWHERE]
    env = os.environ | variables
    return subprocess.run(command, cwd=tests, env=env, capture_output=True, text=True, timeout=600, check=False)


def planted(folder: Path) -> Path:
    """The package as it is installed, and all that the suite reads of the checkout."""
    skipped = shutil.ignore_patterns("__pycache__", "_build", "*.so", "*.egg-info")
    for name in ("tests", "docs", "src", "tools", "benchmarks", "examples", ".github"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy2(path, folder)
    shutil.copytree(PACKAGE, folder / "installed" / "bufpool", ignore=shutil.ignore_patterns("__pycache__"))
    for described in PACKAGE.parent.glob("bufpool-*.dist-info"):
        shutil.copytree(described, folder / "installed" / described.name)
    return folder


def passed(done: subprocess.CompletedProcess[str], package: Path) -> None:
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert " passed" in done.stdout
    header = next(line for line in done.stdout.splitlines() if line.startswith("bufpool "))
    assert f"from {package};" in header


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="names of folders as POSIX has them")
def test_the_suite_passes_in_folders_of_any_name(tmp_path: Path) -> None:
    folder = planted(tmp_path / ANY_NAME)
    done = suite(folder, folder / "tests", tmp_path / "tmp" / ANY_NAME)
    passed(done, folder / "installed" / "bufpool")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="symbolic links and modes")
def test_the_suite_passes_on_linked_read_only_sources(tmp_path: Path) -> None:
    folder = planted(tmp_path / "real" / "bufpool")
    link, temporary = tmp_path / "link", tmp_path / "tmp"
    link.symlink_to(folder, target_is_directory=True)
    temporary.mkdir()
    (tmp_path / "tmp link").symlink_to(temporary, target_is_directory=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    done = suite(link, link / "tests", tmp_path / "tmp link" / "here", as_others())
    passed(done, link / "installed" / "bufpool")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")} == before


def as_others() -> tuple[str, ...]:
    """What to put before a command so that root cannot write what is read-only; nothing for anybody else."""
    if os.getuid() or shutil.which("setpriv") is None:
        return ()
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def test_what_is_said_beside_places() -> None:
    own = PACKAGE / "objects" / "pool.py"
    said = f"{sys.executable}: no file {ROOT / 'tests' / 'x.py'} in {os.path.realpath(sys.prefix)}; {own}"
    assert beside_places(said) == f"…: no file …{os.sep}x.py in …; …{os.sep}bufpool{os.sep}objects{os.sep}pool.py"


# Names in variables that have a grammar of their own -----------------------------------------------------------------


@linux
@compiles
@pytest.mark.parametrize("name", ["plain", "a b/Prüfung"])
def test_a_library_is_preloaded_from_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    source = tmp_path / "loaded.cpp"
    source.write_text('extern "C" int bufpool_is_loaded() { return 7; }\n', encoding="utf-8")
    folder = tmp_path / name
    folder.mkdir(parents=True)
    library = build(source, folder / "libloaded.so", flags=["-shared", "-fPIC"])
    program = "import ctypes; print(ctypes.CDLL(None).bufpool_is_loaded())"
    done = python("-c", program, env=preloaded(str(library)))
    assert (done.stdout, done.stderr) == ("7\n", "")


@linux
@compiles
def test_reports_of_sanitizers_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    """Where the checks look for them: an unread report would be a check that cannot fail."""
    folder = tmp_path / ODD
    folder.mkdir(parents=True)
    source = folder / "wrong.cpp"
    source.write_text("int main() { int *a = new int[1]; delete[] a; return *(int *volatile &)a; }\n", "utf-8")
    flags = ["-fsanitize=address", "-Wno-use-after-free"]
    try:
        program = build(source, folder / "wrong", flags=flags)
    except NoSanitizerError as error:
        pytest.skip(str(error))
    variables = Build(folder, "address").environment(folder / "report")
    done = subprocess.run(
        [str(program)], env=os.environ | {"ASAN_OPTIONS": variables["ASAN_OPTIONS"]}, capture_output=True, check=False
    )
    (report,) = folder.glob("report.*")
    assert "ERROR: AddressSanitizer" in report.read_text(encoding="utf-8"), done.stderr


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        ("/usr/bin/ld: cannot find -ltsan: No such file or directory", True),
        ("/usr/bin/ld: cannot find /usr/lib64/libasan.so.8.0.0: No such file or directory", True),
        ("ld: cannot find /usr/lib/clang/14/lib/linux/libclang_rt.tsan-x86_64.a: No such file or directory", True),
        ("/usr/bin/ld: cannot find /home/susan/lib/work.o: No such file or directory", False),
        ("/home/susan/bufpool/x.cpp:1: error: cannot find it", False),
    ],
)
def test_a_compiler_without_sanitizers_is_recognized(said: str, lacks: bool) -> None:
    assert bool(LACKS_LIBRARY.search(said)) is lacks


@compiles
def test_core_programs_compile_in_any_folder(tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir(parents=True)
    program = build(CPP / "freelist_ladder.cpp", folder / "ladder")
    assert run(program, 10).returncode == 0


# The Makefile --------------------------------------------------------------------------------------------------------

# Does the least that each recipe needs of a program: environments have programs like this one, and answers.
STAND_IN = """\
#!/bin/bash
printf '%s\\n' "$0" >>"$LOG"
case "$*" in
    "-m venv "*)
        folder="${!#}"
        mkdir -p "$folder/bin"
        for name in python codespell check-jsonschema zizmor cibuildwheel cython-lint pyright meson ninja; do
            cp "$0" "$folder/bin/$name"
        done ;;
    *tools/pythons.py*) echo "3.99 $0" ;;
    *verifytypes*) echo score ;;
esac
"""
UNTRIED = {"help", "clean"}  # no program is run; what is made here is needed


def targets() -> list[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8") if (ROOT / "Makefile").exists() else ".PHONY:"
    phony = next(line for line in text.splitlines() if line.startswith(".PHONY:"))
    return sorted(set(phony.split()[1:]) - UNTRIED)


@pytest.mark.skipif(shutil.which("make") is None or not (ROOT / "Makefile").exists(), reason="no make, or no Makefile")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="runs the tools of Linux")
def test_each_target_runs_in_a_folder_of_any_name(tmp_path: Path) -> None:
    """And with an interpreter that lies in such a folder: what is not quoted in a recipe falls apart there."""
    folder = tmp_path / ODD
    (folder / "tests" / "verify" / "numpy_suite").mkdir(parents=True)
    (folder / "tools").mkdir()
    packaged = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
    for name in ("Makefile", "tests/verify/numpy_suite/run", *packaged):
        shutil.copy2(ROOT / name, folder / name)
    (folder / "src" / "bufpool" / "_core").mkdir(parents=True)
    (folder / "tools" / "wheels.txt").touch()
    shutil.copytree(ROOT / ".github", folder / ".github")
    git(folder, "init", "--quiet")
    interpreter = tmp_path / "an interpreter" / "python"
    interpreter.parent.mkdir()
    interpreter.write_text(STAND_IN, encoding="utf-8")
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
    log, temporary = tmp_path / "log", tmp_path / "t m p"
    temporary.mkdir()
    tried = targets()
    assert {"test", "bench", "matrix", "lint", "docs", "numpy-suite"} <= set(tried)
    ours = ("MAKE", "MFLAGS", "BUFPOOL", "ARGS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    for target in tried:
        log.unlink(missing_ok=True)
        done = subprocess.run(
            ["make", target, f"PYTHON={interpreter}", "VERSION=1.2.3"],
            cwd=folder,
            env=env | {"LOG": str(log), "TMPDIR": str(temporary)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (target, done.stdout, done.stderr)
        # Whatever ran was the interpreter, or a program of an environment in that folder.
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        started = {Path(line) for line in lines}
        assert started or target == "setup"  # for which the targets before have left nothing to do
        assert all(
            path == interpreter or (folder / path).is_relative_to(folder / ".venv") or ".venvs" in path.parts
            for path in started
        ), (target, started)
