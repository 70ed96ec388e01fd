"""Where memory went: what trim could return and why not more, as a table, as HTML and as JSON."""

from __future__ import annotations

import html.parser
import json
import re
import sys
import threading
import unicodedata
from collections.abc import Callable

import numpy as np
import pytest

import bufpool
from bufpool import BufferPool, PoolStats
from bufpool._tables import COLUMNS, clipped, width
from bufpool._words import amount, readable
from tests.support.accounting import threads_ended

KIB, PAGE, MIB = 1 << 10, 1 << 12, 1 << 20

NAMES = {
    "plain": "frames",
    "markup": "<script src='https://example.org/x.js'>&amp;",
    "control characters": "a\nb\tc\x1b[31m\0",
    "long": "x" * 300,
    "wide": "\N{CJK UNIFIED IDEOGRAPH-6C60}" * 100,
    "combining": "e\N{COMBINING ACUTE ACCENT}" * 100,
    "a lone surrogate": "\ud800",
    "empty": "",
}


def held(pool: BufferPool) -> np.ndarray:
    """Small blocks of two slabs at least, of which one block stays in use."""
    arrays = [pool.empty(1000, "u1") for _ in range(3000)]
    return arrays[1500]


# --- where idle memory is ---


def test_trim_returns_what_was_predicted(pool: BufferPool) -> None:
    survivor = held(pool)
    large = pool.empty(3 * MIB, "u1")
    del large
    stats = pool.stats()
    assert stats.idle_bytes == 3 * MIB + 2999 * KIB
    assert 3 * MIB < stats.trimmable_bytes < stats.idle_bytes
    assert stats.cached_bytes == 0
    assert stats.pinned_bytes == stats.idle_bytes - stats.trimmable_bytes
    assert pool.trim() == stats.trimmable_bytes
    left = pool.stats()
    assert (left.trimmable_bytes, left.idle_bytes) == (0, stats.pinned_bytes)
    del survivor
    freed = pool.stats()
    assert (freed.pinned_bytes, freed.trimmable_bytes) == (0, freed.reserved_bytes)


def test_trim_reaches_what_another_thread_caches(pool: BufferPool) -> None:
    ready, end = threading.Event(), threading.Event()
    seen: list[PoolStats] = []

    def work() -> None:
        pool.empty(1000, "u1")
        seen.append(pool.stats())
        ready.set()
        end.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(60)
    try:
        stats = pool.stats()
        assert (stats.idle_bytes, stats.cached_bytes, stats.trimmable_bytes) == (KIB, KIB, 0)
        assert (seen[0].cached_bytes, seen[0].trimmable_bytes) == (0, KIB)  # its own cache it can return
        assert str(stats).endswith(
            "trim() would return all that is idle, also what other threads cache, 1.0 KiB."
        )
        assert sys.platform != "linux" or pool.trim() == KIB
    finally:
        end.set()
        thread.join()
    assert threads_ended(lambda: pool.stats().cached_bytes == 0)


def test_a_bounded_pool_returns_all_but_what_is_pinned() -> None:
    pool = BufferPool(limit=64 * MIB)
    survivor = held(pool)
    predicted = pool.stats().trimmable_bytes
    assert 0 < predicted == pool.trim()
    del survivor
    pool.close()
    assert pool.stats().idle_bytes == 0


# --- peaks, and bytes given back ---


def test_the_peak_of_all_that_was_reserved(pool: BufferPool) -> None:
    a = pool.empty(3 * MIB, "u1")
    del a
    b = pool.empty(5 * MIB, "u1")
    stats = pool.stats()
    most = stats.reserved_bytes
    assert (stats.peak_bytes, stats.peak_reserved_bytes) == (5 * MIB, most)
    assert most < 6 * MIB  # the second array took over the memory of the first one
    del b
    pool.trim()
    assert pool.stats().peak_reserved_bytes == most


def test_what_is_refused_is_no_peak() -> None:
    pool = BufferPool(limit=8 * MIB)
    a = pool.empty(5 * MIB, "u1")
    with pytest.raises(bufpool.LimitError):
        pool.empty(5 * MIB, "u1")
    assert pool.stats().peak_reserved_bytes == 5 * MIB
    del a


def test_bytes_given_back_have_the_reasons_of_their_blocks() -> None:
    pool = BufferPool(max_retained=4 * MIB)
    pool.empty(5 * MIB, "u1")
    pool.empty(3 * MIB, "u1")
    pool.trim()
    pool.empty(2 * MIB, "u1")
    pool.close()
    stats = pool.stats()
    assert list(stats.dropped_bytes) == list(stats.drops)
    given = dict(stats.dropped_bytes)
    assert given.pop("aged_out") == 0
    for reason, mebibytes in {"over_max_retained": 1, "trimmed": 4, "closed": 2}.items():
        assert mebibytes * MIB <= given[reason] <= mebibytes * MIB + 4 * PAGE
    assert "given back, trimmed: 1 time " in str(stats)


def test_a_difference_has_them_too(pool: BufferPool) -> None:
    pool.empty(5 * MIB, "u1")
    pool.trim()
    pool.empty(3 * MIB, "u1")
    before = pool.stats()
    pool.trim()
    change = pool.stats() - before
    assert change.dropped_bytes["trimmed"] == 3 * MIB
    assert (change.trimmable_bytes, change.pinned_bytes, change.peak_reserved_bytes) == (-3 * MIB, 0, 0)
    assert (change.name, change.state) == ("tested", "change")


# --- as a table ---


def test_the_table_says_where_memory_is(pool: BufferPool) -> None:
    survivor = held(pool)
    large = pool.empty(3 * MIB, "u1")
    stats = pool.stats()
    lines = {
        line.rsplit("  ", 1)[0].strip(): line.rsplit("  ", 1)[1] for line in str(stats).splitlines()[1:-1]
    }
    assert str(stats).startswith("BufferPool 'tested', no limit\n")
    assert lines["in use"] == "3.0 MiB"
    assert lines["idle"] == readable(2999 * KIB) == "2.9 MiB"
    assert lines["trim() would return"] == readable(stats.trimmable_bytes)
    assert lines["pinned by survivors"] == readable(stats.pinned_bytes)
    assert lines["in other threads' caches"] == "0 B"
    assert lines["in use and idle"] == readable(stats.reserved_bytes)
    assert lines["peak in use and idle"] == readable(stats.peak_reserved_bytes)
    pinned = readable(stats.pinned_bytes)
    assert str(stats).endswith(f"trim() cannot return more: blocks in use or cached pin {pinned}.")
    del survivor, large


def test_the_last_line_of_pools_says_what_is_left(pool: BufferPool) -> None:
    assert str(pool.stats()).endswith("trim() would return nothing: nothing is idle.")
    pool.empty(3 * MIB, "u1")
    assert str(pool.stats()).endswith("trim() would return all that is idle.")


def test_the_table_of_a_difference_promises_nothing(pool: BufferPool) -> None:
    before = pool.stats()
    pool.empty(3 * MIB, "u1")
    pool.trim()
    text = str(pool.stats() - before)
    assert text.startswith("change of BufferPool 'tested'\n")
    assert "cannot" not in text
    assert "-3.0 MiB" in str(before - pool.stats())


def test_state_and_limit_stand_in_the_title() -> None:
    pool = BufferPool(limit=3 << 29)
    pool.close()
    assert str(pool.stats()).splitlines()[0] == f"BufferPool {pool.name!r}, limit 1.5 GiB, closed"


def columns(line: str) -> int:
    """Of a terminal."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in line)
    return len(line) + wide - sum(map(bool, map(unicodedata.combining, line)))


@pytest.mark.parametrize("kind", NAMES)
def test_no_table_is_wider_than_a_terminal(kind: str) -> None:
    pool = BufferPool(limit=1 << 62, name=NAMES[kind])
    a = pool.empty(3 * MIB, "u1")
    for text in (str(pool.stats()), str(pool.stats() - pool.stats()), str(bufpool.pools())):
        assert max(map(columns, text.split("\n"))) <= COLUMNS == 80
        assert text.isprintable() or set(text) - set(filter(str.isprintable, text)) == {"\n"}
    del a


def test_the_widest_numbers_fit() -> None:
    stats = BufferPool().stats()
    huge = stats._replace(
        **{name: (1 << 64) - 1 for name in stats._fields if name.endswith("_bytes") and "drop" not in name}
    )
    assert max(map(columns, str(huge).splitlines())) <= 80
    assert max(map(columns, str(bufpool.PoolsReading([huge] * 5)).splitlines())) <= 80


def test_repr_stays_one_line() -> None:
    pool = BufferPool(name="a\nb")
    shown = repr(pool.stats())
    assert shown.startswith("PoolStats(in_use_bytes=0, ")
    assert "\n" not in shown
    shown = repr(bufpool.pools())
    assert shown.startswith("<PoolsReading: ")
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (-1536, "-1.5 KiB"),
        (MIB - 1, "1.0 MiB"),
        (MIB - 60, "1,023.9 KiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 46, "64.0 TiB"),
        ((1 << 64) - 1, "16.0 EiB"),
        (1 << 80, "1,048,576.0 EiB"),
    ],
)
def test_bytes_are_readable(nbytes: int, text: str) -> None:
    assert readable(nbytes) == text


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1025, "1.0 KiB"),
        (3 << 19, "1.5 MiB"),
        (16 * MIB, "16 MiB"),
        (16 * MIB - 1, "16.0 MiB"),
        (1023 * MIB, "1,023 MiB"),
        (MIB - 1, "1.0 MiB"),
        (1 << 46, "64 TiB"),
    ],
)
def test_only_whole_units_have_no_decimal_in_a_message(nbytes: int, text: str) -> None:
    assert amount(nbytes) == text


# --- in a notebook ---


class Seen(html.parser.HTMLParser):
    """Tags and words of a page; each tag that was opened must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


TABLES: dict[str, Callable[[BufferPool], str]] = {
    "stats": lambda pool: pool.stats()._repr_html_(),
    "difference": lambda pool: (pool.stats() - pool.stats())._repr_html_(),
    "pools": lambda pool: bufpool.pools()._repr_html_(),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", NAMES)
def test_html_is_escaped_and_needs_nothing_else(kind: str, table: str) -> None:
    pool = BufferPool(name=NAMES[kind])
    seen = Seen(TABLES[table](pool))
    assert seen.tags <= {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
    assert seen.attributes <= {"style", "colspan"}
    assert any(repr(pool.name)[:12] in words for words in seen.words)
    assert "in use" in seen.words


# --- as JSON ---


@pytest.mark.parametrize("kind", NAMES)
def test_json_has_every_field_and_comes_back_equal(kind: str) -> None:
    pool = BufferPool(limit=64 * MIB, name=NAMES[kind])
    kept = held(pool)
    stats = pool.stats()
    found = stats.as_dict()
    assert list(found) == list(stats._fields)
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found
    assert re.fullmatch(r"[\x20-\x7e]*", json.dumps(found))
    assert (again["name"], again["limit"], again["state"]) == (pool.name, 64 * MIB, "open")
    assert again["classes"] == [{"size": KIB, "total": 3000, "idle": 2999, "hits": 0, "misses": 3000}]
    assert again["drops"] == dict(stats.drops)
    assert all(
        type(each) is int for name, each in again.items() if name.endswith("bytes") and "drop" not in name
    )
    together = bufpool.pools().as_dict()
    assert json.loads(json.dumps(together, allow_nan=False)) == together
    del kept


def test_large_figures_come_back_exactly() -> None:
    stats = BufferPool().stats()._replace(peak_bytes=(1 << 63) + 1)
    assert json.loads(json.dumps(stats.as_dict()))["peak_bytes"] == (1 << 63) + 1


@pytest.mark.parametrize("letter", ["x", "漢", "e\u0301"])
def test_a_long_name_is_cut_to_its_columns(letter: str) -> None:
    text = clipped(letter * 20_000, 40)
    assert text.endswith("...")
    assert 39 <= width(text) <= 40
    assert clipped(letter * 5, 40) == letter * 5
