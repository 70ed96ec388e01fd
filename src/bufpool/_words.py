"""Words that depend on a number, for messages that people read."""

from __future__ import annotations

__all__ = ["plural"]


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
