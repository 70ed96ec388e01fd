"""Objects that do not come back: who has them, since when, from where; and leases that nobody ends."""

from __future__ import annotations

import gc
import re
import threading
import time
import warnings
from typing import Any

import pytest

from bufpool import Pool
from tests.support.accounting import run_python
from tests.support.clients import Client, Maker, Thing, balanced, until, usable
from tests.support.programs import beside_places, python

LEAK = 0.03


pytestmark = pytest.mark.usefixtures("alone")


def told(pool: Pool[Any]) -> list[str]:
    """What one round of maintenance says of leaks."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pool.maintain()
    assert all(each.category is ResourceWarning for each in caught)
    return [str(each.message) for each in caught]


def forgetful(pool: Pool[Any]) -> Any:
    return pool.acquire()


def test_who_has_an_object_too_long_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    pool = Pool(Thing, leak_threshold=LEAK, name="leaky")
    thing = forgetful(pool)
    assert told(pool) == []
    time.sleep(2 * LEAK)
    (message,) = told(pool)
    assert re.match(
        r"pool 'leaky': Thing\(0\) at 0x\w+ has been out for [\d.]+ m?s, taken by thread MainThread", message
    )
    assert "acquired at (innermost call last):" in message
    assert message.rstrip().splitlines()[-1].endswith("in forgetful")
    assert "bufpool" not in beside_places(message.split("acquired at")[1])
    # Python shows no ResourceWarning by itself: the logger has it too.
    assert caplog.messages == [message]
    assert told(pool) == []
    pool.release(thing)
    thing = forgetful(pool)
    time.sleep(2 * LEAK)
    assert len(told(pool)) == 1  # another checkout
    pool.release(thing)
    assert usable(pool)


def test_all_leaks_are_told_though_they_are_many() -> None:
    pool = Pool(Thing, leak_threshold=LEAK, max_size=100)
    with pool.lease():
        held = [pool.acquire() for _ in range(70)]
        time.sleep(2 * LEAK)
        assert len(told(pool)) == 71
        assert told(pool) == []
    for each in held:
        pool.release(each)
    assert usable(pool)


@pytest.mark.parametrize("debug", [False, True])
def test_one_checkout_in_128_is_sampled_or_all(debug: bool) -> None:
    pool = Pool(Thing, max_size=1, debug=debug)
    sampled = 0
    for number in range(256):
        with pool.lease():
            (holder,) = pool.leases()
            assert (holder.stack is not None) == (debug or number % 128 == 0)
            sampled += holder.stack is not None
    assert sampled == (256 if debug else 2)


def test_a_leak_of_an_object_used_before_says_where() -> None:
    pool = Pool(Thing, leak_threshold=LEAK, debug=False)
    with pool.lease():
        pass
    thing = forgetful(pool)
    time.sleep(2 * LEAK)
    (message,) = told(pool)
    assert message.splitlines()[-1].endswith("in forgetful")
    pool.release(thing)


def test_debug_is_as_python_is() -> None:
    program = """
from bufpool import Pool
pool = Pool(list)
for _ in range(3):
    with pool.lease():
        print(pool.leases()[0].stack is not None)
"""
    for flags, expected in (([], "True\nFalse\nFalse\n"), (["-X", "dev"], "True\n" * 3)):
        assert python(*flags, "-c", program).stdout == expected


def test_the_maintenance_thread_reports_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pool = Pool(Thing, leak_threshold=LEAK, name="leaky")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pool.lease():
            until(lambda: caught, "a warning")
    assert "'leaky'" in str(caught[0].message)


def test_a_warning_as_an_error_hides_no_other_leak() -> None:
    pool = Pool(Thing, leak_threshold=LEAK, max_size=40)
    held = [pool.acquire() for _ in range(3)]
    time.sleep(2 * LEAK)
    for _ in held:
        with pytest.raises(ResourceWarning):
            pool.maintain()
    pool.maintain()
    for each in held:
        pool.release(each)


# --- who has what ---


def test_holders_are_listed() -> None:
    pool = Pool(Thing, debug=True)
    assert pool.leases() == ()
    ready, end = threading.Event(), threading.Event()

    def hold() -> None:
        threading.current_thread().name = "holds"
        with pool.lease():
            ready.set()
            assert end.wait(30)

    client = Client(hold)
    assert ready.wait(30)
    mine = forgetful(pool)
    theirs, ours = sorted(pool.leases(), key=lambda holder: holder.thread != "holds")
    assert theirs.thread == "holds"
    assert theirs.stack.splitlines()[-1].endswith("in hold")
    assert ours.object is mine
    assert ours.thread == threading.current_thread().name
    assert ours.task is None
    assert 0 <= ours.seconds <= theirs.seconds + 0.05 < 30
    assert ours.stack.splitlines()[-1].endswith("in forgetful")
    end.set()
    client.result()
    pool.release(mine)
    assert pool.leases() == ()


def test_a_holder_whose_thread_is_gone_has_its_number() -> None:
    pool = Pool(Thing)
    pool.release(pool.acquire())                # the first checkout of an object is sampled
    thing = Client(pool.acquire).result()
    until(lambda: pool.leases()[0].thread.isdigit())
    pool.release(thing)


def test_a_sampled_holder_whose_thread_is_gone_has_its_name() -> None:
    pool = Pool(Thing, debug=True)

    def hold() -> Any:
        threading.current_thread().name = "was here"
        return pool.acquire()

    thing = Client(hold).result()
    assert pool.leases()[0].thread == "was here"
    pool.release(thing)


def test_idle_objects_have_no_holder() -> None:
    seen: list[int] = []
    pool = Pool(Thing, reset=lambda thing: seen.append(len(pool.leases())))
    with pool.lease():
        assert len(pool.leases()) == 1
    assert seen == [0]
    assert pool.leases() == ()


def test_a_trace_keeps_nobodys_variables_alive() -> None:
    import weakref

    pool = Pool(Thing, debug=True)

    def hold() -> tuple[Any, weakref.ref[Thing]]:
        local = Thing(99)
        return pool.acquire(), weakref.ref(local)

    thing, local = hold()
    assert pool.leases()[0].stack is not None
    gc.collect()
    assert local() is None
    pool.release(thing)


# --- leases that nobody ends ---


DROPPED = r"<lease of pool '.*': .*> was dropped without its end; its object is back now"


def drop(leases: list[Any]) -> None:
    """Forget these, which are entered, and see them complain."""

    def forget() -> None:
        leases.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match=DROPPED):
        forget()


def entered(pool: Pool[Any]) -> list[Any]:
    lease = pool.lease()
    lease.__enter__()
    return [lease]


def test_a_dropped_lease_comes_back_with_a_warning() -> None:
    maker = Maker()
    pool = Pool(maker, max_size=1, close=maker.close)
    for _ in range(3):
        drop(entered(pool))
        assert balanced(pool)
    assert len(maker.made) == 1
    assert usable(pool)


def test_a_dropped_leases_object_is_reset_or_retired() -> None:
    reset: list[Thing] = []
    pool = Pool(Thing, max_uses=2, reset=reset.append)
    drop(entered(pool))
    assert len(reset) == 1
    drop(entered(pool))
    assert pool.stats().discards["max_uses"] == 1
    assert balanced(pool)


def test_a_dropped_lease_in_a_cycle_comes_back() -> None:
    pool = Pool(Thing, max_size=1)
    cycle: list[Any] = entered(pool)
    cycle.append(cycle)
    cycles = [cycle]
    del cycle
    drop(cycles)
    assert usable(pool)


def test_a_lease_goes_with_its_pool() -> None:
    """The lease is in a cycle of object and pool that nothing else refers to."""
    gone: list[Thing] = []
    pool: Any = Pool(dict, reset=gone.append)
    leases = entered(pool)
    leases[0].object.update(lease=leases[0], pool=pool)
    del pool
    drop(leases)
    assert len(gone) == 1


def test_a_dropped_lease_wakes_who_waits() -> None:
    pool = Pool(Thing, max_size=1)
    leases = entered(pool)
    client = Client(pool.acquire)
    until(lambda: pool.waiting == 1)
    drop(leases)
    pool.release(client.result())
    assert usable(pool)


def test_a_lease_that_ended_is_dropped_in_silence() -> None:
    pool = Pool(Thing)
    for end in ("release", "discard"):
        lease = pool.lease()
        lease.__enter__()
        getattr(lease, end)()
        del lease
    lease = pool.lease()
    pool.discard(lease.__enter__())
    del lease
    unused = pool.lease()
    del unused
    gc.collect()
    assert balanced(pool)


def test_a_trace_does_not_race_an_import_of_asyncio() -> None:
    """The module is there then, and has no functions yet. As soon as it has them, tasks are named."""
    out = run_python("""
        import bufpool, sys, types
        pool = bufpool.Pool(list, debug=True)
        sys.modules["asyncio"] = begun = types.ModuleType("asyncio")
        with pool.lease():
            print(pool.leases()[0].task)
        del sys.modules["asyncio"]
        import asyncio as whole
        vars(begun).update(vars(whole))        # the import ends, and there are as many modules as before
        sys.modules["asyncio"] = begun
        async def main():
            with pool.lease():
                print(pool.leases()[0].task)
        whole.run(main())
    """)
    assert out == "None\nTask-1\n"
