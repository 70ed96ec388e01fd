"""The free list under the model checker of ``tests/verify/model``: every interleaving up to a bound, on a weak memory.

And the checker itself: it must find every bug of `BUGS` that is seeded into the header.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.verify import cpp_programs
from tests.verify.check import Check, Found
from tests.verify.cpp_programs import CPP, HEADERS, LACKS_COMPILER, said

HEADER = HEADERS / "_core" / "freelist.hpp"
LACKS = LACKS_COMPILER or ("" if platform.libc_ver()[0] == "glibc" else "its threads are glibc's ucontext")

#: Scenario, preemptions, stale reads; and executions that there are at least. All have three blocks and, but for
#: "aba" with its two, three threads.
SCENARIOS = [
    ("turns", 3, 0, 500_000),
    ("turns", 2, 1, 200_000),
    ("aba", 3, 2, 10_000),
    ("batches", 3, 0, 100_000),
    ("batches", 3, 1, 1_000_000),
    ("trimming", 3, 0, 50_000),
    ("trimming", 3, 1, 500_000),
]
#: Minutes by itself.
FULL_SCENARIOS = [*SCENARIOS, ("turns", 3, 1, 2_000_000)]

RELAXED = "cas_weak_relaxed_relaxed"

LOOP, LOAD = ("for (Backoff backoff;; backoff.wait()) {\n", "            std::uint64_t head = head_.load_acquire();\n")
#: The head is what the lost CAS found, read without an order.
ONCE = (LOOP + LOAD, LOAD + LOOP)

#: Where (a function of the header), what, and what it is replaced by.
BUGS = {
    "no tag": ("moved", "((head >> 32) + pops)", "(head >> 32)"),
    "a pop's load relaxed": ("pop", "load_acquire", "load_relaxed"),
    "a batch does not look again": ("pop_some", *ONCE),
    "a batch's load relaxed": ("pop_some", "load_acquire", "load_relaxed"),
    "a batch moves the tag by one": ("pop_some", "chain.count, index)", "1, index)"),
    "a batch leaves the tag": ("pop_some", "chain.count, index)", "0, index)"),
    "the trimmer does not look again": ("pop_all", *ONCE),
    "the trimmer's load relaxed": ("pop_all", "load_acquire", "load_relaxed"),
    "the trimmer leaves the tag": ("pop_all", "moved(head, count,", "moved(head, 0,"),
    "a push's CAS relaxed": ("push", "cas_weak_release_relaxed", RELAXED),
    "a push's load relaxed": ("push", "load_acquire", "load_relaxed"),
    "a push forgets the link": ("push", "node.next.store_relaxed(below);", ""),
    "a push clears the tag": ("push", "(head & kTagMask) | index", "index"),
    "a push counts from one": ("push", "nodes[below].depth.load_relaxed() + 1", "1"),
    "the chain's CAS relaxed": ("push_chain", "cas_weak_release_relaxed", RELAXED),
    "the chain's load relaxed": ("push_chain", "load_acquire", "load_relaxed"),
    "the chain does not look again": ("push_chain", *ONCE),
    "the chain's end not linked": ("push_chain", "nodes[last].next.store_relaxed(below);", ""),
    "the chain's heights not counted": ("push_chain", "store_relaxed(height--)", "store_relaxed(height)"),
}


def build(folder: Path, header: str) -> Path:
    """The checker around this text of the header: an include beside it is found first, hence copies."""
    for source in CPP.with_name("model").iterdir():
        shutil.copy(source, folder)
    (folder / "freelist.hpp").write_text(header, encoding="utf-8")
    program, flags = folder / "freelist_model", ["-O2", "-Wno-unused"]
    return cpp_programs.build(folder / "freelist_model.cpp", program, headers=folder / "no" / "others", flags=flags)


def explore(program: Path, scenario: str, preemptions: int, stale: int) -> subprocess.CompletedProcess[str]:
    """All executions of a scenario, or up to the first violation."""
    return cpp_programs.run(program, scenario, preemptions, stale)


def executions(program: Path, scenario: str, preemptions: int, stale: int, least: int) -> Found:
    """How many there were, each of them right."""
    ran = explore(program, scenario, preemptions, stale)
    clean = re.fullmatch(r"(\d+) executions, \d+ steps, 0 violations\n", ran.stdout)
    if ran.returncode != 0 or clean is None:
        return Found("stopped at the first", (said(ran),))
    count = int(clean[1])
    few = (f"only {count} executions: the scenario lost its substance",) if count < least else ()
    return Found(f"{count:,} executions", few)


def seeded(bug: str) -> str:
    """The header with a bug."""
    where, what, instead = BUGS[bug]
    header = HEADER.read_text(encoding="utf-8")
    start = re.search(rf"^    (?:static )?[\w:]+ {where}\(", header, re.MULTILINE)
    end = header.index("\n    }\n", start.start()) if start is not None else 0
    body = header[start.start() : end] if start is not None else ""
    if start is None or body.count(what) != 1:
        raise ValueError(f"{bug}: its text stands {body.count(what)} times in {where}")
    return header[: start.start()] + body.replace(what, instead) + header[end:]


def is_found(bug: str) -> bool:
    """Whether any scenario finds it, with two preemptions and one stale read."""
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder), seeded(bug))
        runs = (explore(program, scenario, 2, 1) for scenario in ("aba", "batches", "trimming", "turns"))
        return any(ran.returncode != 0 for ran in runs)


def all_found() -> Found:
    """Each bug, one after the other."""
    missed = []
    for bug in BUGS:
        try:
            if not is_found(bug):
                missed.append(f"not found: {bug}")
        except ValueError as error:
            missed.append(f"not seeded: {error}")
    return Found(f"{len(BUGS) - len(missed)} of {len(BUGS)} seeded bugs found", tuple(missed))


def checks(full: bool) -> Iterator[Check]:
    """The scenarios, then the checker's own check."""
    with tempfile.TemporaryDirectory() as folder:
        program = None if LACKS else build(Path(folder), HEADER.read_text(encoding="utf-8"))
        for bounds in FULL_SCENARIOS if full else SCENARIOS:
            scenario, preemptions, stale, _ = bounds
            threads = 2 if scenario == "aba" else 3
            old = ("the newest writes read", "one older write read", "two older writes read")[stale]
            words = f"{threads} threads, 3 blocks, {preemptions} preemptions, {old}"
            yield Check(f"model: {scenario}, {words}", partial(executions, program, *bounds), LACKS)
    yield Check("model: the checker finds what it must", all_found, LACKS)
