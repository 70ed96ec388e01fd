"""Tests of `benchmarks`, which is in the checkout and in the sdist, and is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOUND = (ROOT / "benchmarks" / "__init__.py").exists()
if FOUND:
    sys.path.insert(0, str(ROOT))
else:
    collect_ignore_glob = ["test_*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not FOUND:
        terminalreporter.write_line("left out: tests/benchmarks, which needs the checkout")
