"""What every run of the suite says first, and the pool that most tests use."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import bufpool
from tests.support.accounting import all_back
from tests.support.postgres_server import Server, serve
from tests.support.programs import Programs

os.environ.pop("BUFPOOL_CONF", None)  # pools are tested with the defaults that they are documented with


def pytest_report_header() -> str:
    gil = "GIL off" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "GIL on"
    return f"bufpool {bufpool.__version__} from {Path(bufpool.__file__).parent}; NumPy {np.__version__}; {gil}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which ways to end a buffer or a lease are proven on this Python: see test_references.py."""
    said = [
        value
        for report in terminalreporter.stats.get("passed", ())
        for name, value in report.user_properties
        if name == "references"
    ]
    if said:
        terminalreporter.section("references on this Python")
        for line in said:
            terminalreporter.write_line(line)


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[bufpool.BufferPool]:
    """A pool, with the settings of the mark `pool`, that has lost nothing and holds nothing when the test is over."""
    mark = request.node.get_closest_marker("pool")
    pool = bufpool.BufferPool(name="tested", **(mark.kwargs if mark else {}))
    yield pool
    assert all_back(pool)


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Sends SIGINT, which Python leaves ignored if its parent did: a shell does for what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests that ask for it."""
    with serve() as server:
        yield server
