"""How the C++ core scales with threads, without Python: runs ``core_scaling.cpp`` in turns, beside targets.

``make scaling`` runs it, and then the benchmarks of threads that need a free-threaded Python.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.interleaved import compare
from benchmarks.harness.report import Report
from benchmarks.harness.targets import NO_TARGET, Check, Result, cost, speed
from benchmarks.harness.units import plural

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"
CONTENDERS = ("pool", "pool with a limit", "pool, 1 MiB", "stack alone", "list, mutex", "malloc", "nothing")
TURNS = 1_000_000
#: The least share of linear for the pool with default settings; the others have no target.
LINEAR = {"same": 0.9, "next": 0.6, "random": None}
WORDS = {
    "same": "each thread acquires a block and releases it",
    "next": "each thread releases what the previous one acquired, in batches of 32",
    "random": "each block goes into a random slot, and the block that was there is released",
}


def compiled(folder: Path) -> Path:
    """Compile with the flags of the extension."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        sys.exit("core_scaling needs g++ or clang++")
    program = folder / "core_scaling"
    flags = ["-std=c++17", "-O3", "-fno-exceptions", "-fno-rtti", "-pthread", f"-I{SOURCES}"]
    sources = [HERE / "core_scaling.cpp", *sorted(SOURCES.glob("bufpool/**/*core/*.cpp"))]
    subprocess.run([compiler, *flags, *map(str, sources), "-o", str(program)], check=True)
    return program


def nanoseconds(program: Path, contender: str, pattern: str, threads: int) -> float:
    """Nanoseconds a turn, measured in a process of its own."""
    command = [str(program), contender, pattern, str(threads), str(TURNS)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def counts(most: int) -> list[int]:
    """Powers of two up to `most`, and `most` itself."""
    found = [1]
    while found[-1] * 2 <= most:
        found.append(found[-1] * 2)
    return found if found[-1] == most else [*found, most]


Key = tuple[str, int]  # contender, threads


def checks(pattern: str, threads: list[int]) -> Iterator[tuple[Check, Key, Key]]:
    """Each contender against itself with one thread, then ours against the others."""
    most = threads[-1]
    for contender in CONTENDERS:
        for number in threads[1:]:
            limit = LINEAR[pattern] if contender == "pool" and number == most else None
            target = NO_TARGET if limit is None else speed(limit)
            check = Check(contender, f"{number} {plural(number, 'thread')}", "1 thread", target)
            yield check, (contender, number), (contender, 1)
    for other, target in (("list, mutex", speed(2.0)), ("malloc", NO_TARGET)):
        yield (Check(f"pool, {most} {plural(most, 'thread')}", "pool", other, target), ("pool", most), (other, most))
    if pattern == "same":
        yield Check("pool, 1 thread", "pool", "stack alone", cost(1.2)), ("pool", 1), ("stack alone", 1)


def measure(report: Report, rounds: int, threads: list[int]) -> dict[str, list[Result]]:
    """Run every pattern and print its table; the results by benchmark."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder))
        for pattern, words in WORDS.items():
            benchmark = Benchmark(f"core {pattern}", f"{words}; 1.00x is linear", ())
            report.title(benchmark)
            samples: dict[Key, list[float]] = {key: [] for key in itertools.product(CONTENDERS, threads)}
            for turn in range(rounds):
                for contender, number in samples if turn % 2 == 0 else reversed(samples):
                    report.progress(f"{pattern}, round {turn + 1}: {contender}, {number} {plural(number, 'thread')}")
                    took = nanoseconds(program, contender, pattern, number) * 1e-9
                    samples[contender, number].append(took)
            rows[benchmark.id] = [
                compare(check, samples[ours], samples[theirs]) for check, ours, theirs in checks(pattern, threads)
            ]
            report.results(rows[benchmark.id])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="make scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="readings of each contender (default: 9)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="most threads (default: the cores)")
    options = parser.parse_args()
    threads = counts(options.threads)
    if len(threads) < 2:
        sys.exit("core_scaling needs two cores")
    report = Report()
    report.head()
    rows = measure(report, options.rounds, threads)
    report.tail([result for results in rows.values() for result in results])


if __name__ == "__main__":
    main()
