"""What a pool counts, and what it makes of that."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from bufpool import BufferPool, Pool
from bufpool.errors import PoolExhaustedError, PoolTimeoutError
from bufpool.objects.advice import advise
from tests.support.clients import Client, Failing, Thing, until, waiting_client


def use(pool: Pool[Any], times: int = 1) -> None:
    for _ in range(times):
        with pool.lease():
            pass


def test_a_new_pool_has_counted_nothing() -> None:
    stats = Pool(Thing).stats()
    assert stats[:7] == (0, 0, 0, 0, 0, 0, 0)
    assert all(
        math.isnan(each)
        for each in (stats.create_seconds, stats.hold_mean, stats.reuse_rate, stats.wait_mean)
    )
    assert all(math.isnan(each) for each in (stats.wait_p50, stats.wait_p95, stats.wait_p99, stats.wait_max))
    assert (stats.waits, stats.timeouts, stats.refused, stats.failures) == (0, 0, 0, 0)
    assert set(stats.discards.values()) == {0}
    assert len(stats.discards) == 10
    with pytest.raises(TypeError):
        stats.discards["broken"] = 1


@pytest.mark.parametrize("lifo", [False, True])
def test_checkouts_and_objects_made(lifo: bool) -> None:
    pool = Pool(Thing, max_size=3, lifo=lifo)
    use(pool, 10)
    held = [pool.acquire(), pool.acquire()]
    stats = pool.stats()
    assert (stats.size, stats.idle, stats.in_use, stats.peak_in_use) == (2, 0, 2, 2)
    assert (stats.checkouts, stats.created, stats.reuse_rate) == (12, 2, 1 - 2 / 12)
    for thing in held:
        pool.release(thing)
    pool.drain()
    pool.resize(max_size=2)
    use(pool, 2)
    stats = pool.stats()
    assert (stats.checkouts, stats.created, stats.discards["drained"]) == (14, 3, 2)
    assert stats.peak_in_use == 2


def test_objects_looked_at_by_maintenance_are_no_checkouts() -> None:
    pool = Pool(Thing, check=lambda thing: True, check_on="idle", check_interval=0, max_size=3)
    pool.wait(3)
    time.sleep(0.03)
    for _ in range(3):
        pool.maintain()
    pool.resize(max_size=2)
    assert pool.stats().checkouts == 0
    use(pool)
    assert pool.stats().checkouts == 1
    assert pool.stats().created == 3


def test_time_to_make_one_and_time_out() -> None:
    pool = Pool(lambda: time.sleep(0.02) or Thing(), debug=True)
    with pool.lease():
        time.sleep(0.03)
    stats = pool.stats()
    assert 0.02 <= stats.create_seconds < 5
    assert 0.03 <= stats.hold_mean < 5


def test_who_went_without() -> None:
    pool = Pool(Thing, max_size=1, timeout=0, max_waiting=0)
    with pool.lease():
        for timeout in (0, 1):
            with pytest.raises((PoolTimeoutError, PoolExhaustedError)):
                pool.acquire(timeout)
    stats = pool.stats()
    assert (stats.timeouts, stats.refused, stats.checkouts) == (1, 1, 1)


def test_waits_have_quantiles() -> None:
    """Of nine short waits and a long one; each at most 12.5 % above the truth."""
    pool = Pool(Thing, max_size=1)
    for wait in [0.01] * 9 + [0.15]:
        thing = pool.acquire()
        client = waiting_client(pool, pool.acquire)
        time.sleep(wait)
        pool.release(thing)
        pool.release(client.result())
    stats = pool.stats()
    assert stats.waits == 10
    assert 0.01 <= stats.wait_p50 <= stats.wait_p95 <= stats.wait_p99 <= stats.wait_max
    assert 0.15 <= stats.wait_p95 < 5
    assert stats.wait_p50 < stats.wait_mean < stats.wait_max
    assert stats.wait_mean == pytest.approx(sum([0.01] * 9 + [0.15]) / 10, rel=3)


def test_waits_in_vain_count() -> None:
    """Else the quantiles would be those of the lucky."""
    pool = Pool(Thing, max_size=1)
    with pool.lease():
        for _ in range(5):
            with pytest.raises(PoolTimeoutError):
                pool.acquire(0.02)
        for timeout in (0, 1e-9):
            with pytest.raises(PoolTimeoutError):
                pool.acquire(timeout)
    stats = pool.stats()
    assert (stats.timeouts, stats.waits) == (7, 5)
    assert 0.02 <= stats.wait_p50 <= stats.wait_max


def test_one_client_waits_once() -> None:
    """Also if it is woken for an object that is not sound, and waits again."""
    pool = Pool(Thing, max_size=2, check=lambda thing: thing is not first, backoff=(5.0, 5.0))
    first, second = pool.acquire(), pool.acquire()
    client = waiting_client(pool, pool.acquire)
    pool._core.engine.backoff.failed(OSError("down"))
    pool.release(first)
    time.sleep(0.05)
    pool.release(second)
    assert client.result() is second
    assert (pool.stats().waits, pool.stats().timeouts) == (1, 0)


def test_advice_on_waits_in_vain() -> None:
    figures = Pool(Thing).stats()._replace(checkouts=120, created=1, create_seconds=1e-3, peak_in_use=1)
    figures = figures._replace(waits=300, timeouts=300, wait_mean=0.1, wait_p50=0.1, wait_p99=0.2)
    advice = advise(figures, max_size=1)
    assert advice.size == "too small"
    assert "300 of 420 clients waited (half within 100 ms, 99 % within 200 ms), 300 got nothing" in str(advice)


def test_a_snapshot_stays_as_it_is() -> None:
    pool = Pool(Thing)
    before = pool.stats()
    pool.discard(pool.acquire())
    assert before.discards["discarded"] == 0
    assert pool.stats().discards["discarded"] == 1


def test_the_difference_of_two_snapshots() -> None:
    pool = Pool(lambda: time.sleep(0.01) or Thing(), max_size=2)
    use(pool, 3)
    before = pool.stats()
    first, second = pool.acquire(), pool.acquire()
    pool.discard(second)
    did = pool.stats() - before
    assert (did.size, did.idle, did.in_use, did.waiting, did.peak_in_use) == (0, -1, 1, 0, 1)
    assert (did.checkouts, did.created, did.reuse_rate) == (2, 1, 0.5)
    assert (did.waits, did.timeouts, did.refused, did.failures) == (0, 0, 0, 0)
    assert did.discards == {**dict.fromkeys(before.discards, 0), "discarded": 1}
    with pytest.raises(TypeError):
        did.discards["discarded"] = 0
    pool.release(first)


def test_means_of_a_difference_are_of_what_came_since_then() -> None:
    stats = Pool(Thing).stats()
    before = stats._replace(created=2, create_seconds=1.0, waits=4, wait_mean=0.5, wait_p50=0.4, wait_max=0.9)
    after = before._replace(created=5, create_seconds=4.0, waits=5, wait_mean=0.6, wait_p50=0.5, wait_max=1.0)
    did = after - before
    assert did.create_seconds == pytest.approx(6.0)  # 20 s for five, 2 s of them for the first two
    assert did.wait_mean == pytest.approx(1.0)
    assert all(math.isnan(each) for each in (did.wait_p50, did.wait_p95, did.wait_p99, did.wait_max))


def test_of_nothing_in_between_there_is_no_mean() -> None:
    pool = Pool(Thing, debug=True)
    use(pool, 2)
    stats = pool.stats()
    did = stats - stats
    assert (did.checkouts, did.created, did.waits) == (0, 0, 0)
    assert all(
        math.isnan(each) for each in (did.create_seconds, did.wait_mean, did.hold_mean, did.reuse_rate)
    )


def test_since_the_beginning_all_is_as_it_was() -> None:
    pool = Pool(Thing, max_size=1, debug=True)
    new = pool.stats()
    thing = pool.acquire()
    client = waiting_client(pool, pool.acquire)
    pool.release(thing)
    pool.release(client.result())
    stats = pool.stats()
    assert stats.waits == 1
    assert stats - new == stats._replace(state="change")


def test_only_snapshots_of_one_kind_are_subtracted() -> None:
    with pytest.raises(TypeError):
        Pool(Thing).stats() - BufferPool().stats()
    with pytest.raises(TypeError):
        Pool(Thing).stats() - 1


# --- advice ---


def slow() -> Thing:
    time.sleep(0.001)
    return Thing()


def test_too_early_to_say() -> None:
    pool = Pool(Thing)
    use(pool, 99)
    advice = pool.advice()
    assert (advice.pays, advice.size) == (None, "unknown")
    assert str(advice) == "Too early to say; its size is unknown.\n- 99 checkouts so far; 100 say something"


def test_it_pays_and_the_size_is_right() -> None:
    pool = Pool(slow, max_size=1)
    use(pool, 200)
    advice = pool.advice()
    assert (advice.pays, advice.size) == (True, "right")
    first, second = advice.reasons
    assert first.startswith("1 object served 200 checkouts (reuse 99.5%); making one takes ")
    assert first.endswith(" saved so far")
    assert second == "the peak was 1 of 1 object in use at once; 0.0% of clients waited"


def test_it_does_not_pay_if_objects_are_made_as_quickly() -> None:
    pool = Pool(object, max_size=1)
    use(pool, 10)
    advice = pool.advice()
    figures = pool.stats()._replace(checkouts=1000, create_seconds=1e-7)
    advice = advise(figures, 1)
    assert advice.pays is False
    assert "making one takes 100 ns, a checkout about 300 ns: making one is as quick" in advice.reasons[0]


def test_one_quick_call_of_the_factory_says_little() -> None:
    pool = Pool(list, max_size=1)
    use(pool, 200)
    figures = pool.stats()._replace(create_seconds=8e-6)  # the first call of anything
    advice = advise(figures, 1)
    assert advice.pays is None
    assert "the first call of anything is slow" in advice.reasons[0]
    assert advise(figures._replace(created=3), 1).pays is True


def test_waits_that_outweigh_what_reuse_saves_are_told() -> None:
    figures = Pool(Thing).stats()._replace(checkouts=1000, created=10, create_seconds=1e-3, peak_in_use=10)
    waited = figures._replace(waits=500, wait_mean=0.01, wait_p50=0.01, wait_p99=0.01, wait_max=0.01)
    said = "clients waited 5 s in all, more than reuse has saved"
    assert any(each.startswith(said) for each in advise(waited, 10).reasons)
    assert not any("waited" in each and "in all" in each for each in advise(figures, 10).reasons)


def test_it_does_not_pay_if_nothing_is_used_again() -> None:
    pool = Pool(slow, max_uses=1)
    use(pool, 110)
    advice = pool.advice()
    assert advice.pays is False
    assert "110 objects served 110 checkouts (reuse 0.0%)" in advice.reasons[0]
    assert advice.reasons[0].endswith("too few are used again")


def test_it_is_too_large() -> None:
    pool = Pool(slow, max_size=10)
    use(pool, 100)
    advice = pool.advice()
    assert advice.size == "too large"
    assert "the peak was 1 of 10 objects in use at once: fewer would do" in advice.reasons


@pytest.mark.parametrize("how", ["timeouts", "refusals", "waits"])
def test_it_is_too_small(how: str) -> None:
    settings: dict[str, Any] = {"refusals": {"overflow": "fail"}}.get(how, {})
    pool = Pool(slow, max_size=1, timeout=0 if how == "timeouts" else 30, **settings)
    use(pool, 100)
    without = 0
    for _ in range(10):
        thing = pool.acquire()
        if how == "waits":
            client = waiting_client(pool, pool.acquire)
            time.sleep(0.02)
            pool.release(thing)
            pool.release(client.result())
        else:
            with pytest.raises((PoolTimeoutError, PoolExhaustedError)):
                pool.acquire()
            pool.release(thing)
            without += 1
    advice = pool.advice()
    assert advice.size == "too small"
    waits = pool.stats().waits
    assert any(
        each.startswith(
            f"the peak was 1 of 1 object in use at once: {waits} of {100 + 10 + waits + without} clients waited"
        )
        and each.endswith(f"{without} got nothing")
        for each in advice.reasons
    )
    assert str(advice).startswith("The pool pays; its size is too small.\n- ")


def test_a_slow_factory_is_no_sign_of_a_small_pool() -> None:
    factory = Failing()
    pool = Pool(factory, max_size=4, backoff=(60, 60))
    use(pool, 100)
    thing = pool.acquire()
    factory.error = OSError("down")
    with pytest.raises(OSError, match="down"):
        pool.acquire()
    with pytest.raises(PoolTimeoutError):
        pool.acquire(0)
    pool.release(thing)
    advice = pool.advice()
    assert advice.size == "too large"
    assert any(each.startswith("the peak was 2 of 4 objects in use at once: ") for each in advice.reasons)
    assert "the factory failed 1 time and made 1 object" in advice.reasons


def test_objects_that_break_are_told_of() -> None:
    pool = Pool(slow, check=lambda thing: False, max_size=1)
    use(pool, 105)
    assert any(
        each == "104 objects were found broken in 105 checkouts: ask what breaks them"
        for each in pool.advice().reasons
    )


def test_figures_may_be_read_while_others_work() -> None:
    pool = Pool(Thing, max_size=2)
    done = Client(use, pool, 3000)
    while done.busy:
        stats = pool.stats()
        assert 0 <= stats.idle <= 2
        assert stats.size <= 2
        str(pool.advice())
        repr(pool)
    done.result()
    until(lambda: pool.stats().checkouts == 3000)
