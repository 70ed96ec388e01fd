"""Sizes as text, such as "512 MiB": one grammar for arguments, the command line and the environment."""

from __future__ import annotations

import operator
import re
from typing import Any

from bufpool.errors import SettingError
from bufpool.memory.container import available_memory

__all__ = ["MOST", "nbytes", "parse_size"]

#: What a size looks like, for messages.
ALLOWED = (
    "a number of bytes ('4096'), a number with a unit ('1.5 GiB'; B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, "
    "or K, M, G, T for the last four) or a share of the memory ('25%')"
)
#: The largest size.
MOST = (1 << 63) - 1

_UNITS = {"": 1, "b": 1}
_UNITS.update(kb=10**3, mb=10**6, gb=10**9, tb=10**12)
_UNITS.update(kib=1 << 10, mib=1 << 20, gib=1 << 30, tib=1 << 40)
_UNITS.update(k=1 << 10, m=1 << 20, g=1 << 30, t=1 << 40)

# A fraction is kept as digits: no rounding before the end.
_SIZE = re.compile(r"(?P<whole>[0-9]{1,19})(?:\.(?P<fraction>[0-9]{1,9}))?(?: ?(?P<unit>[A-Za-z]+|%))?")


def parse_size(text: str) -> int:
    """Return the number of bytes that a string such as "512 MiB" stands for.

    A size is ``number``, ``number unit`` or ``number%``, with at most one space before the unit. A number is decimal.
    It may have a fraction if the unit is larger than a byte: "1.5 GiB". The units kB, MB, GB and TB are powers of 1000;
    KiB, MiB, GiB and TiB, or K, M, G and T, are powers of 1024; B is a byte. Upper and lower case mean the same. A
    percentage is a share of the memory that the process may use: the machine's, or its container's if that is less.
    Fractions of a byte are dropped.

    Raises
    ------
    ValueError
        The string is not a size. The message begins with "must be".
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"must be {ALLOWED}, not {text!r}")
    whole, fraction, unit = match["whole"], match["fraction"] or "", (match["unit"] or "").lower()
    if unit == "%":
        return _share(text, int(whole + fraction), 100 * 10 ** len(fraction))
    # Not `get`: without the GIL it has a lock, which the child of a fork may find shut.
    factor = _UNITS[unit] if unit in _UNITS else None  # noqa: SIM401
    if factor is None or (fraction and factor == 1):
        raise ValueError(f"must be {ALLOWED}, not {text!r}")
    size: int = int(whole + fraction) * factor // 10 ** len(fraction)
    if size > MOST:
        raise ValueError(f"must be less than 8 EiB, not {text!r}")
    return size


def _share(text: str, part: int, of: int) -> int:
    if part > of:
        raise ValueError(f"must be from '0%' to '100%' of the memory, not {text!r}")
    memory = available_memory()
    if memory is None:
        raise ValueError(
            f"must be a number of bytes, not {text!r}: the system does not say how much memory there is"
        )
    return part * memory // of


def nbytes(what: str, value: Any, name: str) -> int | None:
    """Check a setting that is a number of bytes, a text (see `parse_size`) or None."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError as error:
            raise SettingError(f"pool {name!r}: {what} {error}") from None
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"pool {name!r}: {what} must be a whole number of bytes, a text such as '2 GiB', or None, not {value!r}"
        ) from None
    if isinstance(value, bool) or not 0 <= number < 1 << 63:
        raise SettingError(
            f"pool {name!r}: {what} must be 0 bytes or more and less than 8 EiB, or None, not {value!r}"
        )
    return number
