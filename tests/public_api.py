"""What users may rely on, one line a name: the text that ``api.txt`` freezes and ``test_api.py`` compares.

Python's public names are those of ``__all__`` in `bufpool`, `bufpool.errors` and `bufpool.resources`, and the public
members of their classes, wherever in the package a base defines them. Types are not here: ``typed`` freezes those.
Compiled methods tell their signature, but not whether they are to be awaited, so ``async`` is of Python's own alone.

    python -m public_api        # writes api.txt; `make api` does it
"""

from __future__ import annotations

import argparse
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, is_typeddict

import bufpool
import bufpool.cli
import bufpool.resources

SNAPSHOT = Path(__file__).with_name("api.txt")

# What the interpreter calls: which of them a class has is part of what it promises.
PROTOCOLS = {
    f"__{name}__"
    for name in (
        *(
            "aenter",
            "aexit",
            "bytes",
            "call",
            "class_getitem",
            "dlpack",
            "dlpack_device",
            "enter",
            "eq",
            "exit",
        ),
        *("getitem", "len", "setitem", "str", "sub"),
    )
}


class Name(NamedTuple):
    """A public name: ``kind`` is class, error, function, property, alias, module or value."""

    path: str
    kind: str
    thing: Any


def modules() -> list[ModuleType]:
    """The public ones. Recipes for packages that are not installed raise `ImportError`."""
    recipes = [each.name for each in pkgutil.iter_modules(bufpool.resources.__path__, "bufpool.resources.")]
    return [import_module(name) for name in ("bufpool", "bufpool.errors", "bufpool.resources", *recipes)]


def names() -> Iterator[Name]:
    """All of them, members behind their class."""
    for module in modules():
        if module is not bufpool:
            yield Name(module.__name__, "module", module)
        for name in module.__all__:
            found = classified(f"{module.__name__}.{name}", getattr(module, name))
            # The errors are at hand in `bufpool` too, and described in their own module.
            if found.kind == "error" and module is bufpool:
                found = found._replace(kind="alias")
            if found.kind != "module":
                yield found
            if found.kind == "class":
                yield from members(found)


def classified(path: str, thing: Any) -> Name:
    if inspect.ismodule(thing):
        kind = "module"
    elif inspect.isclass(thing):
        kind = "error" if issubclass(thing, BaseException) else "class"
    elif inspect.isroutine(thing):
        kind = "function"
    elif isinstance(thing, property) or inspect.isdatadescriptor(thing):
        kind = "property"
    else:
        kind = "alias" if hasattr(thing, "__origin__") else "value"
    return Name(path, kind, thing)


def ours(owner: type) -> dict[str, Any]:
    """What the package's own classes give to `owner`, as they define it."""
    found: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.split(".")[0] == "bufpool":
            found |= vars(base)
    return found


def members(owner: Name) -> Iterator[Name]:
    fields = getattr(owner.thing, "_fields", ())
    for name in sorted(ours(owner.thing)):
        if not name.startswith("_") and name not in fields:
            yield classified(f"{owner.path}.{name}", inspect.getattr_static(owner.thing, name))


# Lines ---------------------------------------------------------------------------------------------------------------


def parameters(function: Any) -> list[inspect.Parameter]:
    """Without ``self``."""
    found = list(inspect.signature(function).parameters.values())
    return found[1:] if found and found[0].name == "self" else found


def signature(function: Any) -> str:
    """Names, kinds and defaults; no annotations, which each version of Python shows in its own way."""
    shown: list[str] = []
    before = None
    given = parameters(function)
    for parameter in given:
        if before is parameter.POSITIONAL_ONLY and parameter.kind is not before:
            shown.append("/")
        if parameter.kind is parameter.KEYWORD_ONLY and before not in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        ):
            shown.append("*")
        stars = "*" * (
            (parameter.kind is parameter.VAR_POSITIONAL) + 2 * (parameter.kind is parameter.VAR_KEYWORD)
        )
        default = parameter.default
        value = "" if default is parameter.empty else f"={'...' if default is ... else repr(default)}"
        shown.append(f"{stars}{parameter.name}{value}")
        before = parameter.kind
    if before is inspect.Parameter.POSITIONAL_ONLY:
        shown.append("/")
    return f"({', '.join(shown)})"


def made_by(owner: type) -> str:
    """How one makes an instance; nothing if only the package does."""
    if fields := getattr(owner, "_fields", ()):
        return f"({', '.join(fields)})"
    if is_typeddict(owner):
        return f"{{{', '.join(owner.__annotations__)}}}"
    init = ours(owner).get("__init__")
    return signature(init) if inspect.isfunction(init) and not getattr(owner, "_is_protocol", False) else ""


def full_name(thing: type) -> str:
    return (
        thing.__qualname__ if thing.__module__ == "builtins" else f"{thing.__module__}.{thing.__qualname__}"
    )


def foreign(owner: type) -> str:
    """The nearest class that is not the package's, whose members an instance has too."""
    others = [base for base in owner.__mro__ if base.__module__.split(".")[0] not in ("bufpool", "typing")]
    return "" if others[0] is object else f" is {full_name(others[0])}"


def line(name: Name) -> str:
    path, kind, thing = name
    if kind == "class":
        special = " ".join(sorted(PROTOCOLS & ours(thing).keys()))
        return f"class {path}{made_by(thing)}{foreign(thing)}" + (f": {special}" if special else "")
    if kind == "error":
        return f"error {path}({', '.join(base.__name__ for base in thing.__bases__)})"
    if kind == "function":
        return f"{'async ' if inspect.iscoroutinefunction(thing) else ''}def {path}{signature(thing)}"
    if kind == "alias":
        return f"{path} = {full_name(thing) if inspect.isclass(thing) else repr(thing)}"
    return f"{kind} {path}"


def options(command: str) -> Iterator[str]:
    """The arguments of a command, in the order of its help."""
    parser = argparse.ArgumentParser(add_help=False)
    import_module(f"bufpool.cli.{command}").add_arguments(parser)
    for action in parser._actions:  # argparse has no other way to ask
        choices = f" {{{','.join(map(str, action.choices))}}}" if action.choices else ""
        yield f"python -m bufpool {command} {', '.join(action.option_strings) or action.dest}{choices}"


def declarations() -> Iterator[str]:
    """What ``cimport bufpool`` offers; the contracts in its subpackages are promised to nobody."""
    text = Path(bufpool.__file__).with_name("__init__.pxd").read_text(encoding="utf-8")
    lines = [re.sub(r"\s*#.*", "", each) for each in text.splitlines()]
    yield from [f"cimport bufpool: {each.strip()}" for each in lines if each.strip()] or [
        "cimport bufpool: nothing"
    ]


def snapshot() -> list[str]:
    """One line a name."""
    commands = [each for command in bufpool.cli.COMMANDS for each in options(command)]
    return [*map(line, names()), *declarations(), *commands]


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(snapshot()) + "\n", encoding="utf-8")
