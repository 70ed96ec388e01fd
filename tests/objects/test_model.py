"""Pools of objects beside a model of what they promise: whatever clients do, both have the same objects in place.

The model is `Model`. `Threads` and `Tasks` drive it together with a pool of each kind; tasks wait too.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from collections import Counter
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bufpool import AsyncPool, Pool
from bufpool.errors import (
    ClosedError,
    DoubleReleaseError,
    ForeignReleaseError,
    PoolExhaustedError,
    PoolTimeoutError,
)
from bufpool.objects import callbacks, engine, maintenance, runtimes
from tests.verify.stepping_loop import SteppingLoop


class Thing:
    """What is pooled."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"thing {self.number}"


class Model:
    """What a pool does, for one client after the other."""

    def __init__(self, chosen: dict[str, Any]) -> None:
        self.lifo, self.most_uses = chosen["lifo"], chosen["max_uses"]
        self.overflow, self.most, self.least = chosen["overflow"], chosen["max_size"], chosen["min_size"]
        self.idle: list[int] = []  # the one used last at the end
        self.out: list[int] = []
        self.extra: set[int] = set()
        self.old: set[int] = set()  # made before a draining
        self.broken: set[int] = set()  # the check says no
        self.spoilt: set[int] = set()  # the reset fails
        self.uses: Counter[int] = Counter()
        self.queue: list[int] = []  # numbers of waiters
        self.served: dict[int, int] = {}
        self.made = 0
        self.ended: Counter[str] = Counter()
        self.closed = False

    @property
    def size(self) -> int:
        return len(self.idle) + len(set(self.out) - self.extra)

    def retire(self, thing: int, why: str) -> None:
        for place in (self.idle, self.out):
            if thing in place:
                place.remove(thing)
        self.ended[why] += 1

    def make(self) -> int:
        self.made += 1
        return self.made

    def give(self, thing: int) -> int:
        self.out.append(thing)
        self.uses[thing] += 1
        return thing

    def take(self) -> int | None:
        """An idle object that is sound, or a new one."""
        while self.idle:
            thing = self.idle.pop(-1 if self.lifo else 0)
            if thing not in self.broken:
                return self.give(thing)
            self.ended["broken"] += 1
        return self.give(self.make()) if self.size < self.most else None

    def ask(self) -> int | type[Exception] | None:
        """An object, an error, or None: wait."""
        if self.closed:
            return ClosedError
        if not self.queue and (thing := self.take()) is not None:
            return thing
        if self.overflow == "create":
            self.extra.add(self.made + 1)
            return self.give(self.make())
        return PoolExhaustedError if self.overflow == "fail" else None

    def give_back(self, thing: int) -> None:
        for why, so in (
            ("closed", self.closed),
            ("drained", thing in self.old),
            ("overflow", thing in self.extra),
            ("max_uses", self.most_uses is not None and self.uses[thing] >= self.most_uses),
            ("failed_reset", thing in self.spoilt),
            ("resized", self.size > self.most),
        ):
            if so:
                self.retire(thing, why)
                break
        else:
            self.out.remove(thing)
            self.idle.append(thing)
        self.serve()

    def resize(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        while self.size > most and self.idle:
            self.retire(self.idle[0], "resized")
        self.serve()

    def drain(self) -> None:
        self.old |= set(self.out)
        for thing in list(self.idle):
            self.retire(thing, "drained")
        self.serve()

    def fill(self, wanted: int) -> None:
        while not self.closed and self.size < min(wanted, self.most):
            self.idle.insert(len(self.idle), self.make())

    def close(self) -> None:
        self.closed = True
        self.queue.clear()
        for thing in list(self.idle):
            self.retire(thing, "closed")

    def serve(self) -> None:
        while self.queue and (thing := self.take()) is not None:
            self.served[self.queue.pop(0)] = thing


SETTINGS = st.fixed_dictionaries(
    {
        "min_size": st.integers(0, 1),
        "max_size": st.integers(1, 3),
        "lifo": st.booleans(),
        "overflow": st.sampled_from(["wait", "wait", "fail", "create"]),
        "max_uses": st.sampled_from([None, None, 1, 3]),
    }
)
SOME = st.integers(0, 5)


class Threads(RuleBasedStateMachine):
    """A pool for threads, and one of them."""

    kind: Any = Pool

    @initialize(chosen=SETTINGS, checked=st.booleans(), treated=st.booleans())
    def begin(self, chosen: dict[str, Any], checked: bool, treated: bool) -> None:
        self.loop = SteppingLoop()
        self.patches = [
            mock.patch.object(each, "monotonic", self.loop.time)
            for each in (callbacks, engine, maintenance, runtimes)
        ]
        for patch in self.patches:
            patch.start()
        self.checked, self.treated = checked, treated
        self.model = Model(chosen)
        self.things: list[Thing] = []
        self.closed: list[int] = []
        self.leases: dict[int, Any] = {}
        self.came = 0
        self.waiters: list[tuple[int, asyncio.Task[Any], Any]] = []
        self.lease: Any = None
        self.fails = False
        self.pool = self.kind(
            self.factory,
            check=self.check if checked else None,
            reset=self.reset if treated else None,
            close=lambda thing: self.closed.append(thing.number),
            fair=True,
            timeout=0 if self.kind is Pool else None,
            **chosen,
        )

    def factory(self) -> Thing:
        if self.fails:
            raise OSError
        self.things.append(Thing(len(self.things) + 1))
        return self.things[-1]

    def check(self, thing: Thing) -> bool:
        return thing.number not in self.model.broken

    def reset(self, thing: Thing) -> None:
        if thing.number in self.model.spoilt:
            raise OSError

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.leases.clear()
                self.lease = None
                self.after()
            for patch in self.patches:
                patch.stop()

    # --- how a pool is called, with an error as its result ---

    def call(self, name: str, *args: Any, **more: Any) -> Any:
        try:
            return getattr(self.pool, name)(*args, **more)
        except Exception as error:
            return type(error)

    def request(self, lease: Any) -> Any:
        """Object or error, or None while it waits."""
        try:
            return self.pool.acquire() if lease is None else lease.__enter__()
        except PoolTimeoutError:
            return None
        except Exception as error:
            return type(error)

    def end(self, lease: Any) -> None:
        lease.__exit__(None, None, None)

    def wait_for(self) -> None:
        """Nobody waits for this one: a thread would be stuck."""

    # --- rules ---

    def pick(self, which: int) -> int | None:
        """One of those that are out."""
        return self.model.out[which % len(self.model.out)] if self.model.out else None

    @rule(leased=st.booleans())
    def acquire(self, leased: bool) -> None:
        lease = self.pool.lease() if leased else None
        expected = self.model.ask()
        got = self.request(lease)
        if isinstance(expected, int):
            assert got is self.things[expected - 1]
            if lease is not None:
                self.leases[expected] = lease
        else:
            assert got is expected
            if expected is None:
                self.wait_for()

    @rule()
    def try_acquire(self) -> None:
        expected = self.model.ask()
        got = self.call("try_acquire")
        if expected is PoolExhaustedError:
            expected = None
        assert got is (self.things[expected - 1] if isinstance(expected, int) else expected)

    @rule(which=SOME)
    def give_back(self, which: int) -> None:
        thing = self.pick(which)
        if thing is None:
            return
        lease = self.leases.pop(thing, None)
        self.model.give_back(thing)
        if lease is None:
            assert self.call("release", self.things[thing - 1]) is None
        else:
            self.end(lease)

    @rule(which=SOME)
    def drop(self, which: int) -> None:
        thing = self.pick(which)
        if thing in self.leases:
            self.lease = None  # of the last request
            self.model.give_back(thing)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                del self.leases[thing]
                gc.collect(0)
                self.after()
            assert any("dropped without its end" in str(each.message) for each in told)

    @rule(which=SOME)
    def discard(self, which: int) -> None:
        thing = self.pick(which)
        if thing is not None:
            self.model.retire(thing, "discarded")
            self.model.serve()
            assert self.call("discard", self.things[thing - 1]) is None
            lease = self.leases.pop(thing, None)
            if lease is not None:
                assert lease.released
                self.end(lease)

    @rule(which=SOME, how=st.sampled_from(["release", "discard"]))
    def give_back_what_is_not_out(self, which: int, how: str) -> None:
        if not self.things:
            return
        thing = which % len(self.things) + 1
        if thing in self.model.out:
            if thing in self.leases and how == "release":
                assert self.call(how, self.things[thing - 1]) is DoubleReleaseError
            return
        known = thing in self.model.idle
        assert self.call(how, self.things[thing - 1]) is (
            DoubleReleaseError if known else ForeignReleaseError
        )
        assert self.call(how, Thing(0)) is ForeignReleaseError

    @rule(which=SOME)
    def breaks(self, which: int) -> None:
        if self.checked and self.model.made:
            self.model.broken.add(which % self.model.made + 1)

    @rule(which=SOME)
    def spoils(self, which: int) -> None:
        if self.treated and self.model.made:
            self.model.spoilt.add(which % self.model.made + 1)

    @precondition(lambda self: not self.model.closed and not self.model.idle and not self.model.queue)
    @rule()
    def fails_to_make(self) -> None:
        """The client sees the error, and when its pause is over the factory is asked again."""
        if self.model.size < self.model.most or self.model.overflow == "create":
            self.fails = True
            assert self.call("acquire") is OSError
            self.fails = False
            self.loop.now += 100

    @rule(least=st.integers(0, 2), more=st.integers(0, 3))
    def resize(self, least: int, more: int) -> None:
        most = max(1, least + more)
        assert self.call("resize", least, most) is None
        self.model.resize(least, most)

    @rule()
    def drain(self) -> None:
        assert self.call("drain") is None
        self.model.drain()

    @rule()
    def maintain(self) -> None:
        assert self.call("maintain") is None
        self.model.fill(self.model.least)

    @rule(ready=st.integers(0, 3))
    def wait(self, ready: int) -> None:
        if ready <= self.model.most:
            assert self.call("wait", ready) is (ClosedError if self.model.closed else None)
            self.model.fill(ready)

    @precondition(lambda self: self.model.made > 8)
    @rule()
    def close(self) -> None:
        assert self.call("close") is None
        self.model.close()

    # --- after each step ---

    def after(self) -> None:
        """Tasks go as far as they can."""

    @invariant()
    def pool_and_model_agree(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.after()
        pool, model = self.pool, self.model
        assert (pool.size, pool.idle, pool.in_use, pool.waiting) == (
            model.size,
            len(model.idle),
            len(model.out),
            len(model.queue),
        )
        assert (pool.closed, pool.min_size, pool.max_size) == (model.closed, model.least, model.most)
        assert {each.object.number for each in pool.leases()} == set(model.out)
        assert len(self.things) == model.made
        alive = {*model.idle, *model.out}
        assert sorted(self.closed) == [number + 1 for number in range(model.made) if number + 1 not in alive]
        discards = {why: count for why, count in pool.stats().discards.items() if count}
        assert discards == dict(model.ended)


class Tasks(Threads):
    """A pool for tasks, and as many of them as wait."""

    kind: Any = AsyncPool

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            for number, task, _ in self.waiters:
                self.model.queue.remove(number)
                task.cancel()
            self.waiters.clear()
        super().teardown()

    def call(self, name: str, *args: Any, **more: Any) -> Any:
        try:
            with self.loop:
                return self.loop.run(getattr(self.pool, name)(*args, **more))
        except Exception as error:
            return type(error)

    def request(self, lease: Any) -> Any:
        with self.loop:
            self.task = self.loop.create_task(self.pool.acquire() if lease is None else lease.__aenter__())
        self.lease = lease
        self.after()
        if not self.task.done():
            return None
        return type(self.task.exception()) if self.task.exception() else self.task.result()

    def wait_for(self) -> None:
        self.came += 1
        self.model.queue.append(self.came)
        self.waiters.append((self.came, self.task, self.lease))

    def end(self, lease: Any) -> None:
        with self.loop:
            self.loop.run(lease.__aexit__(None, None, None))

    @precondition(lambda self: self.waiters)
    @rule(which=SOME)
    def cancel(self, which: int) -> None:
        number, task, _ = self.waiters.pop(which % len(self.waiters))
        self.model.queue.remove(number)
        task.cancel()
        self.after()
        assert task.cancelled()

    def after(self) -> None:
        with self.loop:
            while self.loop.ready:
                self.loop.step()
        for number, task, lease in list(self.waiters):
            if number in self.model.served:
                thing = self.model.served[number]
                assert task.result() is self.things[thing - 1]
                if lease is not None:
                    self.leases[thing] = lease
            elif self.model.closed:
                assert isinstance(task.exception(), ClosedError)
            else:
                assert not task.done()
                continue
            self.waiters.remove((number, task, lease))
        assert self.loop.complaints == []


# What a life leaves may lie in a cycle, with a lease that it had not ended, until the collector comes.
@pytest.mark.filterwarnings("ignore:<lease of pool .* was dropped:ResourceWarning")
@pytest.mark.slow
@pytest.mark.parametrize("machine", [Threads, Tasks])
def test_a_pool_is_as_its_model(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 lives of 50 steps each."""
    monkeypatch.setattr(logging.getLogger("bufpool"), "disabled", True)  # thousands of callbacks fail here
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=300,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
    gc.collect()
