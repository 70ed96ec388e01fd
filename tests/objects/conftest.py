"""What tests of object pools share: tests that are coroutines, and a factory that remembers its objects."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Iterator

import pytest

from tests.support.clients import Maker
from tests.support.factories import Gates


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No maintenance thread: only the test maintains its pools."""
    monkeypatch.setattr("bufpool.objects.maintenance_thread.register", lambda pool, within=None: None)


@pytest.fixture
def gates() -> Iterator[Gates]:
    """Gates that the end of the test opens, so that no thread stays behind."""
    mine = Gates()
    yield mine
    mine.open()


@pytest.fixture
def collected_never() -> Iterator[None]:
    """No cycle is collected while the test runs."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
