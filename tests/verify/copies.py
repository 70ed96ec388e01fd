"""Copies of the core and of the package: one file at a time is changed, and what depends on it is built again."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.checkout import ROOT
from tests.verify.bug import Bug, Ladder, Suite, TableError
from tests.verify.cpp_programs import (
    COMPILER,
    CORES,
    CPP,
    LACKS_LIBRARY,
    SANITIZERS,
    SOURCES,
    NoSanitizerError,
    core_files,
)

#: The module that the sources of the cores are linked into.
LINKED_WITH_CORES = "memory/native/_arena"

SANITIZER_OPTIONS = {"TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=0"}


class Ran(NamedTuple):
    """How a program ended.

    Attributes
    ----------
    status : int or None
        Its exit status; None if it was not over in time.
    said : str
        All that it printed.
    seconds : float
        What it took.
    """

    status: int | None
    said: str
    seconds: float


def run_within(
    command: list[str], seconds: float, *, folder: Path | None = None, env: dict[str, str] | None = None
) -> Ran:
    """Run a program for so long at most. Its children end with it."""
    began = time.monotonic()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=folder,
        env=os.environ | (env or {}),
        start_new_session=True,
    ) as process:
        status: int | None
        try:
            said, _ = process.communicate(timeout=seconds)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            status = None
    return Ran(status, said, time.monotonic() - began)


def writable(folder: Path) -> Path:
    """Let a copy be changed: it has the modes of its sources, and these may be read-only."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return folder


class CoreCopy:
    """The core's files and the programs around them; an object file is made once for each state of its sources."""

    def __init__(self, folder: Path, like: CoreCopy | None = None) -> None:
        self.folder = folder
        self.package = folder / "bufpool"
        self.objects = folder / "objects"
        if like is not None:
            shutil.copytree(like.folder, folder)
            return
        for core in CORES:
            shutil.copytree(SOURCES / core, self.package / core, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(CPP, folder / "programs")
        self.objects.mkdir()
        writable(folder)

    @contextmanager
    def with_bug(self, bug: Bug) -> Iterator[None]:
        """Change the file for as long as this lasts."""
        path = self.package / bug.file
        before = path.read_text(encoding="utf-8")
        path.write_text(bug.seeded(before), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")

    def run(self, what: Ladder, seconds: float) -> Ran:
        """Compile the program and run it. Raises `TableError` if that cannot be done."""
        program = self.objects / what.program
        flags = ["-std=c++17", "-O1", "-g", "-pthread", *SANITIZERS[what.sanitizer]]
        sources = [self.folder / "programs" / f"{what.program}.cpp", *core_files(self.package, ".cpp")]
        with ThreadPoolExecutor(2) as compilers:
            objects = list(compilers.map(lambda source: self._compiled(source, flags), sources))
        self._compiler([*flags, *map(str, objects), "-o", str(program)])
        return run_within([str(program), str(what.rounds)], seconds, env=SANITIZER_OPTIONS)

    def _compiled(self, source: Path, flags: list[str]) -> Path:
        headers = sorted({*core_files(self.package, ".hpp"), *source.parent.glob("*.hpp")})
        state = hashlib.sha256(repr((source.name, flags)).encode())
        for each in (source, *headers):
            state.update(each.read_bytes())
        compiled = self.objects / f"{state.hexdigest()}.o"
        if not compiled.exists():
            self._compiler([*flags, f"-I{self.folder}", "-c", str(source), "-o", str(compiled)])
        return compiled

    def _compiler(self, arguments: list[str]) -> None:
        status, said, _ = run_within([str(COMPILER), *arguments], 300)
        if LACKS_LIBRARY.search(said):
            raise NoSanitizerError("the compiler has no run-time library for a sanitizer")
        if status != 0:
            raise TableError(f"it does not compile:\n{said}")


class PackageCopy:
    """The package and its tests. Modules are built in place, only those whose own source was changed."""

    def __init__(self, folder: Path, like: PackageCopy | None = None) -> None:
        self.folder = folder.resolve()
        self.package = self.folder / "src" / "bufpool"
        if like is not None:
            shutil.copytree(like.folder, folder)  # with what it has built, however old that was in the checkout
            return
        passing = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=passing)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy2(ROOT / name, folder)
        # What is built already is used, as far as it is no older than its sources.
        for built in (*ROOT.glob("build/*/cython"), *ROOT.glob("build/*/lib.*")):
            shutil.copytree(built, folder / built.relative_to(ROOT))
        writable(folder)
        self._build()

    @contextmanager
    def with_bug(self, bug: Bug) -> Iterator[None]:
        """Change the file, and the module that it is part of, for as long as this lasts."""
        path = self.package / bug.file
        if path.suffix in (".hpp", ".pxd"):
            raise TableError("all modules depend on a header: a ladder should notice what is wrong in it")
        in_core = path.relative_to(self.package).parent.as_posix() in CORES
        module = self.package / LINKED_WITH_CORES if in_core else path.with_suffix("")
        changing = [path]
        if path.suffix != ".py":
            within = module.relative_to(self.package.parent)
            # In place, and where it was built: from there it is put in place again with every build.
            changing += module.parent.glob(f"{module.name}.*.so")
            changing += (self.folder / "build").glob(f"*/lib.*/{within}.*.so")
            changing += (self.folder / "build").glob(f"*/cython/*/src/{within}.cpp")
        with tempfile.TemporaryDirectory() as kept:
            for number, each in enumerate(changing):
                shutil.copy2(each, Path(kept) / str(number))
            try:
                path.write_text(bug.seeded(path.read_text(encoding="utf-8")), encoding="utf-8")
                if path.suffix != ".py":
                    self._build()
                yield
            finally:
                for number, each in enumerate(changing):
                    shutil.copy2(Path(kept) / str(number), each)

    def run(self, what: Suite, seconds: float) -> Ran:
        """Run the tests."""
        command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *what.tests.split()]
        # No bytecode: two states of one file may have the same size and time.
        env = {"PYTHONPATH": str(self.folder / "src"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
        ran = run_within(command, seconds, folder=self.folder / "tests", env=env)
        if f"from {self.package};" not in ran.said:
            raise TableError(f"the tests did not begin, or not on the copy:\n{ran.said}")
        return ran

    def _build(self) -> None:
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        status, said, _ = run_within(command, 900, folder=self.folder)
        if status != 0:
            raise TableError(f"it does not compile:\n{said}")
