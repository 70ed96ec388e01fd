"""Names of ``bufpool`` are imported when they are first used: a program with a `Pool` alone loads no NumPy."""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import inspect
import operator
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bufpool
from bufpool.objects.settings import CO_COROUTINE, _makes_coroutines
from tests.support.accounting import run_python
from tests.support.programs import python

#: What takes long to import, and what a pool of objects in threads does without.
HEAVY = {"asyncio", "dataclasses", "inspect", "logging", "multiprocessing", "numpy", "random", "signal", "traceback"}

NO_NUMPY = """
import sys

class NoNumPy:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "numpy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoNumPy())
"""


def test_an_object_pool_does_not_load_numpy() -> None:
    out = run_python(f"""
        import sys
        before = set(sys.modules)
        from bufpool import Pool, PoolTimeoutError
        class Care:
            def reset(self, item):
                item.clear()
        pool = Pool(list, check=len, reset=Care().reset, close=lambda item: None, max_size=2)
        with pool.lease() as x:
            x.append(1)
        pool.stats(), pool.advice(), pool.leases(), pool.maintain(), pool.close()
        loaded = set(sys.modules) - before
        print(sorted(each for each in loaded if each in {HEAVY!r} or each.startswith("bufpool.memory")))
    """)
    assert out == "[]\n"


def test_a_pool_for_tasks_loads_no_numpy() -> None:
    out = run_python("""
        import asyncio, sys
        from bufpool import AsyncPool

        async def main():
            pool = AsyncPool(list)
            async with pool.lease() as x:
                x.append(1)
            await pool.close()

        asyncio.run(main())
        print("numpy" in sys.modules, [each for each in sys.modules if each.startswith("bufpool.memory")])
    """)
    assert out == "False []\n"


@pytest.mark.parametrize(
    ("pool", "rest"), [("BufferPool", "bufpool.memory.registry"), ("Pool", "bufpool.objects.async_pool")]
)
def test_a_pool_loads_its_wing(pool: str, rest: str) -> None:
    """So no thread imports a part of it while another one forks, which would leave the child a lock that is shut."""
    out = run_python(f"""
        import sys, bufpool
        bufpool.{pool}
        loaded = set(sys.modules)
        [getattr(bufpool, name) for name in bufpool.__all__ if bufpool._HOME_OF.get(name, "").startswith({rest[:11]!r})]
        print({rest!r} in loaded, sorted(set(sys.modules) - loaded))
    """)
    assert out == "True []\n"


def test_statistics_and_errors_load_no_numpy() -> None:
    out = run_python("""
        import sys, bufpool
        bufpool.PoolStats, bufpool.pools(), bufpool.good_size(1000), bufpool.LimitError
        print("numpy" in sys.modules)
    """)
    assert out == "False\n"


class Called:
    def __call__(self) -> None: ...

    async def later(self) -> None: ...

    def now(self) -> None: ...


class Later:
    async def __call__(self) -> None: ...


async def later() -> None: ...


def marked() -> None: ...


if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(marked)

FUNCTIONS: list[Callable[..., Any]] = [
    list, len, list.append, [].append, operator.methodcaller("close"), operator.itemgetter(0), lambda: None, marked,
    later, functools.partial(later), functools.partial(len, []), Called(), Called().later, Called().now, Called.later,
    Later(), Later().__call__, functools.wraps(later)(lambda: None), bufpool.good_size, functools.cache(later),
    functools.partial(Called().later), type("Slots", (), {"__slots__": (), "__call__": later}), int.from_bytes,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: type(function).__name__)
def test_coroutine_functions_are_told_as_inspect_tells_them(function: Callable[..., Any]) -> None:
    assert _makes_coroutines(function) == inspect.iscoroutinefunction(function)
    assert inspect.CO_COROUTINE == CO_COROUTINE


# What a module shows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["", "bufpool.BufferPool().ones(9); bufpool.Pool(list); bufpool.resources.files;"])
def test_dir_shows_public_names_only(first: str) -> None:
    out = run_python(f"""
        import bufpool
        {first}
        print(dir(bufpool) == sorted([*bufpool.__all__, "resources"]))
        print([each for each in dir(bufpool) if each.startswith("_") and each != "__version__"])
        print([each for each in dir(bufpool) if not hasattr(bufpool, each)])
    """)
    assert out == "True\n[]\n[]\n"


def test_recipes_are_there_without_an_import() -> None:
    out = run_python("""
        import sys, bufpool
        print("bufpool.resources" in sys.modules)
        print(bufpool.resources.files.readers.__module__, "bufpool.resources.dbapi" in sys.modules)
        print(dir(bufpool.resources), "numpy" in sys.modules)
    """)
    names = ["Settings", "dbapi", "files", "http", "sockets", "sqlalchemy", "workers"]
    assert out == f"False\nbufpool.resources.files False\n{names} False\n"


def test_every_recipe_is_in_the_list() -> None:
    found = {path.stem for path in Path(bufpool.resources.__file__ or "").parent.glob("[!_]*.py")}
    assert found == set(dir(bufpool.resources)) - {"Settings"}


def test_a_star_import_gives_every_name() -> None:
    out = run_python("""
        import bufpool
        from bufpool import *
        print([each for each in bufpool.__all__ if globals()[each] is not getattr(bufpool, each)])
        with Pool(list).lease(), BufferPool().lease(9):
            pass
    """)
    assert out == "[]\n"


@pytest.mark.parametrize("module", ["bufpool", "bufpool.resources"])
def test_a_name_that_is_missing_is_missed_as_in_any_module(module: str) -> None:
    with pytest.raises(AttributeError) as usual:
        _ = pickle.nope  # type: ignore[attr-defined]
    with pytest.raises(AttributeError) as ours:
        _ = importlib.import_module(module).nope
    assert str(ours.value) == str(usual.value).replace("'pickle'", repr(module))
    assert ours.value.name == "nope"
    with pytest.raises(ImportError, match=f"cannot import name 'nope' from '{module}'"):
        exec(f"from {module} import nope")
    assert not hasattr(bufpool, "__wrapped__")


# The lists of names --------------------------------------------------------------------------------------------------


def imported_for_types() -> Iterator[tuple[str, str]]:
    """Module and name of each import under ``TYPE_CHECKING``."""
    for node in ast.parse(Path(bufpool.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.body:
                assert isinstance(each, ast.ImportFrom)
                yield from ((each.module or "", alias.name) for alias in each.names)


def test_type_checkers_find_names_where_python_does() -> None:
    lazily = {(home, name) for name, home in bufpool._HOME_OF.items()}
    assert set(imported_for_types()) == lazily | {("bufpool", "resources")}
    eagerly = {*bufpool.errors.__all__, "__version__", "errors"}
    assert {name for _, name in lazily} | eagerly == set(bufpool.__all__)


# Copies, threads, and what cannot be imported ------------------------------------------------------------------------


def kept() -> list[object]:
    memory, objects = bufpool.BufferPool(name="kept"), bufpool.Pool(list, name="kept")
    return [memory.stats(), objects.stats(), bufpool.pools(), bufpool.LimitError("full"), objects.advice()]


def test_pickles_are_read_before_anything_is_imported(tmp_path: Path) -> None:
    things = kept()
    (tmp_path / "things").write_bytes(pickle.dumps(things))
    out = run_python(f"""
        import pathlib, pickle
        things = pickle.loads(pathlib.Path({str(tmp_path / "things")!r}).read_bytes())
        print([type(each).__name__ for each in things])
        import bufpool
        print([type(each) is getattr(bufpool, type(each).__name__) for each in things], things[0].name)
    """)
    names = ["PoolStats", "ObjectStats", "PoolsReading", "LimitError", "Advice"]
    assert out == f"{names}\n{[True] * 5} kept\n"
    assert copy.deepcopy(things)[0] == things[0]


def test_each_class_is_found_where_it_says_that_it_is() -> None:
    for name in bufpool.__all__:
        thing = getattr(bufpool, name)
        if isinstance(thing, type):
            assert getattr(importlib.import_module(thing.__module__), thing.__qualname__) is thing
            assert pickle.loads(pickle.dumps(thing)) is thing


def test_first_use_of_a_name_by_two_threads() -> None:
    """With a switch of threads at every chance; another name for each thread to begin with, in each order."""
    program = """
        import sys, threading, bufpool
        sys.setswitchinterval(1e-6)
        names = sorted(set(dir(bufpool)) - {"__version__"})
        barrier, found, errors = threading.Barrier(8), [[] for _ in range(8)], []

        def use(me):
            barrier.wait()
            try:
                for k in range(len(names)):
                    name = names[(k + me // 2 * 7) % len(names)]
                    found[me].append((name, getattr(bufpool, name)))
            except BaseException as error:
                errors.append(repr(error))

        threads = [threading.Thread(target=use, args=(me,)) for me in range(8)]
        [each.start() for each in threads]
        [each.join() for each in threads]
        one = {name: getattr(bufpool, name) for name in names}
        print(errors, [len(each) == len(names) for each in found] == [True] * 8)
        print([name for each in found for name, thing in each if thing is not one[name]])
    """
    for _ in range(5):
        assert run_python(program) == "[] True\n[]\n"


@pytest.mark.parametrize("name", ["BufferPool", "default_pool", "Buffer", "Lease", "Scratch"])
def test_without_numpy_object_pools_work(name: str) -> None:
    program = f"""
import bufpool
for _ in range(2):
    try:
        bufpool.{name}
    except ModuleNotFoundError as error:
        print(error, error.name, sep="; ")
try:
    from bufpool import {name}
except ImportError as error:
    print(error, error.name, sep="; ")
with bufpool.Pool(list).lease() as x:
    x.append(1)
print(bufpool.good_size(1000), len(bufpool.pools()), x)
"""
    done = python("-W", "error", "-c", NO_NUMPY + program)
    assert (done.returncode, done.stderr) == (0, "")
    said = f"bufpool.{name} needs NumPy: No module named 'numpy'; numpy"
    assert done.stdout.splitlines() == [said, said, said, f"{bufpool.good_size(1000)} 0 [1]"]


def test_another_module_that_is_missing_is_named_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bufpool._HOME_OF, "gone", "bufpool.memory.gone")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'bufpool\.memory\.gone'$"):
        _ = bufpool.gone  # type: ignore[attr-defined]
