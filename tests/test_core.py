"""The core without Python: its files compiled unchanged into C++ programs, also under sanitizers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bufpool

HEADERS = Path(bufpool.__file__).parent / "core"
SOURCES = Path(__file__).parents[1] / "src" / "bufpool" / "core"
PROGRAMS = Path(__file__).parent / "core"
COMPILER = shutil.which("g++") or shutil.which("clang++")

pytestmark = pytest.mark.skipif(COMPILER is None or sys.platform == "win32", reason="needs g++ or clang++")

SANITIZERS = {
    "plain": (),
    "thread": ("-fsanitize=thread",),
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}


def ladder(
    folder: Path, program: str, sanitizer: str, rounds: int, sources: list[Path], headers: Path
) -> str:
    """Compile a program of `core` together with `sources`, and return what it prints."""
    flags = SANITIZERS[sanitizer]
    built_to = folder / "ladder"
    options = ["-std=c++17", "-O1", "-g", "-Wall", "-Werror", *flags, "-pthread"]
    includes = [f"-I{headers.parents[1]}", f"-I{headers}"]
    command = [COMPILER, *options, *includes, PROGRAMS / program, *sources, "-o", built_to]
    built = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if flags and "cannot find" in built.stderr:
        pytest.skip(f"the compiler has no run-time library for {flags[0]}")
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([built_to, str(rounds)], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize(
    ("sanitizer", "rounds"), [("plain", 400_000), ("thread", 60_000), ("address", 100_000)]
)
def test_free_list_ladder(tmp_path: Path, sanitizer: str, rounds: int) -> None:
    """FAULTS 47, 48: smoke, length, batches, wrap-around, many threads; every block counted in and out."""
    said = ladder(tmp_path, "freelist_ladder.cpp", sanitizer, rounds, [], HEADERS)
    assert said == f"{5 * rounds} operations, 0 violations\n"


@pytest.mark.skipif(
    not (SOURCES / "arena.cpp").exists(), reason="the core's sources are in the checkout alone"
)
@pytest.mark.parametrize(
    ("sanitizer", "rounds"), [("plain", 100_000), ("thread", 20_000), ("address", 50_000)]
)
def test_arena_ladder(tmp_path: Path, sanitizer: str, rounds: int) -> None:
    """FAULTS 1, 3, 12, 34, 46, 91, 93: refusals, alignments, blocks from thread to thread; every byte given back."""
    said = ladder(tmp_path, "arena_ladder.cpp", sanitizer, rounds, sorted(SOURCES.glob("*.cpp")), SOURCES)
    assert said == f"{16 * rounds} operations, 0 violations\n"
