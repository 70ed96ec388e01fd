"""Sizes and counts as text."""

from __future__ import annotations

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def size_label(size: int) -> str:
    """A number of bytes in the largest unit that is not larger than it."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def plural(number: float, singular: str, plural: str = "") -> str:
    """The form of a noun that agrees with `number`."""
    return singular if number == 1 else plural or f"{singular}s"
