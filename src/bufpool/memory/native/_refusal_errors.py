"""The errors that say why a pool has no memory for a request: the bound, and what is in use and idle."""

from __future__ import annotations

from bufpool._words import amount, exact
from bufpool.errors import ClosedError, LimitError, LimitTimeoutError, MemoryLockError, OutOfMemoryError, SizeError

__all__ = ["refusal"]


def refusal(
    name: str,
    why: str,
    *,
    nbytes: int,
    block_bytes: int,
    largest: int,
    limit: int,
    used: int,
    reserved: int,
    waited: float | None,
) -> Exception:
    """Return the error of a refused request; all sizes in bytes, `waited` in seconds, None if it did not wait."""
    state = f"({amount(used)} in use, {amount(max(used, reserved) - used)} idle)"
    if why == "closed":
        return ClosedError(f"pool {name!r} is closed{f': requested {amount(nbytes)}' if nbytes else ''} {state}")
    if why == "too_large":
        return SizeError(f"pool {name!r}: requested {amount(nbytes)}; the largest block has {amount(largest)}")
    asked, block, bound = amount(nbytes), amount(block_bytes), amount(limit)
    if why == "limit":
        if bound in (asked, block) and limit not in (nbytes, block_bytes):
            # Rounded they look the same.
            asked, block, bound = [exact(each) for each in (nbytes, block_bytes, limit)]
        rounded = "" if asked == block else f" (a block of {block})"
        text = f"pool {name!r}: requested {asked}{rounded}; the pool's limit is {bound} {state}"
        return LimitError(text) if waited is None else LimitTimeoutError(f"{text}; waited {waited:.3g} s")
    if why == "not_lockable":
        return MemoryLockError(
            f"pool {name!r}: the system refused to lock {block} in memory; see 'ulimit -l' {state}"
        )
    return OutOfMemoryError(f"pool {name!r}: the system has no memory for {block} {state}")
