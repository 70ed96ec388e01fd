"""What drivers say of a connection's transaction without asking the server, and reports of those left open."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

from bufpool.objects.maintenance_thread import log

__all__ = ["LeftOpen", "is_idle", "is_left_open"]

#: libpq's names for the states of a connection.
IDLE, ACTIVE, INTRANS = 0, 1, 2

_OURS = f"{Path(__file__).parents[1]}{os.sep}"  # the folder of the package


def _status(connection: Any) -> int | None:
    """Return libpq's state of the connection, which psycopg and psycopg2 know; None for other drivers."""
    info = getattr(connection, "info", None)
    return None if info is None else getattr(info, "transaction_status", None)


def is_idle(connection: Any) -> bool:
    """Return whether the driver says that the connection is in no transaction."""
    return _status(connection) == IDLE


def is_left_open(connection: Any) -> bool:
    """Return whether a client returned the connection in an open transaction.

    psycopg, psycopg2, sqlite3, aiosqlite and asyncpg tell; for others the result is False. A failed transaction is not
    open: nothing of it can be committed.

    Raises
    ------
    RuntimeError
        The connection is in the middle of a query, as psycopg tells. A rollback could wait for ever.
    """
    status = _status(connection)
    if status == ACTIVE:
        raise RuntimeError("a client returned the connection in the middle of a query, a stream or a COPY")
    if status is not None:
        return status == INTRANS
    if hasattr(connection, "total_changes"):  # sqlite3, aiosqlite
        # With autocommit=False sqlite3 begins a transaction as soon as another one ends.
        return bool(connection.in_transaction) and getattr(connection, "autocommit", None) is not False
    says = getattr(connection, "is_in_transaction", None)  # asyncpg
    return says is not None and bool(says())


class LeftOpen:
    """Reports the transactions of one pool that clients left open: counts all, and warns once for each place."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a collection of garbage in there may return a connection, too
        self._count = 0
        self._places: set[tuple[str, int]] = set()

    def report(self) -> None:
        """Report that the pool has rolled back a transaction for the client that is on the stack."""
        if sys.exc_info()[1] is not None:
            return  # the client failed, and expects the rollback
        frame, level = sys._getframe(), 1  # pyright: ignore[reportPrivateUsage]
        while frame.f_code.co_filename.startswith(_OURS) and (caller := frame.f_back) is not None:
            frame, level = caller, level + 1
        place = frame.f_code.co_filename, frame.f_lineno
        with self._lock:
            self._count += 1
            count = self._count
            is_new = place not in self._places
            self._places.add(place)
        log().info("%s:%d: a transaction left open was rolled back, %d so far", *place, count)
        if is_new:
            try:
                warnings.warn(
                    "a connection was returned in an open transaction, which is rolled back: "
                    "commit what must stay, or choose another on_return",
                    ResourceWarning,
                    stacklevel=level,
                )
            except ResourceWarning as error:  # a filter makes it one, which would cost the connection
                log().warning("%s:%d: %s", *place, error)
