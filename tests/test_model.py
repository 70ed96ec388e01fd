"""The free list under a model checker: every interleaving up to a bound, on a weak memory, of the header as it stands.

And the checker itself: each memory order relaxed in turn, and other seeded bugs, must be found.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import bufpool

HEADER = Path(bufpool.__file__).parent / "core" / "freelist.hpp"
MODEL = Path(__file__).parent / "model"
COMPILER = shutil.which("g++") or shutil.which("clang++")

pytestmark = pytest.mark.skipif(
    COMPILER is None or platform.libc_ver()[0] != "glibc", reason="needs a C++ compiler, and glibc's ucontext"
)


def build(folder: Path, header: str) -> Path:
    """The checker around this text of the header: an include beside it is found first, hence copies."""
    for source in MODEL.iterdir():
        shutil.copy(source, folder)
    (folder / "freelist.hpp").write_text(header, encoding="utf-8")
    program = folder / "freelist_model"
    options = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused"]
    command = [str(COMPILER), *options, str(folder / "freelist_model.cpp"), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program


def explore(program: Path, scenario: str, preemptions: int, stale: int) -> subprocess.CompletedProcess[str]:
    command = [str(program), scenario, str(preemptions), str(stale)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def as_it_stands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model"), HEADER.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("scenario", "preemptions", "stale", "least"),
    [
        ("turns", 3, 0, 500_000),  # three threads, three blocks, three preemptions
        ("turns", 2, 1, 200_000),
        ("aba", 3, 2, 10_000),
        ("batches", 3, 0, 100_000),
        ("batches", 2, 1, 50_000),
        ("trimming", 3, 0, 50_000),
        ("trimming", 2, 1, 30_000),
    ],
)
def test_the_free_list_is_right_in_every_interleaving(
    as_it_stands: Path, scenario: str, preemptions: int, stale: int, least: int
) -> None:
    """FAULTS 47, 48: no block has two owners or none, and an owner sees the last one's bytes."""
    ran = explore(as_it_stands, scenario, preemptions, stale)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = re.fullmatch(r"(\d+) executions, \d+ steps, 0 violations\n", ran.stdout)
    assert found is not None, ran.stdout
    assert int(found[1]) >= least


RELAXED = "cas_weak_relaxed_relaxed"

# Where (a function of the header), what, and what it is replaced by.
BUGS = {
    "no tag": ("moved", "((head >> 32) + pops)", "(head >> 32)"),
    "a pop's CAS relaxed": ("pop", "cas_weak_acquire_acquire", RELAXED),
    "a pop's load relaxed": ("pop", "load_acquire", "load_relaxed"),
    "a batch's CAS relaxed": ("pop_some", "cas_weak_acquire_acquire", RELAXED),
    "a batch's load relaxed": ("pop_some", "load_acquire", "load_relaxed"),
    "a batch moves the tag by one": ("pop_some", "chain.count, index)", "1, index)"),
    "a batch leaves the tag": ("pop_some", "chain.count, index)", "0, index)"),
    "the trimmer's CAS relaxed": ("pop_all", "cas_weak_acquire_acquire", RELAXED),
    "the trimmer's load relaxed": ("pop_all", "load_acquire", "load_relaxed"),
    "the trimmer leaves the tag": ("pop_all", "moved(head, count,", "moved(head, 0,"),
    "a push's CAS relaxed": ("push", "cas_weak_release_acquire", RELAXED),
    "a push's load relaxed": ("push", "load_acquire", "load_relaxed"),
    "a push forgets the link": ("push", "node.next.store_relaxed(below);", ""),
    "a push clears the tag": ("push", "(head & kTagMask) | index", "index"),
    "a push counts from one": ("push", "nodes[below].depth.load_relaxed() + 1", "1"),
    "the chain's CAS relaxed": ("push_chain", "cas_weak_release_acquire", RELAXED),
    "the chain's load relaxed": ("push_chain", "load_acquire", "load_relaxed"),
    "the chain's end not linked": ("push_chain", "nodes[last].next.store_relaxed(below);", ""),
    "the chain's heights not counted": ("push_chain", "store_relaxed(height--)", "store_relaxed(height)"),
}


def seeded(where: str, what: str, instead: str) -> str:
    header = HEADER.read_text(encoding="utf-8")
    start = re.search(rf"^    (?:static )?[\w:]+ {where}\(", header, re.MULTILINE)
    assert start is not None
    end = header.index("\n    }\n", start.start())
    body = header[start.start() : end]
    assert body.count(what) == 1
    return header[: start.start()] + body.replace(what, instead) + header[end:]


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_is_found(bug: str, tmp_path: Path) -> None:
    program = build(tmp_path, seeded(*BUGS[bug]))
    runs = (explore(program, scenario, 2, 1) for scenario in ("aba", "batches", "trimming", "turns"))
    assert any(ran.returncode != 0 for ran in runs)
