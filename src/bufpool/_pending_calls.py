"""What a waiting thread evaluates between two waits, in every kind of pool: so CPython runs its pending calls."""

from __future__ import annotations

__all__ = ["RUN_PENDING_CALLS"]

# CPython runs what is pending for a thread between two bytecodes. Without the GIL that includes the end of objects
# whose last reference another thread dropped, and such an object may hold what the thread waits for.
RUN_PENDING_CALLS = compile("None", "<bufpool waits>", "eval")
