"""Code that type checkers must refuse; it is never run.

Each line says which error mypy and pyright report. Both also report a comment that hides nothing, so a mistake that is
no longer noticed fails `make typecheck`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import bufpool
from bufpool.resources import dbapi, workers


def wants_bytes(a: NDArray[np.uint8]) -> None: ...


def arrays(pool: bufpool.BufferPool) -> None:
    wants_bytes(pool.empty(3))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    floats = pool.empty(3, np.float32)
    wants_bytes(floats)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pool.empty("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pool.empty(3, np.uint8, "A")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    pool.empty(3, order="F", alignment="64")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    with pool.lease(3, np.float32) as a:
        wants_bytes(a)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pool.scratch(3, np.uint8).release(a)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pool.lease(3, np.float32).sum()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    pool.limit = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    pool.buffer(1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bufpool.BufferPool(upstream="huge")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bufpool.BufferPool(limit=b"1 GiB")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bufpool.BufferPool(max_size=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    @pool
    def double(a: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.add(a, a)

    double("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    double(by=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def objects() -> None:
    pool = bufpool.Pool(list[int])
    pool.release("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bufpool.Pool(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bufpool.Pool(list[int], overflow="grow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bufpool.Pool(list[int], max_sise=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bufpool.Pool(list[int], reset=str.strip)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    pool.try_acquire().append(3)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


async def tasks(pool: bufpool.AsyncPool[bytearray], for_threads: bufpool.Pool[bytearray]) -> None:
    async with for_threads.lease():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with pool.lease():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with pool.lease() as c:
        c.recv(3)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    pool.acquire().append(3)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def recipes() -> None:
    dbapi.sqlite("app.db", max_sise=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    dbapi.sqlite("app.db", max_size="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    dbapi.sqlite("app.db", on_return="keep")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    dbapi.connections(dict)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    workers.threads(unfinished="kill")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
