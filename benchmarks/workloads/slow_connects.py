"""A burst of clients on an empty pool of slow connections: how long they wait, and what that costs the server.

Each of forty clients needs a connection for a millisecond. A connect takes a hundred. So a few connections serve all
clients soon after the first one is there, and a pool that opens one for each client has gained nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from statistics import median
from types import SimpleNamespace
from typing import Any

import bufpool
from benchmarks.harness.packages import Package
from benchmarks.peers.connection_pools import LIBPQ, Connection, idle_state

CLIENTS = 40
WORKERS = 3
CONNECT, USE = 0.1, 0.001  # seconds


class Server:
    """Counts who connects."""

    def __init__(self, state: object) -> None:
        self.state = state
        self.connects = self.now = self.most = 0
        self._lock = threading.Lock()

    def connect(self, *_: object, **__: object) -> Connection:
        with self._lock:
            self.connects += 1
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(CONNECT)
        with self._lock:
            self.now -= 1
        return Connection(self.state)


def _psycopg(pools: Any, server: Server) -> tuple[Callable[[], AbstractContextManager[Any]], Callable[[], None]]:
    connections = SimpleNamespace(connect=server.connect)
    pool = pools.ConnectionPool(
        min_size=0, max_size=CLIENTS, num_workers=WORKERS, open=True, connection_class=connections
    )
    return pool.connection, pool.close


PSYCOPG: Package[Any] = Package("psycopg-pool", "psycopg_pool", _psycopg, LIBPQ)


def burst(how: str) -> dict[str, float]:
    """Median wait in seconds, connects at once, connections in all. "workers" and "no workers" are ours."""
    server = Server(idle_state() if how == "psycopg_pool" else None)
    if how == "psycopg_pool":
        lease, close = PSYCOPG.make(server)
    else:
        pool = bufpool.Pool(
            server.connect, max_size=CLIENTS, workers=WORKERS if how == "workers" else 0, close=Connection.close
        )
        lease, close = pool.lease, pool.close
    waits: list[float] = []
    start = threading.Barrier(CLIENTS)

    def client() -> None:
        start.wait()
        began = time.perf_counter()
        with lease():
            waits.append(time.perf_counter() - began)
            time.sleep(USE)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    time.sleep(1.5 * CONNECT)  # what is still in the making
    close()
    return {"median wait": median(waits), "at once": float(server.most), "connections": float(server.connects)}
