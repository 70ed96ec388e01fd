"""The ways to ask a pool for memory, and what a refusal must be like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool, BufpoolError
from tests.support.accounting import conserved

LIMIT = 1 << 20  # bytes
MAX_BLOCK = 1 << 46  # bytes: 64 TiB
PROTOTYPE = np.zeros(3, "u1")

Ask = Callable[[BufferPool, Any], Any]
BY_SHAPE: dict[str, Ask] = {
    "empty": lambda pool, shape: pool.empty(shape, "u1"),
    "zeros": lambda pool, shape: pool.zeros(shape, "u1"),
    "ones": lambda pool, shape: pool.ones(shape, "u1"),
    "full": lambda pool, shape: pool.full(shape, 5, "u1"),
    "empty_like": lambda pool, shape: pool.empty_like(PROTOTYPE, shape=shape),
    "zeros_like": lambda pool, shape: pool.zeros_like(PROTOTYPE, shape=shape),
    "lease": lambda pool, shape: pool.lease(shape, "u1").__enter__(),
    "scratch": lambda pool, shape: pool.scratch(shape, "u1").acquire(),
    "prewarm": lambda pool, shape: pool.prewarm(1, shape, "u1"),
}
BY_SIZE: dict[str, Ask] = BY_SHAPE | {"buffer": lambda pool, nbytes: pool.buffer(nbytes)}


def asking(ways: dict[str, Ask]) -> Any:
    return pytest.mark.parametrize("ask", ways.values(), ids=ways)


def refused(
    pool: BufferPool, kind: type[Exception], base: type[Exception], ask: Callable[[], Any], *says: object
) -> None:
    """It raises exactly `kind`, which is a `base` too; the message names the pool and `says`; nothing is lost."""
    with pytest.raises(base) as caught:
        ask()
    assert type(caught.value) is kind
    assert isinstance(caught.value, BufpoolError)
    message = str(caught.value)
    assert [each for each in ("'tested'", *map(str, says)) if each not in message] == []
    caught.value.__traceback__ = caught.value.__context__ = caught.value.__cause__ = None
    del caught
    assert conserved(pool)
    assert pool.stats().in_use_bytes == 0
