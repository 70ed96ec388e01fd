"""The core for every system that wheels are made for: compiled by zig's clang without a warning; run if it can be.

``make portable`` runs it. Programs for Windows run under Wine, those for Linux on aarch64 under qemu-user; neither is a
proof about the real thing, and both have found what a compiler alone does not see.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tests.verify.check import Check, Found
from tests.verify.cpp_programs import CPP, SOURCES, core_files, said

LACKS_ZIG = "" if importlib.util.find_spec("ziglang") else "ziglang is not installed"
LACKS_SOURCES = "" if (SOURCES / "memory/core/arena.cpp").exists() else "the core's sources are in the checkout alone"

#: What Cython made of the modules, in the build that is tested.
TRANSLATED = SOURCES.parents[1] / "build" / "release" / "cython" / "src" / "bufpool"

#: Where zig keeps what it made: the C libraries of all systems, among others.
CACHE = SOURCES.parents[1] / "build" / "zig"

SYSTEMS = {
    "Linux on x86-64, glibc": "x86_64-linux-gnu",
    "Linux on x86-64, musl": "x86_64-linux-musl",
    "Linux on aarch64, glibc": "aarch64-linux-gnu",
    "Linux on aarch64, musl": "aarch64-linux-musl",
    "macOS on x86-64": "x86_64-macos",
    "macOS on arm64": "aarch64-macos",
    "Windows on x86-64": "x86_64-windows-gnu",
    "Windows on arm64": "aarch64-windows-gnu",
}
INCLUDES = (f"-I{SOURCES.parent}",)
#: zig itself adds arguments that clang then does not use.
FLAGS = ("-std=c++17", "-O1", "-fno-exceptions", "-fno-rtti", "-Wno-unused-command-line-argument")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
#: Helpers of a .pxd stand in every module that imports it, and Cython's coroutines copy what they never set.
MODULE_WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-uninitialized")

#: Rounds of each program under an emulator, which is some ten times as slow.
ROUNDS = {
    "freelist_ladder": 100_000,
    "object_pool_ladder": 12_000,
    "arena_ladder": 12_000,
    "arena_rules": 600,
    "arena_life": 60,
    "arena_readings": 600,
}
#: What runs them: the system, the names under which its emulator is known.
EMULATORS = {
    "Linux on aarch64, musl": ("qemu-aarch64", "qemu-aarch64-static"),
    "Windows on x86-64": ("wine64", "wine", "/usr/lib/wine/wine64"),
}


def zig(system: str, *arguments: str | Path, cwd: str) -> str:
    """Compile for a system, in a folder. Gives what the compiler said, nothing if it was content."""
    command = [sys.executable, "-m", "ziglang", "c++", "-target", SYSTEMS[system], *FLAGS, *map(str, arguments)]
    cache = {name: str(CACHE) for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    env = {**os.environ, **cache}
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return run.stderr.strip() or (f"exit status {run.returncode}" if run.returncode else "")


def compile_each(system: str, files: Sequence[Path], *flags: str) -> tuple[str, ...]:
    """One after the other: zig makes one object of one file. Gives what it said of each, where it said something."""
    with tempfile.TemporaryDirectory() as folder:
        heard = [(path, zig(system, *flags, *INCLUDES, "-c", path, "-o", "it.o", cwd=folder)) for path in files]
    return tuple(f"{path.name}: {said_}" for path, said_ in heard if said_)


def compile_core(system: str) -> Found:
    """Each source, and all headers; that each header stands on its own is what ``make lint`` looks at."""
    headers, sources = core_files(SOURCES, ".hpp"), core_files(SOURCES, ".cpp")
    with tempfile.TemporaryDirectory() as folder:
        together = Path(folder, "headers.cpp")
        lines = [f'#include "{path.relative_to(SOURCES.parent).as_posix()}"\n' for path in headers]
        together.write_text("".join(lines), encoding="utf-8")
        trouble = compile_each(system, (together, *sources), *WARNINGS)
    return Found(f"{len(sources)} sources, {len(headers)} headers", trouble)


def compile_modules(system: str) -> Found:
    """What Cython made of the modules, beside this machine's Python headers: those of any 64-bit Unix."""
    paths = sysconfig.get_paths()
    headers = [f"-isystem{folder}" for folder in (paths["include"], paths["platinclude"], np.get_include())]
    numpy_api = [f"-D{name}=NPY_2_0_API_VERSION" for name in ("NPY_NO_DEPRECATED_API", "NPY_TARGET_VERSION")]
    files = sorted(TRANSLATED.glob("*/native/*.cpp"))
    with tempfile.TemporaryDirectory() as folder:
        if "macOS" in system:
            # NumPy's headers, as installed here, ask for a header that has another name there.
            Path(folder, "endian.h").write_text("#include <machine/endian.h>\n", encoding="utf-8")
        trouble = compile_each(system, files, *MODULE_WARNINGS, *headers, f"-isystem{folder}", *numpy_api)
    return Found(f"{len(files)} modules", trouble)


def emulator(system: str) -> str | None:
    """The program that runs the system's programs here."""
    return next(filter(None, map(shutil.which, EMULATORS[system])), None)


def run_elsewhere(system: str, name: str, rounds: int) -> Found:
    """A program of ``tests/verify/core``, linked with all that it needs, under the emulator."""
    sources = core_files(SOURCES, ".cpp") if name.startswith("arena") else []
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / f"{name}.exe"
        program_flags = ("-fexceptions", "-frtti", "-static")
        source = CPP / f"{name}.cpp"
        trouble = zig(system, *program_flags, *INCLUDES, source, *sources, "-o", program, cwd=folder)
        if not program.exists():
            return Found("does not compile", (trouble,))
        # Wine keeps a system of its own, made anew here.
        quiet = {**os.environ, "WINEPREFIX": str(Path(folder) / "wine"), "WINEDEBUG": "-all"}
        command = [str(emulator(system)), str(program), str(rounds)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=quiet)
    clean = re.fullmatch(r"(\d+) operations, 0 violations\s*", ran.stdout)
    if ran.returncode != 0 or clean is None:
        return Found("stopped at the first", (said(ran),))
    return Found(f"{int(clean[1]):,} operations")


def needs(*lacks: str) -> str:
    """The first thing that is lacking."""
    return next(filter(None, lacks), "")


def checks(full: bool) -> Iterator[Check]:
    """Compiled for every system; at full length also run. The first time zig makes each C++ library, for minutes."""
    for system in SYSTEMS:
        yield Check(f"portable: core, {system}", partial(compile_core, system), needs(LACKS_ZIG, LACKS_SOURCES))
    if not full:
        return
    lacks_modules = (
        "" if list(TRANSLATED.glob("*/native/*.cpp")) else "this build's translated modules are not in the checkout"
    )
    for system in SYSTEMS:
        if "Windows" in system:
            # Python's headers ask pyconfig.h, which is another one there, and comes with Python for Windows alone.
            continue
        yield Check(f"portable: modules, {system}", partial(compile_modules, system), needs(LACKS_ZIG, lacks_modules))
    for system, names in EMULATORS.items():
        lacks = "" if emulator(system) else f"there is no {names[0]}"
        for name, rounds in ROUNDS.items():
            run = partial(run_elsewhere, system, name, rounds)
            yield Check(f"portable: {name}, {system}", run, needs(LACKS_ZIG, LACKS_SOURCES, lacks))
