"""Runs one program in this process and prints what it took, as one line of JSON: ``python report.py jobs/dicom.py``.

A program is an ordinary file with a function `work`, which returns its results as a list of arrays. A generator yields
after each of its steps, and the resident memory is sampled there. The import of the program is not measured. `IDLE`
in the environment asks for the memory that is still resident after so many seconds of sleep.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20
IDLE = "PROGRAM_IDLE_SECONDS"
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> float:
    """Memory of this process that is resident now, in MiB."""
    with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - sampled often, so by the shortest way
        return int(file.read().split()[1]) * _PAGE / MIB


def peak() -> float:
    """The most that this process, or its largest child, ever had resident, in MiB.

    Its own peak is not `ru_maxrss`, which starts at what the parent process had when it started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = int(status.split("VmHWM:")[1].split()[0])
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def faults() -> int:
    """Minor page faults so far, those of ended child processes included."""
    return sum(resource.getrusage(who).ru_minflt for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def load(path: str) -> Callable[..., Any]:
    """Import the program and return its function `work`."""
    spec = importlib.util.spec_from_file_location("program", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["program"] = module  # child processes find its classes by this name
    spec.loader.exec_module(module)
    work: Callable[..., Any] = module.work
    return work


def stepwise(steps: Generator[None, None, list[Any]]) -> tuple[list[Any], float, float]:
    """Run a generator to its end: its results, the mean resident memory, the seconds that sampling took."""
    total, count, sampling = 0.0, 0, 0.0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, total / count, sampling
        began = time.perf_counter()
        total, count = total + resident(), count + 1
        sampling += time.perf_counter() - began


def digest(results: Iterable[Any]) -> str:
    """One checksum of all results: their types, shapes and bytes."""
    checksum = hashlib.sha256()
    for result in results:
        array = np.asarray(result)
        if array.dtype.hasobject:
            raise TypeError(f"results must be arrays of plain data, not of {array.dtype}")
        checksum.update(f"{array.dtype} {array.shape} ".encode())
        # Not `tobytes`: the interpreter may keep the memory of so large an object, and it would count as the program's.
        checksum.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return checksum.hexdigest()[:16]


def measure(work: Callable[..., Any], arguments: list[str]) -> dict[str, Any]:
    """Call the function and return what it took."""
    imports, faults_before, mean = resident(), faults(), None
    began = time.perf_counter()
    results = work(*arguments)
    if isinstance(results, Generator):
        results, mean, sampling = stepwise(results)
        began += sampling
    seconds = time.perf_counter() - began
    found: dict[str, Any] = {
        "seconds": seconds,
        "faults": faults() - faults_before,
        "imports": imports,
        "peak": peak(),
        "mean": mean,
    }
    found["sha"] = digest(results)
    del results
    gc.collect()
    found["end"] = resident()
    if idle := float(os.environ.get(IDLE, "0")):
        time.sleep(idle)
        found["idle"] = resident()
    return found


def main() -> None:
    path, *arguments = sys.argv[1:]
    try:
        work = load(path)
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))
    else:
        print(json.dumps(measure(work, arguments)))


if __name__ == "__main__":
    main()
