"""The core without Python: the free list's header, compiled unchanged into a C++ program, also under sanitizers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bufpool

HEADERS = Path(bufpool.__file__).parent / "core"
LADDER = Path(__file__).parent / "core" / "freelist_ladder.cpp"
COMPILER = shutil.which("g++") or shutil.which("clang++")

pytestmark = pytest.mark.skipif(COMPILER is None or sys.platform == "win32", reason="needs g++ or clang++")


@pytest.mark.parametrize(
    ("flags", "rounds"),
    [((), 400_000), (("-fsanitize=thread",), 60_000), (("-fsanitize=address,undefined",), 100_000)],
    ids=["plain", "thread", "address"],
)
def test_free_list_ladder(tmp_path: Path, flags: tuple[str, ...], rounds: int) -> None:
    """FAULTS 47, 48: smoke, length, batches, wrap-around, many threads; every block counted in and out."""
    program = tmp_path / "ladder"
    options = ["-std=c++17", "-O1", "-g", "-Wall", "-Werror", *flags, "-pthread", f"-I{HEADERS}"]
    command = [COMPILER, *options, LADDER, "-o", program]
    built = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if flags and "cannot find" in built.stderr:
        pytest.skip(f"the compiler has no run-time library for {flags[0]}")
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([program, str(rounds)], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout == f"{5 * rounds} operations, 0 violations\n"
