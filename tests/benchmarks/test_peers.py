"""The contenders that are other packages: found or missing, timed in their faster form, and misused."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from benchmarks.harness import interleaved
from benchmarks.harness.benchmark import Comparison
from benchmarks.harness.interleaved import Contender, Plan
from benchmarks.harness.packages import INSTALL, Package
from benchmarks.harness.targets import Check, speed
from benchmarks.harness.worker import Worker, import_path
from benchmarks.peers.adapter import Adapter
from benchmarks.peers.connection_pools import BARE
from benchmarks.workloads import misuse

# Packages ------------------------------------------------------------------------------------------------------------


def made(module: ModuleType) -> ModuleType:
    return module


def test_a_missing_peer_names_what_to_install(monkeypatch):
    monkeypatch.setattr(interleaved, "measure", lambda group, *_: {each.name: [1.0] for each in group})
    absent = Package("nobodys", "a_module_that_nobody_has", made)
    group = (Contender("lease", "lease", "lease", 0), Contender("theirs", "lease", "theirs", 0, package=absent))
    check = Check("here", "lease", "theirs", speed(1.0))
    (result,) = Comparison("here", 0, (group,), (check,)).run(Plan(rounds=1), lambda _: None)
    assert (result.figure, result.note) == (None, f"not installed: {INSTALL}")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise OSError('no such call')", "cannot be imported here: OSError('no such call')"),
        ("raise ImportError('libpq')", "not installed: pip install it"),
        ("", "not installed: pip install it"),  # another package whose module has the same name
        ("Pool = object", ""),
    ],
)
def test_a_peer_is_there_when_its_own_name_can_be_imported(monkeypatch, tmp_path, source, says):
    (tmp_path / "peer_of_this_test.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "peer_of_this_test", raising=False)
    assert Package("peer", "peer_of_this_test:Pool", made, "pip install it").missing() == says


def test_each_package_works_and_has_a_version():
    assert Package("pytest", "pytest", made).make() is pytest
    assert Package("pytest", "pytest:skip", made).make() is pytest.skip
    assert Package("pytest", "pytest", made).version() == pytest.__version__
    assert Package("nobodys", "pytest", made).version() is None


# Adapters ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("statement", "calls"), [("slow()", "fast()"), ("fast()", "slow()"), ("fast()", "")])
def test_a_pool_is_timed_in_its_faster_form(statement, calls):
    called: list[str] = []
    names = {"slow": lambda: called.append("slow") or time.sleep(1e-4), "fast": lambda: called.append("fast")}
    sample = Adapter(statement, names, object, list.append, calls=calls).sample()
    called.clear()
    sample(3)
    assert called == ["fast"] * 3


FORMS = """
from benchmarks.harness.sampling import loop
from benchmarks.peers.connection_pools import BARE
from benchmarks.peers.stdlib import STDLIB
pools = [package.make for package in BARE.values() if not package.missing()]
for make in (*pools, *STDLIB.values()):
    adapter = make(1)
    for form in filter(None, (adapter.statement, adapter.calls)):
        print(make, form, flush=True)
        assert loop(form, **adapter.names)(3) > 0
    adapter.release(adapter.acquire())
    assert adapter.sample()(3) > 0
print("all")
"""


def test_each_form_of_a_pool_is_a_checkout_and_a_return():
    """One object: a second checkout needs the first one's return. In a process, because pools leave threads behind."""
    command = [sys.executable, "-c", FORMS]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(import_path())}
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=env)
    except subprocess.TimeoutExpired as expired:
        pytest.fail(f"waits for ever: {str(expired.stdout).split(chr(10))[-2:]}")
    assert done.stdout.endswith("all\n"), done.stdout + done.stderr


# Misuse --------------------------------------------------------------------------------------------------------------


def listed(change: Callable[[list[Any]], Adapter]) -> Callable[[int], Adapter]:
    return lambda size: change([object() for _ in range(size)])


def adapter(acquire: Callable[[], Any], release: Callable[[Any], Any]) -> Adapter:
    return Adapter("", {}, acquire, release)


def refusing(ready: list[Any]) -> Adapter:
    """Refuses what is not checked out."""

    def release(one: Any) -> None:
        if one in ready:
            raise ValueError
        ready.append(one)

    return adapter(ready.pop, release)


def ignoring(ready: list[Any]) -> Adapter:
    return adapter(ready.pop, lambda one: None if one in ready else ready.append(one))


def growing(ready: list[Any]) -> Adapter:
    """Counts returns and makes as many objects."""
    room = [2]

    def acquire() -> Any:
        if room[0] == 0:
            raise IndexError
        room[0] -= 1
        return ready.pop() if ready else object()

    def release(one: Any) -> None:
        room[0] += 1
        if one not in ready:
            ready.append(one)

    return adapter(acquire, release)


@pytest.mark.parametrize(
    ("build", "twice"),
    [
        (refusing, misuse.REFUSED),
        (ignoring, misuse.NO_EFFECT),
        (growing, misuse.TOO_MANY),
        (lambda ready: adapter(ready.pop, ready.append), misuse.SHARED),
        (lambda ready: adapter(lambda: ready[0], lambda _: None), misuse.SHARED),
    ],
)
def test_the_effect_of_a_double_release(monkeypatch, build, twice):
    monkeypatch.setitem(misuse.STDLIB, "of this test", listed(build))
    assert misuse.misuse("of this test")["twice"] == twice


@pytest.mark.parametrize(
    ("acquire", "empty"),
    [
        (lambda ready: ready.pop(), "raises IndexError"),
        (lambda ready: ready.pop() if ready else None, misuse.NONE),
        (lambda ready: ready.pop() if ready else object(), misuse.MAKES_MORE),
        (lambda ready: ready.pop() if len(ready) > 1 else ready[0], misuse.SAME),
    ],
)
def test_the_answer_of_a_pool_with_no_object_left(monkeypatch, acquire, empty):
    build = listed(lambda ready: adapter(lambda: acquire(ready), ready.append))
    monkeypatch.setitem(misuse.STDLIB, "of this test", build)
    assert misuse.misuse("of this test")["empty"] == empty


@pytest.mark.parametrize(
    ("how", "twice", "empty"),
    [
        ("lease", misuse.REFUSED, misuse.WAITS),
        ("queue.LifoQueue", misuse.SHARED, misuse.WAITS),
        ("deque", misuse.SHARED, "raises IndexError"),
        ("SQLAlchemy", misuse.NO_EFFECT, misuse.WAITS),
        ("psycopg_pool", misuse.REFUSED, misuse.WAITS),
    ],
)
def test_real_pools_are_misused(how, twice, empty):
    if how in BARE and BARE[how].missing():
        pytest.skip(BARE[how].missing())
    with Worker() as worker:
        worker.ready()
        assert worker.ask(do="probe", name="misuse", how=how) == {"twice": twice, "empty": empty}
