"""Death in the middle: processes killed while they change a free list that lies in shared memory.

Once after every single instruction of each operation, stepped by ``ptrace``; then at random among others at full speed.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.verify import cpp_programs
from tests.verify.check import Check, Found
from tests.verify.cpp_programs import CPP, LACKS_COMPILER, said

LACKS = LACKS_COMPILER or ("" if sys.platform == "linux" else "ptrace is stepped as on Linux")


def killed(at_random: int) -> Found:
    """After each instruction, and so many times at random."""
    with tempfile.TemporaryDirectory() as folder:
        # Functions of the system's are found at the start, or the steps would lead through the dynamic linker.
        source, flags = CPP / "freelist_crash.cpp", ["-Wl,-z,now"]
        program = cpp_programs.build(source, Path(folder) / "freelist_crash", flags=flags)
        ran = cpp_programs.run(program, at_random, seconds=1800)
    line = r"(\d+) deaths, each after one more instruction, and (\d+) at random, 0 violations\n"
    clean = re.fullmatch(line, ran.stdout)
    if ran.returncode != 0 or clean is None:
        return Found("stopped at the first", (said(ran),))
    return Found(f"{int(clean[1]):,} deaths, one after each instruction, {int(clean[2]):,} at random")


def checks(full: bool) -> Iterator[Check]:
    """One, of both kinds."""
    yield Check("kills: processes on a list in shared memory", partial(killed, 100_000 if full else 5_000), LACKS)
