"""The extension built with a sanitizer, programs run under it, and what its reports say of us."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.checkout import ROOT
from tests.verify.copies import writable
from tests.verify.cpp_programs import SANITIZERS, SOURCES

#: Extensions are compiled by what compiled the interpreter, if nothing else is asked for.
CXX = (os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "g++").split()[0]

#: Whether threads run at once, and whether ThreadSanitizer watches the interpreter itself.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
INSTRUMENTED = "-fsanitize=thread" in (sysconfig.get_config_var("PY_CFLAGS") or "")

#: What must be in the process from the start; AddressSanitizer wants to find the C++ library's `throw` at once, too.
LIBRARIES = {"address": ("libasan.so", "libstdc++.so"), "thread": ("libtsan.so",)}


def library(name: str) -> str:
    """Where the compiler keeps a library; "" if it has none."""
    found = subprocess.run([CXX, f"-print-file-name={name}"], capture_output=True, text=True, check=False)
    path = Path(found.stdout.strip())
    return str(path.resolve()) if path.is_absolute() and path.exists() else ""


def lacks(sanitizer: str) -> str:
    """What this machine lacks for it, in words."""
    if sys.platform != "linux":
        return "the sanitizer's library is put in front of the interpreter as Linux does it"
    if not (SOURCES / "memory/core/arena.cpp").exists():
        return "the core's sources are in the checkout alone"
    if any(importlib.util.find_spec(name) is None for name in ("Cython", "setuptools")):
        return "there is no Cython, or no setuptools, to build with"
    if shutil.which(CXX) is None:
        return f"there is no {CXX}"
    if INSTRUMENTED:
        return "" if sanitizer == "thread" else "this interpreter is built with ThreadSanitizer"
    missing = [name for name in LIBRARIES[sanitizer] if not library(name)]
    return f"{CXX} has no {missing[0]}" if missing else ""


class Build:
    """The package compiled with a sanitizer, from a copy of the sources.

    It is the debug build, so that reports name lines and Cython checks its indices.

    Parameters
    ----------
    folder : Path
        Of the copy; builds that differ in sanitizer or macros may share it, and what Cython made.
    sanitizer : str
        "address" or "thread".
    macros : sequence of str
        Defined for the whole build.
    """

    def __init__(self, folder: Path, sanitizer: str, macros: Sequence[str] = ()) -> None:
        self.folder = folder
        self.sanitizer = sanitizer
        self.macros = macros
        self.home = folder / "-".join(("lib", sanitizer, *macros))

    def make(self) -> None:
        """Compile what is not compiled yet."""
        if not (self.folder / "setup.py").exists():
            self.folder.mkdir(exist_ok=True)
            for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(ROOT / name, self.folder)
            unwanted = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
            shutil.copytree(ROOT / "src", self.folder / "src", ignore=unwanted)
            writable(self.folder)
        # There are no virtual functions, nor the types at run time that a check of them would need.
        without = ("-fno-sanitize=vptr",) if self.sanitizer == "address" else ()
        flags = " ".join((*SANITIZERS[self.sanitizer], *without))
        variables = {"BUFPOOL_DEBUG": "1", "CFLAGS": flags, "CXXFLAGS": flags, "LDFLAGS": flags}
        # What an instrumented interpreter has to report while it compiles is no affair of ours.
        variables["TSAN_OPTIONS"] = "report_bugs=0"
        if INSTRUMENTED:
            variables["PYTHON_CPU_COUNT"] = "1"  # it does not survive the fork of Cython's helpers
        objects = self.home.with_name(self.home.name.replace("lib", "objects", 1))
        command = [sys.executable, "setup.py", "--quiet", "build_py", f"--build-lib={self.home}"]
        command += ["build_ext", f"--build-lib={self.home}", f"--build-temp={objects}"]
        command += [f"--define={','.join(self.macros)}"] if self.macros else []
        built = subprocess.run(
            command, cwd=self.folder, env=os.environ | variables, capture_output=True, text=True, check=False
        )
        if built.returncode != 0:
            raise RuntimeError(f"the build for {self.sanitizer} fails:\n{built.stdout}{built.stderr}")

    def seeded(self, folder: Path, file: str, what: str, instead: str) -> Build:
        """A copy with an error in a file of the package; `make` compiles only what depends on that file."""
        shutil.copytree(self.folder, folder)
        source = folder / "src" / "bufpool" / file
        text = source.read_text(encoding="utf-8")
        assert text.count(what) == 1, (file, what)
        source.write_text(text.replace(what, instead), encoding="utf-8")
        return Build(folder, self.sanitizer, self.macros)

    def modules(self) -> list[str]:
        """Names of the compiled files, as a frame of ours bears one."""
        return [path.name for path in self.home.glob("bufpool/*/native/*.so")]

    def environment(self, reports: Path) -> dict[str, str]:
        """For a program under the sanitizer, and for all that it starts."""
        log = f"log_path='{reports}'"  # quoted: options end at spaces, commas and colons
        common = f"{log}:exitcode=0"
        # Deep enough for a frame of ours below those of the interpreter.
        thread = f"{common}:halt_on_error=0:history_size=4"
        # Outside an instrumented interpreter CPython's own locks are not seen unless the C library takes part in them,
        # as it does in the GIL.
        thread += f":ignore_noninstrumented_modules={int(FREE_THREADED and not INSTRUMENTED)}"
        # Unwinding needs tables, because the interpreter keeps no frame pointers. Without a GIL objects stand in memory
        # that LeakSanitizer does not search for pointers, so that all they hold would be called lost.
        leaks = "detect_leaks=0" if FREE_THREADED else "detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=12"
        variables = {
            "PYTHONPATH": os.pathsep.join((str(self.home), str(ROOT))),
            "TSAN_OPTIONS": thread,
            "ASAN_OPTIONS": f"{common}:{leaks}",
            "UBSAN_OPTIONS": f"{log}:print_stacktrace=1",
        }
        if not INSTRUMENTED:
            variables["LD_PRELOAD"] = " ".join(library(name) for name in LIBRARIES[self.sanitizer])
        if not FREE_THREADED:
            variables["PYTHONMALLOC"] = "malloc"  # each object is an allocation that the sanitizer knows
        return variables


class Ran:
    """A program that ran under a build's sanitizer.

    Attributes
    ----------
    status : int
        As it ended; -1: it did not end in time.
    output : str
        All that it said.
    reports : list of str
        What the sanitizer reported of us.
    foreign : int
        Reports of others: the interpreter's, NumPy's.
    """

    def __init__(self, build: Build, *command: object, seconds: float) -> None:
        # Older run-time libraries cannot stand the wider choice of addresses of newer kernels.
        fixed = ["setarch", "-R"] if _succeeds("setarch", "-R", "true") else []
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | build.environment(Path(folder) / "report")
            with (Path(folder) / "output").open("w+", errors="replace") as output:
                try:
                    self.status = subprocess.run(
                        [*fixed, sys.executable, *map(str, command)],
                        cwd=ROOT / "tests", env=environment, stdout=output, stderr=output, timeout=seconds, check=False,
                    ).returncode  # fmt: skip
                except subprocess.TimeoutExpired:
                    self.status = -1
                output.seek(0)
                self.output = output.read()
            reports = [
                report
                for path in sorted(Path(folder).glob("report.*"))
                for report in divided(path.read_text(encoding="utf-8", errors="replace"))
            ]
        modules = build.modules()
        self.reports = [report for report in reports if is_ours(report, modules)]
        self.foreign = len(reports) - len(self.reports)

    def violations(self, ended_well: re.Pattern[str]) -> tuple[str, ...]:
        """The reports, one of a kind, and how the program ended if that was not well."""
        kinds = {_kind(report): report for report in reversed(self.reports)}
        if self.status == 0 and ended_well.search(self.output):
            return tuple(kinds.values())
        ended = "did not end" if self.status == -1 else f"ended with status {self.status}"
        return (*kinds.values(), f"the program {ended}:\n{self.output[-4000:]}")


def divided(log: str) -> list[str]:
    """The reports in a sanitizer's log."""
    ends = (r"^=+$", r"^(?=(?:Direct|Indirect) leak of )", r"^(?=SUMMARY: AddressSanitizer: \d+ byte)")
    pieces = re.split("|".join(ends), log, flags=re.MULTILINE)
    heads = ("WARNING: ThreadSanitizer:", "ERROR: AddressSanitizer:", "runtime error:", " leak of ")
    return [piece.strip() for piece in pieces if any(head in piece for head in heads)]


def is_ours(report: str, modules: Sequence[str]) -> bool:
    """Whether it counts: an error of memory always, a leak or a race with a frame of ours where it happened."""
    if "ThreadSanitizer" not in report and " leak of " not in report:
        return True
    if "traceback_new Modules/_tracemalloc.c" in report:
        return False  # what tracemalloc notes of an allocation, whoever makes that
    if "_dl_deallocate_tls" in report:
        return False  # the C library frees what a thread that ended had for itself; the sanitizer sees no order there
    # Who made the threads, or the memory, took no part in a race.
    apart = ("Thread T", "Location is", "Mutex ", "As if synchronized")
    stacks = [part for part in report.split("\n\n") if not part.strip().startswith(apart)]
    sources = r"\bbufpool/(?:_core|\w+/core|\w+/native)/"
    ours = re.compile("|".join((sources, *(re.escape(f"{name}+0x") for name in modules))))
    return any(ours.search(stack) for stack in stacks)


def _kind(report: str) -> str:
    summary = re.search(r"^SUMMARY: .*", report, re.MULTILINE)
    return summary[0] if summary else report


def _succeeds(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
