"""What type checkers are told is what happens: the parts that neither mypy's stubtest nor a checker sees.

``typed`` has what the checkers themselves are held to.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import bufpool
from bufpool.resources import Settings


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
