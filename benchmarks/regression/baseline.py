"""The stored ratios of an earlier state, and the machine that they were measured on."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from benchmarks.harness import machine
from benchmarks.harness.units import plural

FILE = Path(__file__).with_name("baseline.json")
#: A ratio that is larger than the baseline by more than this share is a regression.
ALLOWED = 0.25


class BaselineError(ValueError):
    """The stored ratios cannot be read."""


def this_machine() -> str:
    """This interpreter and processor."""
    found = f"{platform.python_implementation()} {'.'.join(platform.python_version_tuple()[:2])}"
    return f"{found}, {platform.machine()}, {machine.describe()['cpu']}"


def stored_machine() -> str:
    """The interpreter and processor of the baseline."""
    return _read()[0]


def medians() -> dict[str, float]:
    """The stored ratios, by the name of the test's parameter."""
    return _read()[1]


def _read() -> tuple[str, dict[str, float]]:
    """
    Raises
    ------
    BaselineError
        The file does not exist, or pytest-benchmark did not write it for these ratios.
    """
    try:
        text = FILE.read_text(encoding="utf-8")
    except OSError as error:
        raise BaselineError(f"{FILE}: {error.strerror}; `make baseline` stores one") from error
    try:
        document: dict[str, Any] = json.loads(text)
        found = {str(each["param"]): float(each["stats"]["median"]) for each in document["benchmarks"]}
        return str(document["machine_info"]["kind"]), found
    except (ValueError, KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise BaselineError(
            f"{FILE}: {len(text)} {plural(len(text), 'character that is', 'characters that are')} no baseline "
            f"({what}); `make baseline` stores one"
        ) from error
