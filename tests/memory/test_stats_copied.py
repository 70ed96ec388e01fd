"""Figures travel: copied, pickled, sent to another process, they are equal to what they were, and cannot be changed."""

from __future__ import annotations

import copy
import json
import math
import multiprocessing
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bufpool import Advice, BufferPool, ClassStats, Holder, ObjectStats, Pool, PoolStats


def of_a_buffer_pool() -> PoolStats:
    pool = BufferPool(max_retained=1 << 20)
    pool.empty(1 << 21, "u1")
    return pool.stats()


def of_a_new_pool() -> ObjectStats:
    return Pool(list[int]).stats()


def of_a_used_pool() -> ObjectStats:
    pool = Pool(list[int])
    for _ in range(3):
        with pool.lease():
            pass
    return pool.stats()


FIGURES: dict[str, Callable[[], Any]] = {
    "PoolStats": of_a_buffer_pool,
    "PoolStats, a difference": lambda: of_a_buffer_pool() - of_a_buffer_pool(),
    "drops": lambda: of_a_buffer_pool().drops,
    "ClassStats": lambda: of_a_buffer_pool().classes[0],
    "ObjectStats, without times": of_a_new_pool,
    "ObjectStats": of_a_used_pool,
    "ObjectStats, a difference": lambda: of_a_used_pool() - of_a_new_pool(),
    "discards": lambda: of_a_used_pool().discards,
    "Advice": lambda: Pool(list[int]).advice(),
    "Holder": lambda: Holder([1], 0.5, "MainThread", None, None),
}

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("figures", FIGURES)
def test_a_copy_is_equal(figures: str, way: str) -> None:
    original = FIGURES[figures]()
    again = WAYS[way](original)
    assert again == original
    assert type(again) is type(original)
    assert repr(again) == repr(original)


def test_a_deep_copy_shares_nothing_that_could_change() -> None:
    held = Holder([1], 0.5, "MainThread", None, None)
    assert copy.deepcopy(held).object is not held.object


@pytest.mark.parametrize("way", WAYS)
def test_counts_cannot_be_changed_after_the_way_either(way: str) -> None:
    for mapping in (WAYS[way](of_a_buffer_pool()).drops, WAYS[way](of_a_used_pool()).discards):
        before = dict(mapping)
        with pytest.raises(TypeError):
            mapping["closed"] = 5
        with pytest.raises(TypeError):
            del mapping["closed"]
        with pytest.raises(AttributeError):
            mapping.more = 1
        for name in ("clear", "pop", "update", "setdefault"):
            assert not hasattr(mapping, name)
        assert mapping == before


def test_counts_do_not_follow_what_they_were_made_of() -> None:
    stats = of_a_used_pool()
    of = dict(stats.discards)
    made = type(stats.discards)(of)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUnknownVariableType, reportUnknownMemberType]
    of["broken"] += 1
    assert made == stats.discards != of


@pytest.mark.parametrize("figures", ["PoolStats", "ObjectStats", "drops", "discards"])
def test_figures_have_no_hash_because_mappings_have_none(figures: str) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(FIGURES[figures]())


def test_figures_without_a_mapping_have_one() -> None:
    a, b = ClassStats(64, 2, 1, 1, 1), ClassStats(64, 2, 1, 1, 1)
    assert hash(a) == hash(b)
    advice = Advice(None, "unknown", ("too early",))
    assert hash(pickle.loads(pickle.dumps(advice))) == hash(advice)


def test_counts_read_as_a_dict_does() -> None:
    drops = of_a_buffer_pool().drops
    assert isinstance(drops, Mapping)
    assert list(drops) == ["over_max_retained", "aged_out", "trimmed", "closed"]
    assert len(drops) == 4
    assert drops == {"over_max_retained": 1, "aged_out": 0, "trimmed": 0, "closed": 0} == drops
    assert drops != {}
    assert repr(drops) == repr(dict(drops))
    assert json.loads(json.dumps(dict(drops))) == drops
    with pytest.raises(KeyError):
        drops["lost"]


def test_two_snapshots_of_a_quiet_pool_are_equal() -> None:
    """Times that there are not are NaN, which is unequal to another NaN."""
    pool = Pool(list[int])
    assert math.isnan(pool.stats().wait_mean)
    assert pool.stats() == pool.stats()


def answer(stats: tuple[PoolStats, ObjectStats], pipe: Any) -> None:
    """In the other process."""
    pool, objects = stats
    pipe.send((pool.drops["over_max_retained"], math.isnan(objects.wait_mean), stats))
    pipe.close()


@pytest.mark.slow
def test_stats_survive_a_trip_to_a_spawned_process() -> None:
    stats = of_a_buffer_pool(), of_a_used_pool()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=answer, args=(stats, there))
    process.start()
    there.close()
    assert here.poll(60), "the process sent nothing"
    assert here.recv() == (1, True, stats)
    process.join(60)
    assert process.exitcode == 0
