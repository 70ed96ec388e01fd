"""Who holds the arrays that are still in use."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

import bufpool


def holders(pool: bufpool.BufferPool, most: int = 50) -> list[str]:
    """Return a line for each array of `pool` that something else can reach.

    The collector does not list arrays themselves: they hold no cycles. It lists what holds them.
    """
    found: dict[int, str] = {}
    for holder in gc.get_objects():
        for held in gc.get_referents(holder):
            if issubclass(type(held), np.ndarray) and id(held) not in found and pool.owns(held):
                found[id(held)] = f"{held.dtype} {held.shape}, {held.nbytes} bytes, in {_path(holder)}"
                if len(found) == most:
                    return list(found.values())
    return list(found.values())


def _path(holder: Any, depth: int = 4) -> str:
    """The holder, and what holds that, up to a module."""
    words = []
    seen = {id(holder)}
    while True:
        words.append(_name(holder))
        above = [
            each
            for each in gc.get_referrers(holder)
            if id(each) not in seen and type(each).__name__ not in ("frame", "list_iterator")
        ]
        if not above or isinstance(holder, type(np)) or len(words) == depth:
            return " < ".join(words)
        holder = above[0]
        seen.add(id(holder))


def _name(thing: Any) -> str:
    name = getattr(thing, "__qualname__", getattr(thing, "__name__", None))
    if isinstance(name, str):
        return f"{type(thing).__name__} {name}"
    if isinstance(thing, dict):
        return f"dict of {', '.join(map(str, list(thing)[:4]))}"
    return type(thing).__name__
