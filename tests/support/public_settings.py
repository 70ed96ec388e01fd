"""What users may rely on beside names: what recipes set, and the options of ``python -m bufpool``, with defaults."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, NoReturn
from unittest import mock

from bufpool import cli

#: What a recipe is called with; a function if it has no place here.
SAMPLES: dict[str, Any] = {
    "bufpool.resources.dbapi.sqlite": ":memory:",
    "bufpool.resources.files.readers": "table.bin",
    "bufpool.resources.http.connections": "http://localhost",
}


class MadeError(Exception):
    """A recipe has come to make its pool."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings


def made(_: Any, **settings: Any) -> NoReturn:
    """In the place of a pool."""
    raise MadeError(settings)


def is_recipe(thing: Any) -> bool:
    if not (inspect.isfunction(thing) or inspect.isclass(thing)):
        return False
    return not {"settings", "pool_settings"}.isdisjoint(inspect.signature(thing).parameters)


def recipes_settings(modules: Iterable[ModuleType]) -> Iterator[str]:
    """What recipes set that a pool made without them would not have: values, or that there is a callback."""
    for module in modules:
        pools = {name: made for name in ("Pool", "AsyncPool") if hasattr(module, name)}
        recipes = [
            (f"{module.__name__}.{name}", getattr(module, name))
            for name in module.__all__
            if module.__name__.startswith("bufpool.resources.")
        ]
        with mock.patch.multiple(module, **pools) if pools else mock.patch.dict({}):
            for path, recipe in recipes:
                if is_recipe(recipe):
                    yield f"settings {path}({', '.join(settings_of(path, recipe))})"


def settings_of(path: str, recipe: Any) -> Iterator[str]:
    takes = [
        each
        for each in inspect.signature(recipe).parameters.values()
        if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
    ]
    try:
        recipe(*[SAMPLES.get(path, print) for _ in takes])
    except MadeError as pool:
        for name, value in sorted(pool.settings.items()):
            if isinstance(value, type):
                yield f"{name}={value.__name__}"
            else:
                yield f"{name}=..." if callable(value) else f"{name}={value!r}"
    else:
        raise AssertionError(f"{path} makes no pool")


def options() -> Iterator[str]:
    """Of the command line, in the order of its help."""
    parser = cli.make_parser()
    yield from options_of("python -m bufpool", parser)
    (commands,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for name, command in commands.choices.items():
        yield from options_of(f"python -m bufpool {name}", command)


def options_of(command: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # argparse has no other way to ask
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        yield f"{command} {', '.join(action.option_strings) or action.dest}: {', '.join(described(action))}"


def described(action: argparse.Action) -> Iterator[str]:
    kind = type(action).__name__.strip("_").removesuffix("Action").lower()
    if action.nargs == 0:
        yield "flag" if kind == "storetrue" else kind
        return
    yield str(action.metavar or action.dest)
    if kind != "store":
        yield kind
    if action.type is not None:
        yield getattr(action.type, "__name__", str(action.type))
    if action.nargs is not None:
        yield f"nargs {action.nargs}"
    if action.choices is not None:
        yield f"one of {' '.join(map(str, action.choices))}"
    if action.required:
        yield "required"
    elif action.default is not None:
        yield f"default {action.default if isinstance(action.default, (int, tuple)) else str(action.default)!r}"
