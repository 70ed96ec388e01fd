"""Tests of `benchmarks`, which is in the checkout and in the sdist, and is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.checkout import ROOT

FOUND = (ROOT / "benchmarks" / "__init__.py").exists()
if not FOUND:
    collect_ignore_glob = ["test_*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not FOUND:
        terminalreporter.write_line("left out: tests/benchmarks, which needs the checkout")


@pytest.fixture(scope="module")
def worker() -> Iterator[Any]:
    """One process for all workloads of a module: contenders leave threads and event loops behind."""
    from benchmarks.harness.worker import Worker

    with Worker() as worker:
        worker.ready()
        yield worker
