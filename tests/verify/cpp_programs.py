"""C++ programs around the core: its files compiled as they stand, with or without a sanitizer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bufpool
from tests.support.checkout import ROOT

#: The C++ programs that try the cores.
CPP = Path(__file__).resolve().with_name("core")
#: Headers come from the package that is tested; the cores' sources are in the checkout alone.
HEADERS = Path(bufpool.__file__).parent
SOURCES = ROOT / "src" / "bufpool"
#: The folders of the package that hold C++ alone.
CORES = ("_core", "memory/core", "objects/core")
COMPILER = shutil.which("g++") or shutil.which("clang++")

LACKS_COMPILER = "" if COMPILER is not None and sys.platform != "win32" else "there is neither g++ nor clang++"

SANITIZERS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "thread": ("-fsanitize=thread",),
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}


#: What a linker says that has no run-time library of a sanitizer; a folder's name may have the same letters.
LACKS_LIBRARY = re.compile(r"cannot find .*?(?:/lib|-l|/libclang_rt\.)(?:a|t|ub)san")


def core_files(package: Path, suffix: str) -> list[Path]:
    """The files of the cores, in order."""
    return [path for core in CORES for path in sorted((package / core).glob(f"*{suffix}"))]


class NoSanitizerError(Exception):
    """The compiler knows the sanitizer but has no library for it."""


def build(
    program: Path, to: Path, *, headers: Path = HEADERS, sources: Sequence[Path] = (), flags: Sequence[str] = ()
) -> Path:
    """Compile one program, and return where it is."""
    options = ["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", *flags, "-pthread"]
    command = [str(COMPILER), *options, f"-I{headers.parent}", *map(str, (program, *sources)), "-o", str(to)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if LACKS_LIBRARY.search(built.stderr):
        raise NoSanitizerError(f"the compiler has no run-time library for {flags[0]}")
    if built.returncode != 0:
        raise RuntimeError(f"{program.name} does not compile:\n{built.stderr}")
    return to


def preloaded(library: str) -> dict[str, str]:
    """The variables that preload a library.

    The loader splits LD_PRELOAD at spaces, without quoting, and LD_LIBRARY_PATH only at colons. The second one also
    changes where other libraries come from, so it is set only for a folder with a space in its name.
    """
    if " " not in library:
        return {"LD_PRELOAD": library}
    folder, name = os.path.split(library)
    places = [folder, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {"LD_PRELOAD": name, "LD_LIBRARY_PATH": os.pathsep.join(places)}


def run(program: Path, *arguments: object, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """Run it to its end, whatever that is."""
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


def said(ran: subprocess.CompletedProcess[str]) -> str:
    """All that a program said, and how it ended."""
    return f"exit status {ran.returncode}: {ran.stdout}{ran.stderr}"
