"""Calls everything on objects of compiled classes whose ``__init__`` never ran.

``python -m tests.support.uninitialized_objects FIRST`` starts with class number FIRST.

Python code can make such an object of any class, with ``cls.__new__(cls)``. The program goes through the classes, from
number FIRST on, and through all members of each, and prints each step before it takes it: where it crashes, the last
line says at what.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import bufpool
import bufpool.memory.native
import bufpool.objects.native

NATIVE = (bufpool.memory.native, bufpool.objects.native)
KEYWORD = re.compile(r"keyword-only argument '?(\w+)")
MOST_ARGUMENTS = 3


def classes() -> list[type]:
    """Those of all compiled modules, whether or not a module names them."""
    for native in NATIVE:
        for module in pkgutil.iter_modules(native.__path__, f"{native.__name__}."):
            importlib.import_module(module.name)
    found: dict[int, type] = {}  # by identity: a class of somebody else's may compare as it likes
    todo: list[type] = [object]
    while todo:
        for each in type.__subclasses__(todo.pop()):
            if id(each) not in found:
                found[id(each)] = each
                todo.append(each)
    # Cython's own classes, for the state of a generator, have no members.
    names = {native.__name__ for native in NATIVE}
    own = {
        (each.__module__, each.__name__): each
        for each in found.values()
        if str(getattr(each, "__module__", "")).rpartition(".")[0] in names and "__pyx" not in each.__name__
    }
    return [own[name] for name in sorted(own)]


def values(thing: object) -> tuple[object, ...]:
    """Arguments to try: of wrong kinds, and of right ones."""
    return (None, 1, "x", thing, bufpool.Pool(list)._core)


def called(function: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    """What it returns, with whatever keywords it asks for."""
    keywords: dict[str, object] = {}
    while True:
        try:
            return function(*arguments, **keywords)
        except TypeError as error:
            name = KEYWORD.search(str(error))
            if name is None or name[1] in keywords:
                raise
            keywords[name[1]] = 1


def finished(result: Any) -> None:
    """Drive what must be driven to do anything."""
    if hasattr(result, "send") and hasattr(result, "close"):
        with suppress(StopIteration):
            result.send(None)
        result.close()
    elif hasattr(result, "__next__"):
        next(result)


def lists_of_arguments(thing: object) -> Iterator[tuple[object, ...]]:
    for count in range(MOST_ARGUMENTS + 1):
        yield from itertools.product(values(thing), repeat=count)


def makers(cls: type) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Ways to make an object of the class: without ``__init__``, if need be with arguments; and by a call."""
    for arguments in lists_of_arguments(None):
        with suppress(Exception):
            called(cls.__new__, (cls, *arguments))
            yield f"__new__{arguments}", lambda arguments=arguments: called(cls.__new__, (cls, *arguments))  # type: ignore[misc]
            break
    for arguments in lists_of_arguments(None):
        with suppress(Exception):
            called(cls, arguments)
            yield f"{cls.__name__}{arguments}", lambda arguments=arguments: called(cls, arguments)  # type: ignore[misc]
            break


def members(cls: type) -> list[str]:
    """Names of what the class and its bases have, and `object` has not."""
    return [name for name in dir(cls) if any(name in vars(each) for each in cls.__mro__[:-1]) and name != "__new__"]


def steps(cls: type, make: Callable[[], Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """All that is tried, each time with a new object."""
    for name in members(cls):
        yield f".{name}", lambda name=name: getattr(make(), name)  # type: ignore[misc]
        yield f"del .{name}", lambda name=name: delattr(make(), name)  # type: ignore[misc]
        for value in (None, 1, "x"):
            yield f".{name} = {value!r}", lambda name=name, value=value: setattr(make(), name, value)  # type: ignore[misc]
        if not callable(getattr(cls, name, None)):
            continue
        for arguments in lists_of_arguments(None):
            words = f".{name}({', '.join(type(each).__name__ for each in arguments)})"
            yield words, lambda name=name, arguments=arguments: called(getattr(make(), name), arguments)  # type: ignore[misc]
        # The object as its own argument.
        yield (f".{name}(itself)", lambda name=name: (lambda thing: called(getattr(thing, name), (thing,)))(make()))  # type: ignore[misc]
    yield "its words", lambda: (repr(make()), hash(make()))
    yield "memoryview", lambda: memoryview(make())
    yield "members, one after the other", lambda: one_after_the_other(make())


def one_after_the_other(thing: Any) -> None:
    """With the same object."""
    for name in members(type(thing)):
        with suppress(Exception):
            finished(called(getattr(thing, name), ()))


def main() -> None:
    warnings.simplefilter("ignore")
    for number, cls in enumerate(classes()):
        if number < int(sys.argv[1]):
            continue
        for how, make in makers(cls):
            for words, step in steps(cls, make):
                print(number, cls.__module__, cls.__qualname__, how, words, flush=True)
                with suppress(Exception):
                    finished(step())
    gc.collect()
    print("end", flush=True)


if __name__ == "__main__":
    main()
