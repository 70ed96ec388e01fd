"""Pools and `os.fork`: the child begins with empty pools, because what the parent has open is the parent's."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bufpool.native._pool_core import PoolCore

__all__ = ["heed"]

# Not a WeakSet: its iteration is not safe against threads that add to it.
_cores: dict[int, weakref.ref[PoolCore]] = {}


def heed(core: PoolCore) -> None:
    """From now on forks take care of this pool."""
    key = id(core)
    _cores[key] = weakref.ref(core, lambda _: _cores.pop(key, None))


def _in_child() -> None:
    for reference in list(_cores.values()):
        if (core := reference()) is not None:
            core.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
