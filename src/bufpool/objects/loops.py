"""Whether the program uses asyncio, which takes as long to import as all of this package."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["imported_asyncio"]

_asyncio: Any = None
_modules = 0  # how many there were when asyncio was not among them


def imported_asyncio() -> Any:
    """Return the module `asyncio`, or None if nobody has imported it.

    Without the GIL a look into ``sys.modules`` may take the lock of that dictionary. CPython may hand the lock to a
    daemon thread that waits for it, and stop that thread in the same moment because Python ends; then the end waits
    for ever. So there is a look only when modules have come or gone.
    """
    global _asyncio, _modules
    if _asyncio is None and (now := len(sys.modules)) != _modules:
        found = sys.modules.get("asyncio")
        if found is None:
            _modules = now
        elif hasattr(found, "current_task"):  # otherwise another thread is in the middle of the import
            _asyncio = found
    return _asyncio
