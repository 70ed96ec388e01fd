"""The extension under CPython and a sanitizer: threads at random (``at_random.py``), threads and tasks on pools of
objects (``objects_at_random.py``), and the suite's own tests.

The compiled modules are built once more: with AddressSanitizer and UndefinedBehaviorSanitizer, and with
ThreadSanitizer. A violation is each error of memory or of undefined behaviour, and each leak or race with a frame of
ours, but for the two kinds that `is_ours` names.

What ThreadSanitizer can see depends on the interpreter:

- With a GIL it sees the GIL: a mutex and a condition variable of the C library. Threads meet in the core where the GIL
  is released: in NumPy's hooks called through ``ctypes``, at a pool's limit, and when a thread ends.
- Without a GIL, CPython's own locks are atomic words, which it does not see. So only what our own memory orders protect
  is run, and what other code calls is ignored.
- A CPython configured with ``--disable-gil --with-thread-sanitizer`` shows all, and there all is run.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from bufpool._words import plural
from tests.verify.check import Check, Found
from tests.verify.cpp_programs import SOURCES
from tests.verify.sanitizers import FREE_THREADED, INSTRUMENTED, Build, Ran, lacks

AT_RANDOM = ("-m", "tests.verify.random_memory")
OBJECTS_AT_RANDOM = ("-m", "tests.verify.random_objects")
YIELDS = "BUFPOOL_INJECT_YIELDS"

NAMES = {"address": "AddressSanitizer and UndefinedBehaviorSanitizer", "thread": "ThreadSanitizer"}
SEES = (
    "GIL off, CPython watched too"
    if INSTRUMENTED
    else "GIL off, what our own orders protect"
    if FREE_THREADED
    else "the GIL watched too"
)

#: Of the suite, as arguments: what uses native code much and finishes soon; and what is run at full length.
SUITE = ("memory/test_buffer.py", "memory/test_buffer_exports.py", "memory/test_scratch.py", "-m", "not slow")
FULL_SUITE = (
    "memory/test_buffer.py",
    "memory/test_buffer_exports.py",
    "memory/test_lease.py",
    "memory/test_lease_reached.py",
    "memory/test_scratch.py",
    "memory/test_arrays.py",
    "memory/test_arrays_owned.py",
    "memory/test_bad_input.py",
    "memory/test_bad_state.py",
    "memory/test_bounds.py",
    "memory/test_decorate.py",
    "memory/test_fork.py",
    "memory/test_handler.py",
    "memory/test_handler_contexts.py",
    "memory/test_handler_memory.py",
    "memory/test_lifetime.py",
    "memory/test_limit.py",
    "memory/test_no_alias.py",
    "memory/test_scratch_blocks.py",
    "memory/test_scratch_threads.py",
)
#: Those whose tests start threads.
THREADED_SUITE = ("memory/test_bounds.py", "memory/test_limit.py", "memory/test_lifetime.py", "memory/test_no_alias.py")

#: Errors that must be reported: which sanitizer, and where (a file of the package), what, by what it is replaced, and
#: whether the short run tries it.
SEEDED = {
    "a thread's cache given back by a relaxed store": (
        "thread",
        "memory/core/arena_caches.cpp",
        "caches->owned.store_release(0);",
        "caches->owned.store_relaxed(0);",
        True,
    ),
    "the arena's lock opened by a relaxed store": (
        "thread",
        "_core/atomics.hpp",
        "void unlock() noexcept { held_.store_release(0); }",
        "void unlock() noexcept { held_.store_relaxed(0); }",
        False,
    ),
    "a scratch's records read after they are freed": (
        "address",
        "memory/native/_scratch_slots.pyx",
        "        for i in range(self.count):\n            Py_DECREF(plain(self.slots[i]))\n        free(self.slots)\n",
        "        free(self.slots)\n        for i in range(self.count):\n            Py_DECREF(plain(self.slots[i]))\n",
        True,
    ),
    "a scratch's records written beyond their end": (
        "address",
        "memory/native/_scratch_slots.pyx",
        "realloc(self.slots, (self.capacity * 2 + 4) * sizeof(PyObject*))",
        "realloc(self.slots, (self.capacity * 2 + 1) * sizeof(PyObject*))",
        False,
    ),
    "a scratch's records never freed": (
        "address",
        "memory/native/_scratch_slots.pyx",
        "        free(self.slots)\n",
        "",
        False,
    ),
    "a shift beyond the width": (
        "address",
        "_core/size_classes.hpp",
        "(last >> (exponent - 3))",
        "(last >> (exponent + 61))",
        False,
    ),
}


@cache
def built(build: Build) -> Build:
    """Compiled when it is first wanted, so that its time is that check's."""
    build.make()
    return build


def at_random(build: Build, seconds: float) -> Ran:
    """Threads at random for so long. Only an interpreter that is watched, or a GIL, orders what objects share."""
    own_order = ["--own-order"] * (build.sanitizer == "thread" and FREE_THREADED and not INSTRUMENTED)
    return Ran(build, *AT_RANDOM, "--seconds", seconds, *own_order, seconds=20 * seconds + 200)


def objects_at_random(build: Build, seconds: float) -> Ran:
    """The same with pools of objects, which CPython's own locks have their part in."""
    return Ran(build, *OBJECTS_AT_RANDOM, "--seconds", seconds, seconds=20 * seconds + 200)


def stressed(build: Build, seconds: float, program: Callable[[Build, float], Ran] = at_random) -> Found:
    """How many operations there were, none of them reported."""
    ran = program(built(build), seconds)
    well = re.compile(rf"^bufpool from {re.escape(str(build.home))}/.*\n(\d+) operations in .*\n\Z")
    done = well.search(ran.output)
    size = f"{int(done[1]):,} operations" if done else "stopped at the first"
    return Found(size, ran.violations(well))


def tested(build: Build, files: tuple[str, ...]) -> Found:
    """How many tests passed, none of them reported, nor what they started."""
    command = ("-m", "pytest", "-p", "no:cacheprovider", *files)
    ran = Ran(built(build), *command, seconds=1500)
    well = re.compile(rf"^bufpool \S+ from {re.escape(str(build.home))}/.*=+ (\d+) passed", re.DOTALL | re.MULTILINE)
    done = well.search(ran.output)
    return Found(f"{int(done[1]):,} {plural(int(done[1]), 'test')}" if done else "tests", ran.violations(well))


def is_found(build: Build, folder: Path, name: str) -> bool:
    """Whether a seeded error is reported as ours."""
    _, file, what, instead, _ = SEEDED[name]
    seeded = build.seeded(folder, file, what, instead)
    seeded.make()
    return any(at_random(seeded, seconds).reports for seconds in (3, 30))


def all_found(builds: dict[str, Build], full: bool) -> Found:
    """Each seeded error, one after the other."""
    tried = [name for name, (*_, soon) in SEEDED.items() if (full or soon) and SEEDED[name][0] in builds]
    missed = []
    for name in tried:
        with tempfile.TemporaryDirectory() as folder:
            if not is_found(built(builds[SEEDED[name][0]]), Path(folder) / "seeded", name):
                missed.append(f"not found: {name}")
    return Found(f"{len(tried)} seeded {plural(len(tried), 'error')}", tuple(missed))


def checks(full: bool) -> Iterator[Check]:
    """Stress and suite under each sanitizer, with yields injected too; then the check that errors are found."""
    seconds = 60 if full else 8
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "package"
        builds = {sanitizer: Build(scratch, sanitizer) for sanitizer in NAMES}
        for sanitizer, build in builds.items():
            missing = lacks(sanitizer)
            sees = f", {SEES}" if sanitizer == "thread" else ""
            name = f"extension: threads at random, {NAMES[sanitizer]}{sees}"
            yield Check(name, partial(stressed, build, seconds), missing)
            if sanitizer == "thread" or full:
                hook = YIELDS in (SOURCES / "_core" / "atomics.hpp").read_text() if not missing else False
                missing_hook = missing or ("" if hook else "atomics.hpp knows no injected yields")
                with_yields = Build(scratch, sanitizer, [YIELDS])
                yield Check(f"{name}, yields injected", partial(stressed, with_yields, seconds), missing_hook)
        for sanitizer, build in builds.items():
            if sanitizer == "address" or INSTRUMENTED or not FREE_THREADED:
                sees = f", {SEES}" if sanitizer == "thread" else ""
                yield Check(
                    f"extension: pools of objects at random, {NAMES[sanitizer]}{sees}",
                    partial(stressed, build, seconds, objects_at_random),
                    lacks(sanitizer),
                )
        yield Check(
            f"extension: the suite's tests, {NAMES['address']}",
            partial(tested, builds["address"], FULL_SUITE if full else SUITE),
            lacks("address"),
        )
        if full and (INSTRUMENTED or not FREE_THREADED):
            yield Check(
                f"extension: the suite's tests of threads, {NAMES['thread']}, {SEES}",
                partial(tested, builds["thread"], THREADED_SUITE),
                lacks("thread"),
            )
        able = {sanitizer: build for sanitizer, build in builds.items() if not lacks(sanitizer)}
        missing = "" if able else lacks("thread")
        yield Check("extension: the sanitizers find what they must", partial(all_found, able, full), missing)
