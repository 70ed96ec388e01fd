"""What a waiter runs between its looks, in whatever pool."""

from __future__ import annotations

__all__ = ["BREATHE"]

# A bytecode lets CPython deliver what it keeps for this thread. Without the GIL those are also objects of ours whose
# last reference another thread dropped, and they may hold what is waited for.
BREATHE = compile("None", "<bufpool waits>", "eval")
