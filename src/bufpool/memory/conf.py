"""The settings of a `BufferPool`, and ``BUFPOOL_CONF``, which changes their defaults from outside of a program.

The variable is a list such as ``max_retained=512MiB,max_idle=60``, as jemalloc's ``MALLOC_CONF`` is. It is read when
the process makes its first pool. A bad item is ignored with a warning: children inherit the variable, and a mistake in
it must not end a program that never heard of it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bufpool._validate import choice, flag, seconds
from bufpool.memory.sizes import nbytes, parse_size

__all__ = ["SETTINGS", "VARIABLE", "Setting", "checked"]

VARIABLE = "BUFPOOL_CONF"

UPSTREAMS = ("plain", "thp", "hugetlb", "malloc")


class Kind(NamedTuple):
    """How a kind of setting is checked.

    Attributes
    ----------
    check : callable
        Takes a setting's name, the value that a caller gave and the pool's name; returns the value or raises.
    read : callable
        Takes the text in ``BUFPOOL_CONF``; returns the value, or raises `ValueError` with a text like "must be ...".
    """

    check: Callable[[str, Any, str], Any]
    read: Callable[[str], Any]


class Setting(NamedTuple):
    """A setting of a pool: its kind, its default, and the sentence that explains it everywhere."""

    kind: Kind
    default: Any
    meaning: str


def _read_size(text: str) -> int | None:
    return None if text == "none" else parse_size(text)


def _read_seconds(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return seconds("", float(text if text.isascii() else ""), "")
    except ValueError:
        raise ValueError(f"must be 0 seconds or more, or 'none', not {text!r}") from None


def _read_flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"must be 'true' or 'false', not {text!r}")
    return text == "true"


def _check_upstream(what: str, value: Any, pool: str) -> str:
    return choice(what, value, pool, UPSTREAMS)


def _read_upstream(text: str) -> str:
    if text not in UPSTREAMS:
        raise ValueError(f"must be one of {', '.join(UPSTREAMS)}, not {text!r}")
    return text


SIZE = Kind(nbytes, _read_size)
SECONDS = Kind(seconds, _read_seconds)
FLAG = Kind(flag, _read_flag)
UPSTREAM = Kind(_check_upstream, _read_upstream)

#: The settings with a default that ``BUFPOOL_CONF`` can change, in the order of `BufferPool`'s parameters.
SETTINGS = {
    "limit": Setting(SIZE, None, "Maximum bytes the pool may hold, in use plus idle."),
    "max_retained": Setting(SIZE, None, "Maximum bytes the pool keeps idle; the system gets back the rest."),
    "max_idle": Setting(SECONDS, 10.0, "Seconds until memory that stays idle goes back to the system."),
    "timeout": Setting(SECONDS, 0.0, "Seconds that a request waits at the limit."),
    "upstream": Setting(UPSTREAM, "thp", "Where the pool's memory comes from."),
    "mlock": Setting(FLAG, False, "Lock the memory, so that it is never swapped out."),
    "prefault": Setting(FLAG, False, "Touch memory when it is mapped, not at its first use."),
    "wipe": Setting(FLAG, False, "Clear every block before it is used again, so that it shows no old data."),
    "maintenance_thread": Setting(FLAG, True, "Give idle memory back even while nobody calls the pool."),
    "tune_malloc": Setting(FLAG, True, "Keep glibc's ``malloc`` fast for other libraries."),
}

# Those of this process, once they were read. Not an item of a dictionary: without the GIL `get` takes a lock.
_defaults: dict[str, Any] | None = None


def checked(pool: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked settings of a pool: those given, and for each ``...`` the default of this process."""
    global _defaults
    # No lock, which a fork could leave shut in the child: of two readings at once one is dropped.
    defaults = _defaults
    if defaults is None:
        items, mistakes = parse(os.environ.get(VARIABLE, ""))
        built_in = {what: setting.default for what, setting in SETTINGS.items()}
        defaults = _defaults = built_in | items
        for mistake in mistakes:
            # Points at the call of `BufferPool`: above this function and its __init__.
            warnings.warn(f"{VARIABLE}: {mistake}; the item is ignored", RuntimeWarning, stacklevel=3)
    chosen = {what: defaults[what] if given[what] is ... else given[what] for what in SETTINGS}
    return {what: SETTINGS[what].kind.check(what, value, pool) for what, value in chosen.items()}


def parse(text: str) -> tuple[dict[str, Any], list[str]]:
    """Read a list of items; returns the settings, and a sentence for each bad item."""
    items: dict[str, Any] = {}
    mistakes: list[str] = []
    for item in filter(None, map(str.strip, text.split(","))):
        what, separator, value = (part.strip() for part in item.partition("="))
        if not separator or what not in SETTINGS:
            mistakes.append(f"expected NAME=VALUE with one of the names {', '.join(SETTINGS)}, not {item!r}")
            continue
        try:
            items[what] = SETTINGS[what].kind.read(value)
        except ValueError as error:
            mistakes.append(f"{what} {error}")
    return items, mistakes
