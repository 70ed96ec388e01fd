"""What every test of arrays must leave as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.accounting import handler


@pytest.fixture(autouse=True)
def _nothing_stays_installed() -> Iterator[None]:
    assert handler() == "default_allocator"
    yield
    assert handler() == "default_allocator"
