"""What goes wrong outside the pool: no memory, interrupts, forks, and interpreters that end while threads are at work.

Each allocation and call is failed once, each opcode is interrupted once; no byte may be lost, nothing stay installed,
and the same operation must succeed right afterwards.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.verify import cpp_programs, subprocesses
from tests.verify.check import Check, Found
from tests.verify.cpp_programs import LACKS_COMPILER, preloaded
from tests.verify.stress import LACKS_SOURCES, climb

LACKS_FORK = "" if hasattr(os, "fork") else "it needs os.fork"
LACKS_TESTCAPI = LACKS_FORK or ("" if importlib.util.find_spec("_testcapi") else "Python has no _testcapi")
LACKS_SHIM = LACKS_COMPILER or ("" if sys.platform == "linux" else "the preloaded library is for Linux")
LACKS_TIMER = "" if sys.platform != "win32" else "it needs signal.setitimer"

#: The system's calls that the core makes go to the program that tries it.
FAILING_CALLS = tuple(
    f"-D{name}=failing_{name.removeprefix('pthread_')}"
    for name in ("mmap", "mremap", "mprotect", "mlock", "madvise", "pthread_setspecific", "pthread_atfork")
)


def python_allocations(every: int = 1) -> Found:
    """The interpreter's and NumPy's own, of every operation, or of every so manieth."""
    return subprocesses.run("allocation_failures", "python", every)


def system_calls(every: int = 1) -> Found:
    """What our modules ask of the C library and of the kernel."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["-shared", "-fPIC", "-fno-threadsafe-statics", "-ldl"]
        source = Path(__file__).with_name("fail_nth.cpp")
        shim = cpp_programs.build(source, Path(folder) / "fail_nth.so", flags=flags)
        return subprocesses.run("allocation_failures", "system", every, **preloaded(str(shim)))


def core_alone(sanitizer: str = "plain") -> Found:
    """The arena without Python. Raises `NoSanitizerError`."""
    return climb("arena_no_memory", sanitizer, 0, FAILING_CALLS)


def opcodes(every: int = 1) -> Found:
    """KeyboardInterrupt before each opcode, or before every so manieth."""
    return subprocesses.run("interrupts", "opcodes", every)


def signals(times: int) -> Found:
    """KeyboardInterrupt from a timer's signal, at as many moments."""
    return subprocesses.run("interrupts", "signals", times)


def forks(count: int) -> Found:
    """Of a process whose threads are in the pool."""
    return subprocesses.run("processes", "forks", count)


def exits(count: int, processes: int = 1) -> Found:
    """Of interpreters whose daemon threads are in the pool, shared out over so many processes."""
    with ThreadPoolExecutor(processes) as pool:
        shares = list(pool.map(partial(subprocesses.run, "processes", "exits"), [count // processes] * processes))
    whole = "" if all("stopped" not in share.size for share in shares) else ", not all of them"
    return Found(f"{count:,} exits{whole}", tuple(each for share in shares for each in share.violations))


def os_exits(count: int) -> Found:
    """By ``os._exit``, of children that hold blocks."""
    return subprocesses.run("processes", "os_exits", count)


def checks(full: bool) -> Iterator[Check]:
    """No memory, interrupts, processes."""
    more = 5 if full else 1
    yield Check("faults: Python's allocations", python_allocations, LACKS_TESTCAPI)
    yield Check("faults: the modules' system calls", system_calls, LACKS_FORK or LACKS_SHIM)
    for sanitizer in cpp_programs.SANITIZERS:
        lacks = LACKS_FORK or LACKS_COMPILER or LACKS_SOURCES
        yield Check(f"faults: the core's system calls, {sanitizer}", partial(core_alone, sanitizer), lacks)
    yield Check("faults: KeyboardInterrupt at every opcode", opcodes)
    yield Check("faults: KeyboardInterrupt by signal", partial(signals, 2000 * more), LACKS_TIMER)
    yield Check("faults: forks under load", partial(forks, 200 * more), LACKS_FORK)
    yield Check("faults: exits with daemon threads", partial(exits, 1000 * more, 2), LACKS_FORK)
    yield Check("faults: os._exit with blocks out", partial(os_exits, 100 * more), LACKS_FORK)
