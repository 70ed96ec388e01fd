"""Sizes as text: one grammar for settings, for `trim` and for the command line."""

from __future__ import annotations

from typing import Any

import pytest

from bufpool import BufferPool, SettingError, SizeError
from bufpool.memory import container
from bufpool.memory.sizes import parse_size

SIZES = {
    "0": 0,
    "4096": 4096,
    "7 B": 7,
    "7b": 7,
    "1kB": 1000,
    "2 MB": 2_000_000,
    "3GB": 3_000_000_000,
    "1TB": 10**12,
    "1KiB": 1 << 10,
    "512MiB": 512 << 20,
    "512 MiB": 512 << 20,
    "512mib": 512 << 20,
    "1.5 GiB": 3 << 29,
    "2TiB": 2 << 40,
    "64k": 64 << 10,
    "64K": 64 << 10,
    "1.5M": 3 << 19,
    "2g": 2 << 30,
    "8388607T": 8388607 << 40,
    "0.3 KiB": 307,
    "0.000000001 kB": 0,
    "9223372036854775807": (1 << 63) - 1,
}


@pytest.mark.parametrize("text", SIZES)
def test_a_size_says_how_many_bytes(text: str) -> None:
    assert parse_size(text) == SIZES[text]


NO_SIZES = [
    *("", " ", "M", "MiB", "%", "-1", "+1", " 1", "1 ", "1  MiB", "1\tMiB", "1\n", "1_000", "1,5 GiB", "0x10", "1e9"),
    *("1.5", "1.5 B", "1.", ".5 GiB", "1..5 GiB", "1.2.3 MiB", "1 KB/s", "1 Kb it", "1 MiBs", "1 PiB", "1 iB", "1 i"),
    *("²", "\N{FULLWIDTH DIGIT ONE} MiB", "1 \N{KELVIN SIGN}", "1\N{NO-BREAK SPACE}MiB"),
    *("inf", "nan", "none", "9" * 20, "1.0000000001 TiB"),
]  # fmt: skip


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^must be a number of bytes .* KiB, MiB, GiB, TiB, .* not "
    ) as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["9223372036854775808", "8388608T", "8 EiB", "9223373 TB"])
def test_a_size_beyond_all_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be ") as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


# --- shares ---


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how much memory there is."""

    def there_is(count: int) -> None:
        monkeypatch.setattr(container, "total_memory", lambda: count)
        monkeypatch.setattr(container, "cgroup_limit", lambda: None)
        monkeypatch.setattr(container, "_available", None)

    return there_is


SHARES = [
    ("25%", 2500),
    ("25 %", 2500),
    ("100%", 10_000),
    ("0%", 0),
    ("12.5%", 1250),
    ("0.01%", 1),
    ("33.339%", 3333),
]


@pytest.mark.parametrize(("text", "count"), SHARES)
def test_a_percentage_is_a_share_of_the_memory(memory: Any, text: str, count: int) -> None:
    memory(10_000)
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["101%", "100.1%", "100.000000001%"])
def test_more_than_all_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"must be from '0%' to '100%' of the memory, not '{text}'"):
        parse_size(text)


def test_a_share_of_memory_that_nobody_knows_is_refused(memory: Any) -> None:
    memory(0)
    with pytest.raises(ValueError, match=r"not '25%': the system does not say how much memory there is"):
        parse_size("25%")


# --- where they are taken ---


def test_settings_are_sizes() -> None:
    pool = BufferPool("1.5 GiB", max_retained="64MB")
    assert (pool.limit, pool.max_retained) == (3 << 29, 64_000_000)


@pytest.mark.parametrize("setting", ["limit", "max_retained"])
@pytest.mark.parametrize("text", ["", "many", "1.5", "101%"])
def test_a_setting_that_is_no_size_is_refused_by_name(setting: str, text: str) -> None:
    settings: dict[str, Any] = {setting: text}
    with pytest.raises(SettingError, match=f"pool 'tested': {setting} must be .* not '{text}'"):
        BufferPool(name="tested", **settings)


def test_trim_keeps_a_size() -> None:
    pool = BufferPool()
    arrays = [pool.empty(2 << 20, "u1") for _ in range(4)]
    del arrays
    before = pool.stats().idle_bytes
    gone = pool.trim("6 MiB")
    kept = pool.stats().idle_bytes
    assert (6 << 20) - 65_536 < kept <= 6 << 20
    assert gone == before - kept
    with pytest.raises(SizeError, match="pool 'pool-.*': keep must be .* not '3 Mi'"):
        pool.trim("3 Mi")
    assert pool.stats().idle_bytes == kept
    assert pool.trim(1 << 100) == 0
