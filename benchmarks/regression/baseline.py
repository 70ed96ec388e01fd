"""The stored ratios of an earlier state, and the machine that they were measured on."""

from __future__ import annotations

import json
import platform
from pathlib import Path

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


def store(ratios: dict[str, float]) -> None:
    document = {"machine": this_machine(), "ratios": ratios}
    FILE.write_text(json.dumps(document, indent=4) + "\n", encoding="utf-8")


def read() -> tuple[str, dict[str, float]]:
    """
    Returns
    -------
    tuple[str, dict[str, float]]
        The machine that the ratios are of, and each ratio by its name.

    Raises
    ------
    BaselineError
        The file does not exist, or `store` did not write it.
    """
    try:
        text = FILE.read_text(encoding="utf-8")
    except OSError as error:
        raise BaselineError(f"{FILE}: {error.strerror}; `make baseline` stores one") from error
    try:
        document = json.loads(text)
        found = {str(name): float(ratio) for name, ratio in document["ratios"].items()}
        return str(document["machine"]), found
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise BaselineError(
            f"{FILE}: {len(text)} {plural(len(text), 'character that is', 'characters that are')} no baseline "
            f"({what}); `make baseline` stores one"
        ) from error
