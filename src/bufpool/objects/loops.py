"""Whether the program uses asyncio, which takes as long to import as all of this package."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["imported_asyncio"]

_asyncio: Any = None
_modules = 0  # how many there were at the last look


def imported_asyncio() -> Any:
    """Return the module `asyncio`, or None if nobody has imported it.

    Without the GIL a look into ``sys.modules`` takes the lock of that dictionary. A daemon thread that is stopped in
    the middle, because Python ends, keeps it, and the end waits for ever. So there is a look only when modules have
    come or gone.
    """
    global _asyncio, _modules
    if _asyncio is None and (now := len(sys.modules)) != _modules:
        _modules = now
        _asyncio = sys.modules.get("asyncio")
    return _asyncio
