"""The packages that ``python -m bufpool bench`` compares with: found, kept apart, and judged by what they do."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bufpool.cli.bench import apart, manners, timing
from bufpool.cli.bench.by_hand import BY_HAND
from bufpool.cli.bench.checks import Check, speed
from bufpool.cli.bench.packages import Package
from bufpool.cli.bench.parts import Race
from bufpool.cli.bench.peers import PEERS
from bufpool.cli.bench.timing import Entrant, Plan
from bufpool.cli.bench.ways import Way
from bufpool.cli.bench.worker import Worker

# Packages ------------------------------------------------------------------------------------------------------------


def made(module: ModuleType) -> ModuleType:
    return module


def test_a_peer_that_is_missing_is_reported_with_what_to_install(monkeypatch):
    monkeypatch.setattr(timing, "race", lambda crew, *_: {entrant.name: [1.0] for entrant in crew})
    absent = Package("nobodys", "a_module_that_nobody_has", made)
    crew = (Entrant("lease", "lease", "lease", 0), Entrant("theirs", "lease", "theirs", 0, peer=absent))
    check = Check("here", "lease", "theirs", speed(1.0))
    (result,) = Race("here", 0, (crew,), (check,)).run(Plan(rounds=1), lambda _: None)
    assert (result.figure, result.note) == (None, "not installed: pip install bufpool[bench]")


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


def test_a_peer_for_a_later_python_says_so():
    assert Package("peer", "pytest", made, python=(9, 1)).missing() == "needs Python 9.1"


def test_a_package_makes_what_its_entry_names_and_tells_its_version():
    assert Package("pytest", "pytest", made).make() is pytest
    assert Package("pytest", "pytest:skip", made).make() is pytest.skip
    assert Package("pytest", "pytest", made).version() == pytest.__version__
    assert Package("nobodys", "pytest", made).version() is None


# Packages apart ------------------------------------------------------------------------------------------------------


@pytest.fixture
def twins(monkeypatch, tmp_path) -> Path:
    """Two distributions whose module has one name, with a part of its own."""
    monkeypatch.setattr(apart, "folder", lambda distribution: tmp_path / distribution)
    for name in ("one", "other"):
        folder = tmp_path / name
        (folder / "twin").mkdir(parents=True)
        (folder / "twin" / "__init__.py").write_text("from twin.part import NAME\n", encoding="utf-8")
        (folder / "twin" / "part.py").write_text(f"NAME = {name!r}\n", encoding="utf-8")
        (folder / f"{name}-7.dist-info").mkdir()
        (folder / f"{name}-7.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 7\n", encoding="utf-8"
        )
    monkeypatch.setattr(apart, "APART", {"one": "one", "other": "other"})
    return tmp_path


def test_packages_with_one_module_name_are_used_in_one_process(twins):
    path = list(sys.path)
    assert apart.load("one", "twin").NAME == "one"
    assert apart.load("other", "twin").NAME == "other"
    assert apart.load("one", "twin.part").NAME == "one"
    assert apart.version("other") == "7"
    assert sys.path == path
    assert not [name for name in sys.modules if name.startswith("twin")]


def test_what_the_environment_has_of_that_name_stays_imported(monkeypatch, twins):
    ours = ModuleType("twin")
    monkeypatch.setitem(sys.modules, "twin", ours)
    assert apart.load("one", "twin") is not ours
    assert sys.modules["twin"] is ours


def test_a_package_that_is_not_apart_is_not_taken_from_the_environment(monkeypatch, twins):
    monkeypatch.syspath_prepend(str(twins / "one"))
    with pytest.raises(ImportError, match="missing is not in"):
        apart.load("missing", "twin")
    monkeypatch.setitem(apart.APART, "missing", "missing")
    assert Package("missing", "twin", made).missing() == f"not installed: {apart.INSTALL}"


def test_they_are_installed_in_folders_of_their_own_without_what_they_require(monkeypatch, twins):
    commands = []
    monkeypatch.setattr(apart.subprocess, "run", lambda command, check: commands.append(command))
    apart.main()
    assert [command[-2:] for command in commands] == [[str(twins / name), name] for name in ("one", "other")]
    assert all("--no-deps" in command and "--target" in command for command in commands)


# Ways ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("statement", "calls"), [("slow()", "quick()"), ("quick()", "slow()"), ("quick()", "")])
def test_a_peer_is_timed_by_the_quicker_of_its_ways(statement, calls):
    called: list[str] = []
    names = {"slow": lambda: called.append("slow") or time.sleep(1e-4), "quick": lambda: called.append("quick")}
    sample = Way(statement, names, object, list.append, calls=calls).sample()
    called.clear()
    sample(3)
    assert called == ["quick"] * 3


WAYS = """
from bufpool.cli.bench.peers import PEERS
from bufpool.cli.bench.sampling import loop
for name, package in PEERS.items():
    if not package.missing():
        way = package.make(1)
        for form in filter(None, (way.statement, way.calls)):
            print(name, form, flush=True)
            assert loop(form, **way.names)(3) > 0
print("all")
"""


def test_both_ways_of_a_peer_are_a_checkout_and_a_return():
    """One object: a second checkout needs the first one's return. In a process, for some peers leave things behind."""
    command = [sys.executable, "-c", WAYS]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired as expired:
        pytest.fail(f"waits for ever: {str(expired.stdout).split(chr(10))[-2:]}")
    assert done.stdout.endswith("all\n"), done.stdout + done.stderr


# Manners -------------------------------------------------------------------------------------------------------------


def listed(change: Callable[[list[Any]], Way]) -> Callable[[int], Way]:
    return lambda size: change([object() for _ in range(size)])


def way(take: Callable[[], Any], give: Callable[[Any], Any]) -> Way:
    return Way("", {}, take, give)


def careful(ready: list[Any]) -> Way:
    """Refuses what is not out."""

    def give(one: Any) -> None:
        if one in ready:
            raise ValueError
        ready.append(one)

    return way(ready.pop, give)


def silent(ready: list[Any]) -> Way:
    return way(ready.pop, lambda one: None if one in ready else ready.append(one))


def growing(ready: list[Any]) -> Way:
    """Counts what came back and makes as many."""
    room = [2]

    def take() -> Any:
        if room[0] == 0:
            raise IndexError
        room[0] -= 1
        return ready.pop() if ready else object()

    def give(one: Any) -> None:
        room[0] += 1
        if one not in ready:
            ready.append(one)

    return way(take, give)


def copying(ready: list[Any]) -> Way:
    return way(object, lambda _: None)


@pytest.mark.parametrize(
    ("build", "twice"),
    [
        (careful, manners.REFUSED),
        (silent, manners.NOTHING),
        (growing, manners.EXTRA),
        (copying, manners.COPY),
        (lambda ready: way(ready.pop, ready.append), manners.SHARED),
        (lambda ready: way(lambda: ready[0], lambda _: None), manners.SHARED),
    ],
)
def test_what_a_double_release_does_is_told(monkeypatch, build, twice):
    monkeypatch.setitem(manners.BY_HAND, "of this test", listed(build))
    assert manners.manners("of this test")["twice"] == twice


@pytest.mark.parametrize(
    ("take", "empty"),
    [
        (lambda ready: ready.pop(), "raises IndexError"),
        (lambda ready: ready.pop() if ready else None, manners.NONE),
        (lambda ready: ready.pop() if ready else object(), manners.MAKES_MORE),
        (lambda ready: ready.pop() if len(ready) > 1 else ready[0], manners.SAME),
    ],
)
def test_what_a_pool_without_an_object_left_does_is_told(monkeypatch, take, empty):
    monkeypatch.setitem(
        manners.BY_HAND, "of this test", listed(lambda ready: way(lambda: take(ready), ready.append))
    )
    assert manners.manners("of this test")["empty"] == empty


@pytest.mark.parametrize(
    ("how", "twice", "empty"),
    [
        ("lease", manners.REFUSED, manners.WAITS),
        ("queue.LifoQueue", manners.SHARED, manners.WAITS),
        ("list pair", manners.SHARED, "raises IndexError"),
        ("fastalloc", manners.REFUSED, "raises PoolEmptyError"),
        ("object-pool", manners.SHARED, manners.WAITS),
        ("anopool", manners.NOTHING, manners.WAITS),
        ("SQLAlchemy", manners.NOTHING, manners.WAITS),
        ("psycopg_pool", manners.REFUSED, manners.WAITS),
        ("py-object-pool", manners.SHARED, manners.MAKES_MORE),
    ],
)
def test_pools_are_tried_and_not_taken_at_their_word(how, twice, empty):
    if how in PEERS and PEERS[how].missing():
        pytest.skip(PEERS[how].missing())
    with Worker() as worker:
        worker.ready()
        assert worker.ask(do="probe", name="manners", how=how) == {"twice": twice, "empty": empty}


def test_everything_by_hand_is_taken_given_and_timed():
    for build in BY_HAND.values():
        made_here = build(2)
        made_here.give(made_here.take())
        assert made_here.sample()(3) > 0
