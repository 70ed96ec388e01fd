"""Three database connections and many clients: who waits how long, who gives up, and what a larger pool changes.

SQLite in a temporary file serves by default; ``--postgres "host=… dbname=…"`` asks a PostgreSQL server instead (with
psycopg). Every request is a query that keeps its connection busy for some milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import bufpool
from bufpool.resources import dbapi


def postgres(dsn: str) -> bufpool.Pool[Any]:
    import psycopg

    return dbapi.connections(lambda: psycopg.connect(dsn), max_size=3, name="postgres")


def sqlite(path: Path) -> bufpool.Pool[Any]:
    import sqlite3

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, check_same_thread=False)
        # A query that takes its time, under PostgreSQL's name for it.
        connection.create_function("pg_sleep", 1, time.sleep)
        return connection

    return dbapi.connections(connect, max_size=3, name="sqlite")


class Client(threading.Thread):
    """Makes its requests, one after the other, and notes how long it waited for a connection each time."""

    def __init__(self, pool: bufpool.Pool[Any], query: str, requests: int, patience: float) -> None:
        super().__init__()
        self.pool, self.query, self.requests, self.patience = pool, query, requests, patience
        self.waited: list[float] = []
        self.refusal: bufpool.errors.PoolTimeoutError | None = None

    def run(self) -> None:
        for _ in range(self.requests):
            asked = time.perf_counter()
            try:
                with self.pool.lease(timeout=self.patience) as connection:
                    self.waited.append(time.perf_counter() - asked)
                    connection.execute(self.query).fetchone()
            except bufpool.errors.PoolTimeoutError as error:
                self.refusal = error
                return


def rush(pool: bufpool.Pool[Any], query: str, args: argparse.Namespace, patience: float) -> list[Client]:
    """All clients at once; returns when all are done."""
    clients = [Client(pool, query, args.requests, patience) for _ in range(args.clients)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return clients


def account(pool: bufpool.Pool[Any], clients: list[Client]) -> float:
    """Print who waited how long; return the mean in seconds."""
    waits = [wait for client in clients for wait in client.waited]
    means = sorted(statistics.mean(client.waited) for client in clients if client.waited)
    print(
        f"  {len(waits)} requests on {pool.size} connections of at most {pool.max_size}: "
        f"waited {1e3 * statistics.mean(waits):.1f} ms on average, {1e3 * max(waits):.1f} ms at most"
    )
    print(f"  the luckiest client {1e3 * means[0]:.1f} ms on average, the unluckiest {1e3 * means[-1]:.1f} ms")
    if refused := [client.refusal for client in clients if client.refusal]:
        print(f"  {len(refused)} clients gave up; one was told: {refused[0]}")
    return statistics.mean(waits)


def tell(pool: bufpool.Pool[Any], database: str, args: argparse.Namespace) -> None:
    query = f"SELECT pg_sleep({args.busy})"
    with pool:
        print(f"{args.clients} clients, a query of {1e3 * args.busy:.0f} ms, {database}")
        print("Patient clients:")
        mean = account(pool, rush(pool, query, args, patience=60.0))
        print("  " + str(pool.advice()).replace("\n", "\n  "))

        print(f"Clients that wait {1e3 * args.patience:.0f} ms and no longer:")
        account(pool, rush(pool, query, args, args.patience))

        print("A pool that grows until the wait is at most twice the time of the query:")
        while mean > 2 * args.busy and pool.max_size < args.clients:
            pool.resize(max_size=min(2 * pool.max_size, args.clients))
            mean = account(pool, rush(pool, query, args, patience=60.0))

        stats = pool.stats()
        print(f"In all: {stats.checkouts} checkouts by {stats.created} connections, {stats.reuse_rate:.1%} reuse")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", metavar="DSN", help="a server to ask, instead of SQLite")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--requests", type=int, default=10, help="for each client")
    parser.add_argument("--busy", type=float, default=0.005, help="seconds that a query takes")
    parser.add_argument("--patience", type=float, default=0.03, help="seconds that impatient clients wait")
    args = parser.parse_args()
    if args.postgres:
        tell(postgres(args.postgres), "PostgreSQL", args)
        return
    with tempfile.TemporaryDirectory() as folder:
        tell(sqlite(Path(folder, "app.db")), "SQLite", args)


if __name__ == "__main__":
    main()
