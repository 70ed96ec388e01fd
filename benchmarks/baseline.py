"""The ratios of an earlier state, as pytest-benchmark stores them, and whether they say anything here."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from bufpool.cli.bench import machine

FILE = Path(__file__).with_name("baseline.json")
#: So much more than the baseline is a regression.
ALLOWED = 0.25


def here() -> str:
    """This interpreter and processor."""
    found = f"{platform.python_implementation()} {'.'.join(platform.python_version_tuple()[:2])}"
    return f"{found}, {platform.machine()}, {machine.describe()['cpu']}"


def of() -> str:
    """The interpreter and processor that the baseline is of; empty where there is none."""
    return str(_document()["machine_info"]["kind"]) if FILE.exists() else ""


def medians() -> dict[str, float]:
    """The stored ratios, by the name of the test's parameter."""
    return {each["param"]: each["stats"]["median"] for each in _document()["benchmarks"]}


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document
