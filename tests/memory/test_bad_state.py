"""A pool that is closed, or was never set up, and settings that cannot be: refused by name, and nothing is lost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import bufpool
from bufpool import (
    BufferPool,
    ClosedError,
    SettingError,
    SizeError,
)
from tests.support.accounting import all_back
from tests.support.refusals import BY_SIZE, LIMIT, MAX_BLOCK, Ask, asking, refused

pytestmark = pytest.mark.pool(limit=LIMIT)


# --- a closed pool ---

AFTER_CLOSING: dict[str, Ask] = BY_SIZE | {
    "array": lambda pool, _: pool.array([1, 2]),
    "ones_like": lambda pool, _: pool.ones_like([1, 2]),
    "full_like": lambda pool, _: pool.full_like([1, 2], 5),
    "ascontiguousarray": lambda pool, _: pool.ascontiguousarray([1, 2]),
    "install": lambda pool, _: pool.install(),
    "with": lambda pool, _: pool.__enter__(),
    "decorated": lambda pool, _: pool(len)("abc"),
}


@asking(AFTER_CLOSING)
def test_closed_pool(pool: BufferPool, ask: Ask) -> None:
    pool.close()
    refused(pool, ClosedError, RuntimeError, lambda: ask(pool, 1000), "closed")


def test_closed_pool_takes_back_what_is_out(pool: BufferPool) -> None:
    a, buffer = pool.full(1000, 1, "u1"), pool.buffer(1000)
    pool.close()
    pool.close()
    assert pool.closed
    assert (a == 1).all()
    assert pool.stats().in_use_bytes == 2048
    del a
    buffer.release()
    assert pool.stats()[:3] == (0, 0, 0)
    assert pool.trim() == 0


def test_pool_that_was_never_initialised() -> None:
    pool = BufferPool.__new__(BufferPool)
    with pytest.raises(ClosedError, match="not set up"):
        pool.empty(3)
    with pytest.raises(ClosedError, match="not set up"):
        pool.array([3])
    assert (pool.closed, pool.stats().reserved_bytes, pool.trim()) == (True, 0, 0)
    assert "not set up" in repr(pool)
    pool.close()


def test_pool_is_initialised_once(pool: BufferPool) -> None:
    a = pool.full(3, 1.0)
    with pytest.raises(RuntimeError, match="tested"):
        pool.__init__()  # type: ignore[misc]
    assert (a == 1).all()
    assert pool.limit == LIMIT


# --- settings ---

OUT_OF_RANGE = [
    ("limit", -1),
    ("limit", 1 << 63),
    ("limit", True),
    ("max_retained", -1),
    ("max_retained", 1 << 63),
    ("max_retained", False),
    ("max_idle", -1),
    ("max_idle", -0.001),
    ("max_idle", math.nan),
    ("max_idle", -math.inf),
    ("timeout", -1),
    ("timeout", -1e300),
    ("timeout", math.nan),
    ("timeout", -math.inf),
    ("upstream", "huge"),
    ("upstream", None),
    ("upstream", ["thp"]),
    ("upstream", 5),
]


@pytest.mark.parametrize(("setting", "value"), OUT_OF_RANGE)
def test_setting_out_of_range(pool: BufferPool, setting: str, value: Any) -> None:
    ask = lambda: BufferPool(name="tested", **{setting: value})  # noqa: E731
    refused(pool, SettingError, ValueError, ask, setting, repr(value))


@pytest.mark.parametrize("setting", ["max_idle", "timeout"])
@pytest.mark.parametrize(
    "value",
    [None, 0, 0.0, 1e-12, 5, 1e300, math.inf, 1 << 62, 10**400, np.float32(2)],
    ids=lambda v: str(v)[:9],
)
def test_long_and_short_times(setting: str, value: Any) -> None:
    """A time that is longer than any wait counts as no limit."""
    settings: dict[str, Any] = {setting: value}
    assert all_back(BufferPool(**settings))


WRONG_TYPES = [
    ("limit", 1.5),
    ("limit", b"256 MiB"),
    ("max_retained", 1e6),
    ("max_idle", "30"),
    ("timeout", b"1"),
    ("timeout", 1j),
    ("timeout", [1]),
    ("alignment", 64.0),
    ("alignment", None),
    ("name", 5),
    ("name", b"pool"),
]


@pytest.mark.parametrize(("setting", "value"), WRONG_TYPES)
def test_setting_of_a_wrong_type(setting: str, value: Any) -> None:
    settings = {setting: value}
    with pytest.raises(TypeError):
        BufferPool(**settings)


@pytest.mark.parametrize("ask", [lambda p: p.trim(-1), lambda p: p.prewarm(-1, 3)], ids=["trim", "prewarm"])
def test_negative_counts(pool: BufferPool, ask: Any) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool), -1)


@pytest.mark.parametrize("wrong", [None, 5, "a", [1], b"abc"], ids=repr)
def test_owns_takes_arrays(pool: BufferPool, wrong: Any) -> None:
    with pytest.raises(TypeError):
        pool.owns(wrong)


@pytest.mark.parametrize("nbytes", [-1, MAX_BLOCK + 1, 1 << 100])
def test_good_size_out_of_range(nbytes: int) -> None:
    with pytest.raises(SizeError, match=str(nbytes)):
        bufpool.good_size(nbytes)
