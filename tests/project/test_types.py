"""What type checkers are told is what happens: the parts that neither mypy's stubtest nor a checker sees.

``typed`` has what the checkers themselves are held to.
"""

from __future__ import annotations

import inspect
from typing import Any, get_args

import numpy as np
import pytest

import bufpool
from bufpool import _typing
from bufpool.resources import Settings

CODES = {
    name: get_args(alias)
    for name, alias in vars(_typing).items()
    if name.isidentifier() and any(isinstance(each, str) for each in get_args(alias)) and "Order" not in name
}


def keywords(function: Any) -> set[str]:
    return {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("pool", [bufpool.Pool, bufpool.AsyncPool])
def test_settings_are_the_keywords_of_a_pool(pool: Any) -> None:
    assert set(Settings.__annotations__) == keywords(pool)
    assert Settings.__required_keys__ == frozenset()


def test_all_codes_are_found() -> None:
    assert len(CODES) == 14
    assert sum(map(len, CODES.values())) == 50


@pytest.mark.parametrize(("name", "codes"), CODES.items())
def test_a_code_means_to_numpy_what_its_name_says(name: str, codes: tuple[str, ...]) -> None:
    """``F4`` is a float of four bytes, whatever the order of its bytes."""
    kinds = {np.dtype(code).newbyteorder("=") for code in codes}
    assert len(kinds) == 1
    (dtype,) = kinds
    assert name == ("Bool" if dtype.kind == "b" else f"{dtype.kind.upper()}{dtype.itemsize}")


@pytest.mark.parametrize("code", [code for codes in CODES.values() for code in codes])
def test_a_code_is_taken_where_checkers_take_it(code: str) -> None:
    pool = bufpool.BufferPool()
    made = [pool.empty(2, code), pool.zeros(2, code), pool.ones(2, code), pool.full(2, 1, code)]
    assert {each.dtype for each in made} == {np.dtype(code)}
    with pool.lease(2, code) as a, pool.scratch(2, code) as b:
        assert a.dtype == b.dtype == np.dtype(code)
