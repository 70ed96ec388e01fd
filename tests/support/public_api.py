"""What users may rely on, one line a name: the text that ``api.txt`` freezes and ``test_api.py`` compares.

Python's public names are those of ``__all__`` in `bufpool`, `bufpool.errors` and `bufpool.resources`, and the members
of their classes, wherever in the package a base defines them: the public ones, and the special methods, which the
interpreter calls. Parameters, their kinds and defaults are those of the running package; types are as `declarations`
reads them. Behind the names stand the type variables and aliases that they use.

    python -m tests.support.public_api        # writes api.txt; `make api` does it
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, is_typeddict

import bufpool
import bufpool.resources
from tests.support import declarations
from tests.support.checkout import ROOT
from tests.support.public_settings import options, recipes_settings

SNAPSHOT = ROOT / "tests" / "project" / "api.txt"

#: What the interpreter and other libraries call, and a class has when the program runs. Stubs and sources may have
#: more: of a compiled class with one comparison all can be called, and with ``__setitem__`` also ``__delitem__``.
SPECIAL = {
    f"__{name}__"
    for name in (
        *("repr", "str", "bytes", "format", "hash", "eq", "bool", "int", "float", "complex", "index", "fspath"),
        *("len", "getitem", "setitem", "missing", "iter", "next", "reversed", "contains", "getattr"),
        *("add", "sub", "mul", "truediv", "floordiv", "mod", "or", "and", "neg", "pos", "abs", "invert"),
        *("call", "enter", "exit", "aenter", "aexit", "await", "aiter", "anext", "class_getitem"),
        *("buffer", "release_buffer", "dlpack", "dlpack_device", "array", "array_interface"),
        *("reduce", "reduce_ex", "getstate", "setstate", "copy", "deepcopy"),
    )
}
#: How an object is made is said of its class; a named tuple's own are as every named tuple's.
NOT_SPECIAL = {"__init__", "__new__", "__slots__"}
OF_NAMED_TUPLES = {"__repr__"}


class Name(NamedTuple):
    """A public name: ``kind`` is class, error, function, property, special, attribute, alias, module or value."""

    path: str
    kind: str
    thing: Any
    nodes: list[ast.stmt]


def modules() -> list[ModuleType]:
    """The public ones. Recipes for packages that are not installed raise `ImportError`."""
    names = [each.name for each in pkgutil.iter_modules(bufpool.resources.__path__)]
    recipes = [f"bufpool.resources.{name}" for name in names if not name.startswith("_")]
    return [import_module(name) for name in ("bufpool", "bufpool.errors", "bufpool.resources", *recipes)]


def names() -> Iterator[Name]:
    """All of them, members behind their class."""
    for module in modules():
        if module is not bufpool:
            yield Name(module.__name__, "module", module, [])
        for name in module.__all__:
            thing = getattr(module, name)
            nodes = declarations.of_module(getattr(thing, "__module__", module.__name__), name)
            found = classified(f"{module.__name__}.{name}", thing, nodes)
            # The errors are at hand in `bufpool` too, and described in their own module.
            if found.kind == "error" and module is bufpool:
                found = found._replace(kind="alias")
            if found.kind != "module":
                yield found
            if found.kind in ("class", "error"):
                yield from members(found)


def classified(path: str, thing: Any, nodes: list[ast.stmt]) -> Name:
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
    return Name(path, kind, thing, nodes)


def ours(owner: type) -> dict[str, Any]:
    """What the package's own classes give to `owner`, as they define it."""
    found: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        if declarations.ours(base.__module__):
            found |= vars(base)
    return found


def members(owner: Name) -> Iterator[Name]:
    fields = getattr(owner.thing, "_fields", ())
    defined = ours(owner.thing)
    for name in sorted(defined):
        if not name.startswith("_") and name not in fields:
            thing = inspect.getattr_static(owner.thing, name)
            yield classified(f"{owner.path}.{name}", thing, declarations.of_member(owner.thing, name))
    for name, nodes in sorted(declarations.instance_attributes(owner.thing).items()):
        yield Name(f"{owner.path}.{name}", "attribute", None, nodes)
    for name in sorted(special_names(owner.thing, defined)):
        yield Name(f"{owner.path}.{name}", "special", defined.get(name), declarations.of_member(owner.thing, name))


def special_names(owner: type, defined: dict[str, Any]) -> set[str]:
    """Those that there are when the program runs, and those that are written, of which some Pythons lack some."""
    running = SPECIAL & defined.keys() - (OF_NAMED_TUPLES if hasattr(owner, "_fields") else set())
    read = {name for name in declarations.members(owner) if re.fullmatch("__.*__", name)}
    return running | read - NOT_SPECIAL


# Lines ---------------------------------------------------------------------------------------------------------------


def parameters(function: Any, types: dict[str, Any] | None = None) -> list[inspect.Parameter]:
    """As the function has them, without ``self``; types as they are written."""
    found = [
        each.replace(annotation=(types or {}).get(each.name, each.empty))
        for each in inspect.signature(function).parameters.values()
    ]
    return found[1:] if found and found[0].name == "self" else found


def signature(found: list[inspect.Parameter], result: Any = inspect.Parameter.empty) -> str:
    shown: list[str] = []
    before = None
    for parameter in found[1:] if found and found[0].name == "self" else found:
        if before is parameter.POSITIONAL_ONLY and parameter.kind is not before:
            shown.append("/")
        if parameter.kind is parameter.KEYWORD_ONLY and before not in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        ):
            shown.append("*")
        stars = "*" * ((parameter.kind is parameter.VAR_POSITIONAL) + 2 * (parameter.kind is parameter.VAR_KEYWORD))
        default, annotation = parameter.default, parameter.annotation
        shown_type, equals = ("", "=") if annotation is parameter.empty else (f": {annotation}", " = ")
        value = "" if default is parameter.empty else equals + ("..." if default is ... else repr(default))
        shown.append(f"{stars}{parameter.name}{shown_type}{value}")
        before = parameter.kind
    if before is inspect.Parameter.POSITIONAL_ONLY:
        shown.append("/")
    return f"({', '.join(shown)})" + ("" if result is inspect.Parameter.empty else f" -> {result}")


def made_by(owner: type) -> str:
    """How one makes an instance. If only the package does, and says so: that it never returns."""
    if fields := getattr(owner, "_fields", ()):
        return f"({typed(owner, fields)})"
    if is_typeddict(owner):
        return f"{{{typed(owner, owner.__annotations__)}}}"
    init, nodes = (ours(owner).get("__init__"), declarations.functions(declarations.of_member(owner, "__init__")))
    if getattr(owner, "_is_protocol", False):
        return ""
    if inspect.isfunction(init):
        return signature(parameters(init, declarations.annotations([*nodes])))
    return signature(declarations.parameters(nodes[0]), declarations.text(nodes[0].returns)) if nodes else ""


def typed(owner: type, fields: Any) -> str:
    return ", ".join(f"{each}{declarations.type_of(declarations.of_member(owner, each))}" for each in fields)


def full_name(thing: type) -> str:
    return thing.__qualname__ if thing.__module__ == "builtins" else f"{thing.__module__}.{thing.__qualname__}"


def foreign(owner: type) -> str:
    """The nearest class that is not the package's, whose members an instance has too."""
    others = [base for base in owner.__mro__ if base.__module__.split(".")[0] not in ("bufpool", "typing")]
    return "" if others[0] is object else f" is {full_name(others[0])}"


def function_line(path: str, function: Any, nodes: list[ast.stmt]) -> str:
    """Compiled methods do not tell whether they are to be awaited: what is written does."""
    awaited = inspect.iscoroutinefunction(function) or declarations.is_awaited(nodes)
    types = declarations.annotations(nodes)
    shown = signature(parameters(function, types), types.get("return", inspect.Parameter.empty))
    return f"{'async ' if awaited else ''}def {path}{shown}"


def special_line(path: str, thing: Any, nodes: list[ast.stmt]) -> str:
    """As it is written, if it is: how a compiled one is shown differs between Pythons."""
    if thing is None and path.endswith("__hash__"):
        return f"special {path} = None"
    for node in declarations.functions(nodes):
        if not declarations.is_overload(node):
            shown = signature(declarations.parameters(node), declarations.text(node.returns))
            return f"{'async ' if declarations.is_awaited([node]) else ''}def {path}{shown}"
    return f"special {path}"


def lines(name: Name) -> Iterator[str]:
    """The name's own, and one for each of its overloads."""
    path, kind, thing, nodes = name
    if kind == "class":
        final = "final " if declarations.is_decorated(nodes, "final") else ""
        yield f"{final}class {path}{declarations.generic(nodes)}{made_by(thing)}{foreign(thing)}"
        nodes = declarations.of_member(thing, "__init__")
    elif kind == "error":
        yield f"error {path}({', '.join(base.__name__ for base in thing.__bases__)})"
    elif kind == "function":
        yield function_line(path, thing, nodes)
    elif kind == "special":
        yield special_line(path, thing, nodes)
    elif kind == "alias":
        yield f"{path} = {full_name(thing) if inspect.isclass(thing) else repr(thing)}"
    else:
        yield f"{kind} {path}{declarations.type_of(nodes)}"
    overloads = [node for node in declarations.functions(nodes) if declarations.is_overload(node)]
    if overloads and overloads[0].name not in ("__init__", path.rpartition(".")[2]):
        yield f"overload {path} as {overloads[0].name}"
        return
    for node in overloads:
        yield f"overload {path}{signature(declarations.parameters(node), declarations.text(node.returns))}"


def words(found: list[Name]) -> Iterator[str]:
    """Type variables and aliases of the package's own, of the modules that these names are written in."""
    for module in sorted(declarations.read_for(each.thing for each in found)):
        for name, meaning in declarations.type_words(module):
            yield f"type {module}.{name} = {meaning}"


def cimported() -> Iterator[str]:
    """What ``cimport bufpool`` offers; the contracts in its subpackages are promised to nobody."""
    text = Path(bufpool.__file__).with_name("__init__.pxd").read_text(encoding="utf-8")
    found = [re.sub(r"\s*#.*", "", each) for each in text.splitlines()]
    yield from [f"cimport bufpool: {each.strip()}" for each in found if each.strip()] or ["cimport bufpool: nothing"]


def snapshot() -> list[str]:
    """All of it, in order."""
    found = list(names())
    return [
        *(line for name in found for line in lines(name)),
        *words(found),
        *recipes_settings(modules()),
        *cimported(),
        *options(),
    ]


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(snapshot()) + "\n", encoding="utf-8")
