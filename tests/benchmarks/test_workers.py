"""The processes of ``python -m bufpool bench``: allocators found and loaded, workloads run, failures reported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bufpool.cli.bench import allocators as allocators_module
from bufpool.cli.bench import array_peers, objects, real_code, threads, timing, workloads
from bufpool.cli.bench.allocators import ALLOCATORS, environment, locate, missing
from bufpool.cli.bench.checks import Check, Result, cost, speed
from bufpool.cli.bench.parts import Race
from bufpool.cli.bench.probes import KIB
from bufpool.cli.bench.timing import Entrant, Plan
from bufpool.cli.bench.worker import Worker, WorkerError

TINY = Plan(rounds=1, generations=1, seconds=1e-4)


def silent(_words: str) -> None:
    pass


# Peers ---------------------------------------------------------------------------------------------------------------


def test_a_peer_that_is_missing_is_reported_with_what_to_install(monkeypatch):
    monkeypatch.setattr(
        allocators_module, "missing", lambda name: "" if name == "default" else f"no {name} here"
    )
    monkeypatch.setattr(timing, "race", lambda crew, *_: {entrant.name: [1.0] for entrant in crew})
    crew = (Entrant("pool", "empty", "pool", KIB), Entrant("jemalloc", "empty", "plain", KIB, "jemalloc"))
    part = Race("1 KiB", KIB, (crew,), (Check("1 KiB", "pool", "jemalloc", cost(1.05)),))
    (result,) = part.run(TINY, silent)
    assert (result.figure, result.note) == (None, "no jemalloc here")


def test_a_race_whose_modules_are_missing_says_so():
    check = Check("piece", "pool", "plain", speed(1.0))
    part = Race("piece", KIB, (), (check,), needs=("a_module_that_nobody_has",))
    assert part.run(TINY, silent) == [
        Result(check, note="not installed: a_module_that_nobody_has (pip install bufpool[bench])")
    ]


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
    assert not settings & environment("default").keys()
    assert environment("glibc tuned")["GLIBC_TUNABLES"].count("glibc.malloc.") == 3
    assert environment("glibc raised")["GLIBC_TUNABLES"].count("glibc.malloc.") == 2


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
    monkeypatch.setattr("bufpool.cli.bench.worker._BOOT", "raise SystemExit(7)")
    with Worker() as worker, pytest.raises(WorkerError, match="ended with code 7"):
        worker.ready()


SHARED = ("buffer", "empty", "np.empty", "list", "queue")
HOWS = {
    "scratch": ("list", "calls", "with"),
    "four": ("plain", "pool", "list", "dict", *array_peers.FOUR),
    "expression": ("plain", "pool", "out", *array_peers.EXPRESSION),
    "bytes": ("pool", "bytearray", *array_peers.BYTES),
    **{
        f"same thread x {count}": (
            *SHARED,
            *("lease", "scratch", "scratch methods", "expression", "plain expression", "nothing"),
        )
        for count in threads.COUNTS
    },
    **{f"ring x {count}": SHARED for count in threads.COUNTS},
}

PACKAGES = {"four": array_peers.FOUR, "expression": array_peers.EXPRESSION, "bytes": array_peers.BYTES}


@pytest.fixture(scope="module")
def worker():
    """One process for all workloads: some of them leave a thread that waits for more."""
    with Worker() as worker:
        worker.ready()
        yield worker


@pytest.mark.parametrize(
    ("name", "how"),
    [
        (name, how)
        for name in workloads.WORKLOADS
        if name not in objects.WORKLOADS  # which have a file of their own
        for how in HOWS.get(name, ("plain", "pool"))
    ],
)
def test_every_workload_runs_in_every_way(worker, name, how):
    size = 64 * KIB
    if name in real_code.PIECES:
        for module in real_code.NEEDS:
            pytest.importorskip(module)
        size = 90 * 160 * real_code.BYTES_PER_PIXEL
    package = PACKAGES.get(name, {}).get(how)
    if package is not None and package.missing():
        pytest.skip(package.missing())
    if how == "numpy-allocator" and missing("mimalloc"):
        pytest.skip(missing("mimalloc"))
    worker.send_build(f"{name} {how}", name, how, size)
    worker.receive()
    assert worker.sample(f"{name} {how}", 2) > 0
