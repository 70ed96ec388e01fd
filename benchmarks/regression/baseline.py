"""The ratios of an earlier state, as pytest-benchmark stores them, and whether they say anything here."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from bufpool._words import plural
from bufpool.cli.bench import machine

FILE = Path(__file__).with_name("baseline.json")
#: So much more than the baseline is a regression.
ALLOWED = 0.25


class BaselineError(ValueError):
    """The stored ratios cannot be read."""


def here() -> str:
    """This interpreter and processor."""
    found = f"{platform.python_implementation()} {'.'.join(platform.python_version_tuple()[:2])}"
    return f"{found}, {platform.machine()}, {machine.describe()['cpu']}"


def of() -> str:
    """The interpreter and processor that the baseline is of."""
    return _read()[0]


def medians() -> dict[str, float]:
    """The stored ratios, by the name of the test's parameter."""
    return _read()[1]


def _read() -> tuple[str, dict[str, float]]:
    """
    Raises
    ------
    BaselineError
        There is no such file, or it is none that pytest-benchmark wrote for these ratios.
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
