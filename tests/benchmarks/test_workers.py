"""The worker processes of the benchmarks: allocators found and loaded, workloads run, failures reported."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from benchmarks.harness import allocators as allocators_module
from benchmarks.harness import interleaved
from benchmarks.harness.allocators import ALLOCATORS, locate, missing, preloaded
from benchmarks.harness.allocators import environment as environment_on
from benchmarks.harness.benchmark import Comparison
from benchmarks.harness.interleaved import Contender, Plan
from benchmarks.harness.packages import INSTALL
from benchmarks.harness.targets import Check, Result, cost, speed
from benchmarks.harness.units import KIB
from benchmarks.harness.worker import Worker, WorkerError
from benchmarks.peers import arrays
from benchmarks.suite import memory
from benchmarks.workloads import image_code, threads
from tests.support.programs import python

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = Plan(rounds=1, generations=1, seconds=1e-4)


def silent(_words: str) -> None:
    pass


# Allocators ----------------------------------------------------------------------------------------------------------


def test_a_missing_allocator_names_what_to_install(monkeypatch):
    monkeypatch.setattr(allocators_module, "missing", lambda name: "" if name == "default" else f"no {name} here")
    monkeypatch.setattr(interleaved, "measure", lambda group, *_: {each.name: [1.0] for each in group})
    group = (Contender("pool", "empty", "pool", KIB), Contender("jemalloc", "empty", "plain", KIB, "jemalloc"))
    part = Comparison("1 KiB", KIB, (group,), (Check("1 KiB", "pool", "jemalloc", cost(1.05)),))
    (result,) = part.run(TINY, silent)
    assert (result.figure, result.note) == (None, "no jemalloc here")


def test_a_comparison_whose_modules_are_missing_says_so():
    check = Check("piece", "pool", "plain", speed(1.0))
    part = Comparison("piece", KIB, (), (check,), needs=("a_module_that_nobody_has",))
    assert part.run(TINY, silent) == [Result(check, note=f"not installed: a_module_that_nobody_has ({INSTALL})")]


def test_libraries_are_missing_until_they_are_found(monkeypatch):
    monkeypatch.setattr(allocators_module, "locate", lambda _: None)
    monkeypatch.setattr(sys, "platform", "linux")
    assert missing("jemalloc") == "not installed: apt-get install libjemalloc2"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert missing("jemalloc").startswith("n/a")
    assert missing("default") == ""


def test_a_plain_worker_does_not_inherit_malloc_settings(monkeypatch):
    settings = {"LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MIMALLOC_VERBOSE", "BUFPOOL_CONF"}
    for variable in settings:
        monkeypatch.setenv(variable, "x")
    assert not settings & environment_on("default").keys()
    assert environment_on("glibc tuned")["GLIBC_TUNABLES"].count("glibc.malloc.") == 3
    assert environment_on("glibc raised")["GLIBC_TUNABLES"].count("glibc.malloc.") == 2


@pytest.mark.parametrize("name", [name for name in ALLOCATORS if name != "default"])
def test_a_worker_runs_on_the_allocator_it_was_given(name):
    if missing(name):
        pytest.skip(missing(name))
    with Worker(name) as worker:
        worker.ready()
        worker.send_build("plain", "empty", "plain", 64 * KIB)
        worker.receive()
        assert worker.sample("plain", 3) > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD")
def test_a_library_that_the_loader_refuses_is_noticed(monkeypatch, tmp_path):
    broken = tmp_path / "libjemalloc.so.2"
    broken.write_text("not a library", encoding="ascii")
    monkeypatch.setattr(allocators_module, "locate", lambda _: str(broken))
    with Worker("jemalloc") as worker, pytest.raises(WorkerError, match="libjemalloc was not loaded"):
        worker.ready()


def test_the_library_of_an_installed_package_comes_first(monkeypatch, tmp_path):
    class File:
        name = "libmimalloc.so"

        def locate(self) -> Path:
            return tmp_path / self.name

    monkeypatch.setattr(allocators_module.metadata, "files", lambda _: [File()])
    assert locate(ALLOCATORS["mimalloc"]) == str((tmp_path / "libmimalloc.so").resolve())


# Workers -------------------------------------------------------------------------------------------------------------


def test_a_worker_reports_its_exceptions_and_goes_on():
    with Worker() as worker:
        worker.ready()
        with pytest.raises(WorkerError, match="KeyError: 'no such workload'"):
            worker.ask(do="build", name="x", workload="no such workload", how="plain", size=1)
        assert worker.ask(do="probe", name="waste", count=10).keys() == {"uniform", "log-uniform"}


def test_a_worker_that_dies_is_an_error_not_a_hang(monkeypatch):
    monkeypatch.setattr("benchmarks.harness.worker._BOOT", "raise SystemExit(7)")
    with Worker() as worker, pytest.raises(WorkerError, match="ended with code 7"):
        worker.ready()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_stops_the_parent_at_once():
    began = time.monotonic()
    worker = Worker()
    worker.ready()
    assert os.getpgid(worker._process.pid) == worker._process.pid != os.getpgid(0)
    worker.send(do="probe", name="waste", count=10**8)  # for minutes
    with pytest.raises(KeyboardInterrupt), worker:
        raise KeyboardInterrupt
    assert worker._process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 20


FROM_ELSEWHERE = """
import os, sys
sys.path.insert(0, os.path.relpath(sys.argv[1]))
from benchmarks.harness.worker import Worker
os.chdir("/")
with Worker() as worker:
    worker.ready()
    worker.send_build("ours", "scratch", "calls", 64)
    worker.receive()
    print(worker.sample("ours", 3) > 0)
"""


@pytest.mark.skipif(os.name != "posix", reason="names of folders as POSIX has them")
def test_workers_start_from_any_folder(tmp_path):
    """Spaces, other letters than ASCII, a relative import path, and another working directory."""
    checkout = tmp_path / "a b" / "Prüfung" / "bufpool"
    shutil.copytree(BENCHMARKS, checkout / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    done = python("-c", FROM_ELSEWHERE, checkout, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_library_is_preloaded_despite_spaces():
    assert preloaded("/usr/lib/libx.so") == {"LD_PRELOAD": "/usr/lib/libx.so"}
    found = preloaded("/a b/Prüfung/libx.so")
    assert found["LD_PRELOAD"] == "libx.so"
    assert found["LD_LIBRARY_PATH"].split(os.pathsep)[0] == "/a b/Prüfung"


SHARED = ("buffer", "empty", "np.empty", "list", "queue")
HOWS = {
    "scratch": ("list", "calls", "with"),
    "four": ("plain", "pool", "list", "dict", *arrays.FOUR),
    "expression": ("plain", "pool", "out", *arrays.EXPRESSION),
    "bytes": ("pool", "bytearray", *arrays.BYTES),
    **{
        f"same thread x {count}": (
            *SHARED,
            *("lease", "scratch", "scratch methods", "expression", "plain expression", "nothing"),
        )
        for count in threads.COUNTS
    },
    **{f"ring x {count}": SHARED for count in threads.COUNTS},
}

OF_THE_BUFFER_POOL = {
    contender.workload
    for benchmark in memory.BENCHMARKS
    for part in benchmark.parts
    if isinstance(part, Comparison)
    for group in part.groups
    for contender in group
}

PACKAGES = {"four": arrays.FOUR, "expression": arrays.EXPRESSION, "bytes": arrays.BYTES}


@pytest.mark.parametrize(
    ("name", "how"), [(name, how) for name in sorted(OF_THE_BUFFER_POOL) for how in HOWS.get(name, ("plain", "pool"))]
)
def test_every_workload_runs_in_every_way(worker, name, how):
    size = 64 * KIB
    if name in image_code.PIECES:
        for module in image_code.NEEDS:
            pytest.importorskip(module)
        size = 90 * 160 * image_code.BYTES_PER_PIXEL
    package = PACKAGES.get(name, {}).get(how)
    if package is not None and package.missing():
        pytest.skip(package.missing())
    if how == "numpy-allocator" and missing("mimalloc"):
        pytest.skip(missing("mimalloc"))
    worker.send_build(f"{name} {how}", name, how, size)
    worker.receive()
    assert worker.sample(f"{name} {how}", 2) > 0
