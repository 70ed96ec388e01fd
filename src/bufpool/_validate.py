"""Checks of settings. Each error names the pool, the setting, its range and the value that was given."""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import Any

from bufpool.errors import SettingError

__all__ = ["choice", "count", "flag", "seconds"]

LONGEST_WAIT = 1e9  # seconds; more means for ever, and would overflow the clock's nanoseconds


def seconds(what: str, value: Any, name: str) -> float | None:
    """Check a number of seconds. None: without end."""
    if value is None:
        return None
    if isinstance(value, (str, bytes)):
        raise TypeError(f"pool {name!r}: {what} must be a number of seconds or None, not {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an int beyond all floats
        number = float("inf") if value > 0 else float("-inf")
    except TypeError:
        raise TypeError(f"pool {name!r}: {what} must be a number of seconds or None, not {value!r}") from None
    if not number >= 0:
        raise SettingError(f"pool {name!r}: {what} must be 0 seconds or more, or None, not {value!r}")
    return None if number > LONGEST_WAIT else number


def count(what: str, value: Any, name: str, least: int, most: int) -> int:
    """Check a whole number and its range."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"pool {name!r}: {what} must be a whole number, not {value!r}") from None
    if isinstance(value, bool) or not least <= number <= most:
        raise SettingError(f"pool {name!r}: {what} must be from {least} to {most}, not {value!r}")
    return number


def flag(what: str, value: Any, name: str) -> bool:
    """Check True or False. A word such as "no" is refused: Python would count it as true."""
    with suppress(ValueError):  # an array, say, which is not equal to one thing
        if value in (True, False):
            return bool(value)
    raise TypeError(f"pool {name!r}: {what} must be True or False, not {value!r}")


def choice(what: str, value: Any, name: str, words: tuple[str, ...]) -> str:
    """Check that a value is one of the words."""
    if isinstance(value, str) and value in words:
        return value
    raise SettingError(f"pool {name!r}: {what} must be one of {', '.join(words)}, not {value!r}")
