"""Settings: what is out of range is an error that names the pool, the setting, its range and what was given."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from bufpool import AsyncPool, BufpoolError, Pool
from bufpool.errors import SettingError
from tests.support.clients import Thing, usable

NAN, INF = math.nan, math.inf
SECONDS = "must be 0 seconds or more, or None"
OUT_OF_RANGE: dict[str, tuple[str, list[Any]]] = {
    "min_size": ("must be from 0 to 10", [-1, 11, True, 2**70]),
    "max_size": ("must be from 1 to 2147483647", [0, -1, 2**31, False]),
    "timeout": (SECONDS, [-1, -0.1, NAN, -INF, -(10**400)]),
    "max_waiting": ("must be from 0 to 2147483647", [-1, 2**31, True]),
    "overflow": ("must be one of wait, fail, create", ["", "WAIT", None, 1, ["wait"]]),
    "check_on": ("must be one of checkout, return, idle", ["", "never", ["checkout", "never"], [1]]),
    "check_after": (SECONDS, [-1, NAN]),
    "check_interval": (SECONDS, [-1, NAN]),
    "max_idle": (SECONDS, [-1e-9, NAN]),
    "max_lifetime": (SECONDS, [-1, NAN]),
    "max_uses": ("must be from 1 to 2147483647", [0, -1, True, 2**31]),
    "backoff": (
        "must be (first, longest) with 0 < first <= longest",
        [(0, 1), (2, 1), (None, 1), (1, None), (INF, INF)],
    ),
    "leak_threshold": (SECONDS, [-1, NAN]),
}
WRONG_KIND: dict[str, tuple[str, list[Any]]] = {
    "min_size": ("must be a whole number", [1.0, "1", None, NAN]),
    "max_size": ("must be a whole number", [1.5, "1", None, []]),
    "timeout": ("must be a number of seconds or None", ["1", [], 1j, object()]),
    "max_waiting": ("must be a whole number", [1.0, "1"]),
    "fair": ("must be True or False", [None, "no", 2, []]),
    "lifo": ("must be True or False", [None, "no", 2]),
    "check": ("must be callable", [1, "check", []]),
    "check_on": ("must be one of checkout, return, idle, or several of them", [1, None, object()]),
    "check_after": ("must be a number of seconds", ["1", []]),
    "check_interval": ("must be a number of seconds", ["1", []]),
    "reset": ("must be callable", [1]),
    "close": ("must be callable", [True]),
    "max_idle": ("must be a number of seconds or None", ["1"]),
    "max_lifetime": ("must be a number of seconds or None", [b"1"]),
    "max_uses": ("must be a whole number", [1.0]),
    "configure": ("must be callable", [1]),
    "on_acquire": ("must be callable", ["x"]),
    "backoff": ("must be two numbers of seconds or None", [1, (1,), (1, 2, 3)]),
    "discard_on": (
        "must be an exception type or a tuple of them",
        [1, "OSError", OSError(), [OSError], (OSError, 1)],
    ),
    "leak_threshold": ("must be a number of seconds or None", ["1"]),
    "debug": ("must be True or False", ["yes", 2]),
}


def cases(table: dict[str, tuple[str, list[Any]]]) -> list[Any]:
    return [
        pytest.param(what, expected, value, id=f"{what}-{number}")
        for what, (expected, values) in table.items()
        for number, value in enumerate(values)
    ]


kinds = pytest.mark.parametrize("kind", [Pool, AsyncPool])


@kinds
@pytest.mark.parametrize(("what", "expected", "value"), cases(OUT_OF_RANGE))
def test_setting_out_of_range(kind: Any, what: str, expected: str, value: Any) -> None:
    with pytest.raises(SettingError) as caught:
        kind(Thing, name="wrong", **{what: value})
    message = str(caught.value)
    assert message.startswith(f"pool 'wrong': {what} {expected}")
    assert re.search(r", not .+$", message)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, BufpoolError)


@kinds
@pytest.mark.parametrize(("what", "expected", "value"), cases(WRONG_KIND))
def test_setting_of_the_wrong_kind(kind: Any, what: str, expected: str, value: Any) -> None:
    with pytest.raises(TypeError, match="^pool 'wrong': ") as caught:
        kind(Thing, name="wrong", **{what: value})
    assert str(caught.value).startswith(f"pool 'wrong': {what} {expected}")


@kinds
def test_a_check_needs_a_moment(kind: Any) -> None:
    with pytest.raises(SettingError, match="pool 'wrong': check_on must name a moment when there is a check"):
        kind(Thing, name="wrong", check=bool, check_on=())


@kinds
def test_a_pause_between_checks_is_a_number(kind: Any) -> None:
    for what in ("check_after", "check_interval"):
        for value in (None, INF, 1e300):
            with pytest.raises(SettingError, match=f"pool 'wrong': {what} must be a number of seconds"):
                kind(Thing, name="wrong", **{what: value})


@kinds
@pytest.mark.parametrize("factory", [None, 1, "list"])
def test_a_factory_is_called(kind: Any, factory: Any) -> None:
    with pytest.raises(TypeError, match="pool 'wrong': factory must be callable, not"):
        kind(factory, name="wrong")


@kinds
@pytest.mark.parametrize("name", [1, b"name", []])
def test_a_name_is_a_word(kind: Any, name: Any) -> None:
    with pytest.raises(TypeError, match="name must be a str, not"):
        kind(Thing, name=name)


@kinds
def test_settings_have_names(kind: Any) -> None:
    with pytest.raises(TypeError):
        kind(Thing, 1)
    with pytest.raises(TypeError):
        kind(Thing, size=1)


LONG: list[Any] = [INF, 1e300, 1e9 + 1, pytest.param(10**400, id="10**400"), None]


@pytest.mark.parametrize("value", LONG)
@pytest.mark.parametrize("what", ["timeout", "max_idle", "max_lifetime", "leak_threshold"])
def test_a_time_may_have_no_end(what: str, value: Any) -> None:
    pool = Pool(Thing, **{what: value})
    assert usable(pool)
    pool.maintain()
    assert pool.idle == 10
    if what == "timeout":
        assert pool.timeout is None


@pytest.mark.parametrize("value", [1e9, 3e8, 1e-9, 5e-324, 0])
@pytest.mark.parametrize(
    "what", ["timeout", "max_lifetime", "leak_threshold", "check_after", "check_interval"]
)
def test_a_time_may_be_short_or_long(what: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bufpool.objects.maintenance_thread.register", lambda *_: None)
    pool = Pool(Thing, check=lambda thing: True, check_on=["checkout", "idle"], **{what: value})
    pool.release(pool.acquire())
    pool.maintain()
    with pool.lease():
        pass
    assert pool.in_use == 0


def test_what_was_set_can_be_read() -> None:
    pool = Pool(Thing, min_size=2, max_size=5, timeout=3, fair=True, lifo=False, name="mine")
    assert (pool.name, pool.min_size, pool.max_size, pool.timeout, pool.fair, pool.lifo) == (
        "mine", 2, 5, 3.0, True, False,
    )  # fmt: skip
    for what in (
        "name",
        "min_size",
        "max_size",
        "timeout",
        "fair",
        "lifo",
        "size",
        "idle",
        "in_use",
        "closed",
    ):
        with pytest.raises(AttributeError):
            setattr(pool, what, 1)
    first, second = Pool(Thing), Pool(Thing)
    assert re.fullmatch(r"objects-\d+", first.name)
    assert first.name != second.name
    assert repr(pool) == "<Pool 'mine': 0 of 5 objects in use, 0 idle>"
