"""What a program runs on: NumPy as it is, another allocator under NumPy, or bufpool."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.allocators import ALLOCATORS, environment, locate, missing

REPORT = Path(__file__).with_name("report.py")

#: Libraries start no threads of their own, and sets have the same order in each run.
REPEATABLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Contender:
    """One way to run a program, always in a process of its own."""

    name: str
    allocator: str = "default"  #: its name in `ALLOCATORS` of the other benchmarks
    without: str = ""  #: a variable that sets the allocator there and is left out here
    pooled: bool = False
    about: str = ""

    def missing(self) -> str:
        """Why it cannot run here, with what to install; empty where it can."""
        return missing(self.allocator)

    def library(self) -> str:
        """The name of the library that is preloaded, with its version; empty where there is none."""
        allocator = ALLOCATORS[self.allocator]
        return Path(str(locate(allocator))).resolve().name if allocator.library else ""

    def command(self, file: Path, arguments: tuple[str, ...]) -> list[str]:
        run = ["-m", "bufpool", "run"] if self.pooled else []
        return [sys.executable, *run, str(REPORT), str(file), *arguments]

    def environment(self) -> dict[str, str]:
        variables = environment(self.allocator) | REPEATABLE
        variables.pop(self.without, None)
        return variables


PLAIN = Contender("plain NumPy", about="NumPy and the C library as they are")
POOLED = Contender("bufpool", pooled=True, about="python -m bufpool run, default settings")
TUNED = Contender("glibc tuned", "glibc tuned", about="thresholds so high that it never gives back")
RAISED = Contender("glibc raised", "glibc raised", about="thresholds as after free(malloc(33 MB))")
JEMALLOC = Contender("jemalloc", "jemalloc", without="MALLOC_CONF", about="its default settings")
JEMALLOC_KEEPS = Contender("jemalloc no decay", "jemalloc", about="set so that it never gives back")
MIMALLOC = Contender("mimalloc", "mimalloc", about="its default settings")

CONTENDERS = {
    contender.name: contender for contender in (PLAIN, POOLED, TUNED, RAISED, JEMALLOC, JEMALLOC_KEEPS, MIMALLOC)
}
