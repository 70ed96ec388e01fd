"""The default settings of a `BufferPool`, and ``BUFPOOL_CONF``, which changes them from outside of a program.

The variable is a list such as ``max_retained=512MiB,max_idle=60``, as jemalloc's ``MALLOC_CONF`` is. It is read when
the process makes its first pool. An item that means nothing is ignored with a warning: children inherit the variable,
and a mistake in it must not end a program that never heard of it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

from bufpool._validate import seconds
from bufpool.memory.sizes import parse_size

__all__ = ["UPSTREAMS", "VARIABLE", "with_defaults"]

VARIABLE = "BUFPOOL_CONF"

UPSTREAMS = ("plain", "thp", "hugetlb", "malloc")  # where a pool's memory comes from

#: What a pool is made with where neither the caller nor the variable says anything.
BUILT_IN: dict[str, Any] = {
    "limit": None,
    "max_retained": None,
    "max_idle": 10.0,
    "timeout": 0.0,
    "upstream": "thp",
    "mlock": False,
    "prefault": False,
    "wipe": False,
    "maintenance_thread": True,
    "tune_malloc": True,
}

_in_force: dict[str, dict[str, Any]] = {}


def with_defaults(**given: Any) -> dict[str, Any]:
    """Return the settings of a pool: those given, and in the place of each ``...`` the default of this process."""
    # No lock, which a fork could leave shut in the child: of two readings at once one is dropped.
    defaults = _in_force.get(VARIABLE)
    if defaults is None:
        items, mistakes = parse(os.environ.get(VARIABLE, ""))
        defaults = _in_force.setdefault(VARIABLE, BUILT_IN | items)
        for mistake in mistakes:
            # Points at the call of `BufferPool`: above this function and its __init__.
            warnings.warn(f"{VARIABLE}: {mistake}; the item is ignored", RuntimeWarning, stacklevel=3)
    return {what: defaults[what] if value is ... else value for what, value in given.items()}


def parse(text: str) -> tuple[dict[str, Any], list[str]]:
    """Read a list of items; returns the settings, and a sentence for each item that is none."""
    items: dict[str, Any] = {}
    mistakes: list[str] = []
    for item in filter(None, map(str.strip, text.split(","))):
        what, separator, value = (part.strip() for part in item.partition("="))
        if not separator or what not in _READERS:
            mistakes.append(
                f"an item is NAME=VALUE with one of the names {', '.join(_READERS)}, not {item!r}"
            )
            continue
        try:
            items[what] = _READERS[what](value)
        except ValueError as error:
            mistakes.append(f"{what} {error}")
    return items, mistakes


def _size(text: str) -> int | None:
    return None if text == "none" else parse_size(text)


def _seconds(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return seconds("", float(text if text.isascii() else ""), "")
    except ValueError:
        raise ValueError(f"must be 0 seconds or more, or 'none', not {text!r}") from None


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"must be 'true' or 'false', not {text!r}")
    return text == "true"


def _upstream(text: str) -> str:
    if text not in UPSTREAMS:
        raise ValueError(f"must be one of {', '.join(UPSTREAMS)}, not {text!r}")
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "limit": _size,
    "max_retained": _size,
    "max_idle": _seconds,
    "timeout": _seconds,
    "upstream": _upstream,
    "mlock": _flag,
    "prefault": _flag,
    "wipe": _flag,
    "maintenance_thread": _flag,
    "tune_malloc": _flag,
}
