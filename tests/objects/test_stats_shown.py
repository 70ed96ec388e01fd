"""The figures of an object pool as a table, as HTML and as JSON."""

from __future__ import annotations

import json
import math

import pytest

import bufpool
from bufpool import Pool
from bufpool._tables import COLUMNS, width
from tests.support.clients import Thing

NAMES = ("database", "<b>&amp;", "x" * 300, "\N{CJK UNIFIED IDEOGRAPH-6C60}" * 100, "")


def rows(text: str) -> dict[str, str]:
    """The figure of each line below the title."""
    return {label.strip(): figure for label, _, figure in (line.rpartition(" ") for line in text.split("\n")[1:])}


def test_a_used_pool() -> None:
    pool = Pool(Thing, max_size=1, max_uses=40, name="database")
    for _ in range(100):
        with pool.lease():
            pass
    with pool.lease(), pytest.raises(bufpool.PoolTimeoutError):
        pool.acquire(0.01)
    stats = pool.stats()
    found = rows(str(stats))
    assert str(stats).startswith("pool 'database', at most 1 object\n")
    assert (found["idle"], found["checkouts"], found["objects created"]) == ("1", "101", "3")
    assert found["that reused an object"] == "97.0%"
    assert found["clients that waited"] == found["clients that waited in vain"] == "1"
    assert found["objects closed, max_uses"] == "2"
    assert "objects closed, broken" not in found
    assert "failures of the factory" not in found


def test_what_is_not_known_is_left_out() -> None:
    text = str(Pool(Thing).stats())
    assert "nan" not in text
    assert "mean time" not in text
    assert "reused" not in text


def test_a_change_and_a_closed_pool_say_so() -> None:
    pool = Pool(Thing, name="database", max_size=3)
    before = pool.stats()
    pool.close()
    assert str(pool.stats()).startswith("pool 'database', at most 3 objects, closed\n")
    assert str(pool.stats() - before).startswith("change of pool 'database'\n")
    assert [each.state for each in (before, pool.stats(), pool.stats() - before)] == ["open", "closed", "change"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_fits(name: str) -> None:
    stats = Pool(Thing, name=name).stats()
    assert max(map(width, str(stats).split("\n"))) <= COLUMNS
    shown = stats._repr_html_()
    assert shown.startswith("<table><caption>")
    assert "<b>" not in shown


def test_json_has_every_field() -> None:
    pool = Pool(Thing, name="database")
    with pool.lease():
        pass
    stats = pool.stats()
    found = json.loads(json.dumps(stats.as_dict(), allow_nan=False))
    assert list(found) == list(stats._fields)
    assert found["discards"] == dict(stats.discards)
    for name, value in stats._asdict().items():
        if name != "discards":
            unknown = isinstance(value, float) and math.isnan(value)
            assert found[name] == (None if unknown else value)
