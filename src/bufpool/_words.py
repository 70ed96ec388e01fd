"""Numbers as people read them: nouns that agree with a number, bytes and times with a unit."""

from __future__ import annotations

__all__ = ["amount", "duration", "exact", "plural", "readable"]

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def plural(number: float, one: str, many: str = "") -> str:
    """Return the noun, or noun and verb, that agrees with a number.

    Parameters
    ----------
    number : int or float
        How many there are.
    one : str
        For exactly one.
    many : str, optional
        For any other number. Default: `one` with an "s".

    Examples
    --------
    >>> from bufpool._words import plural
    >>> [f"{n} {plural(n, 'object')}" for n in (0, 1, 2)]
    ['0 objects', '1 object', '2 objects']
    """
    return one if number == 1 else many or f"{one}s"


def readable(count: int) -> str:
    """Return a number of bytes with the unit that suits it, one decimal from KiB up.

    Examples
    --------
    >>> from bufpool._words import readable
    >>> [readable(n) for n in (0, 1023, 1024, -1536, 1 << 30, (1 << 30) - 1)]
    ['0 B', '1,023 B', '1.0 KiB', '-1.5 KiB', '1.0 GiB', '1.0 GiB']
    """
    if abs(count) < 1024:
        return f"{count:,} B"
    power = min((abs(count).bit_length() - 1) // 10, len(UNITS) - 1)
    if round(abs(count) / 1024**power, 1) == 1024 and power < len(UNITS) - 1:
        power += 1  # 1023.96 MiB would be printed as 1024.0 MiB
    return f"{count / 1024**power:,.1f} {UNITS[power]}"


def amount(count: int) -> str:
    """Return a number of bytes as a sentence says it, without decimals if it is a multiple of its unit.

    Examples
    --------
    >>> from bufpool._words import amount
    >>> [amount(n) for n in (0, 1, 1000, 1024, 1025, 16 << 20, 3 << 29)]
    ['0', '1 byte', '1000 bytes', '1 KiB', '1.0 KiB', '16 MiB', '1.5 GiB']
    """
    if count < 1024:
        return f"{count} {plural(count, 'byte')}" if count else "0"
    unit = 1 << (count.bit_length() - 1) // 10 * 10
    return readable(count).replace(".0 ", " ") if count % unit == 0 else readable(count)


def exact(count: int) -> str:
    """Return a number of bytes to the last one, for two that look the same rounded.

    Examples
    --------
    >>> from bufpool._words import exact
    >>> exact(1_179_648)
    '1,179,648 bytes'
    """
    return f"{count:,} {plural(count, 'byte')}"


def duration(seconds: float) -> str:
    """Return a time with the unit that suits it, to three digits.

    Examples
    --------
    >>> from bufpool._words import duration
    >>> [duration(t) for t in (0, 3e-7, 0.0123, 0.9999, 75, 7260)]
    ['0 ns', '300 ns', '12.3 ms', '1 s', '75 s', '7,260 s']
    """
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
    # 0.9995 s is 1 s, and not 1e+03 ms.
    unit, name = next((each for each in units if abs(seconds) >= 0.9995 * each[0]), units[-1])
    number = seconds / unit
    return f"{number:,.0f} {name}" if abs(number) >= 999.5 else f"{number:.3g} {name}"
