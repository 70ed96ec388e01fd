"""Random functions that name, pass on, look into and end one buffer or array: what is returned at once, nobody sees.

The functions are straight code, so that the compiler borrows references wherever it may, and they run until the
interpreter has specialised them. Names are bound, exchanged and deleted, arguments are passed on over several calls,
and views are kept in names, lists, generators, closures and objects.
"""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bufpool import BufferPool
from tests.verify.check import Found


@dataclass(frozen=True)
class Tried(Found):
    """What random functions did: how often something was ended, and returned its memory at once."""

    counts: tuple[int, int] = (0, 0)


N = 24 << 10  # bytes: a small block
NAMES = ("a", "b", "c", "d")
SIGNATURES = ("", "a", "a, b", "a, *, b", "*, a")
BINDS = ("{y} = {x}", "{y} = {x}", "{y} = world.same({x})", "{y}, {x} = {x}, {x}", "for {y} in ({x},): pass")
UNBINDS = ("del {x}", "{x} = None")
KEEPS = (
    "view = world.view({x})",
    "world.kept.append(world.view({x}))",
    "asleep = world.asleep(world.view({x})); next(asleep)",
    "inner = (lambda seen: lambda: seen)(world.view({x}))",
)
FORGETS = ("view = None", "world.kept.clear()", "asleep = None", "inner = None")
Kind = tuple[str, tuple[str, ...]]
#: How each kind of thing gets the name `x`, and what ends it. A block that begins with `x` ends it too.
BUFFER = (
    "{x} = world.pool.buffer(N)",
    (
        "{x}.release()",
        "type({x}).release({x})",
        "{x}.__exit__(None, None, None)",
        "type({x}).__exit__({x}, None, None, None)",
        "end = {x}.release; end()",
        "(lambda thing: thing.release())({x})",
        "with {x} as {y}:",
        "with {x}:",
    ),
)
ARRAY = (
    "world.lease = world.pool.lease(N, 'u1'); {x} = world.lease.__enter__()",
    ("world.lease.__exit__(None, None, None)", "end = world.lease.__exit__; end(None, None, None)"),
)
# The pool has room for one array: to hand out another, the scratch must empty the one that was released.
SCRATCH = (
    "world.scratch = world.pool.scratch(N, 'u1'); {x} = world.scratch.acquire()",
    (
        "world.scratch.release({x})\n"
        "    try: again = world.scratch.acquire()\n"
        "    except MemoryError: world.deferred = True",
    ),
)
BLOCKS = {BUFFER: "with world.pool.buffer(N) as {x}:", ARRAY: "with world.pool.lease(N, 'u1') as {x}:"}
SEEN = {BUFFER: lambda b: np.ndarray(N, "u1", buffer=b), ARRAY: lambda a: a[1:], SCRATCH: lambda a: a[1:]}


class World:
    """What the functions share: the pool, those who look, and what happened."""

    def __init__(self, kind: Kind) -> None:
        self.pool = BufferPool(name="references", limit=N if kind is SCRATCH else None)
        self.kind = kind
        self.scratch: Any = None
        self.deferred = False
        self.passed: list[object] = []
        self.kept: list[object] = []
        self.lease: Any = None
        self.views: list[weakref.ref[np.ndarray]] = []
        self.ends = self.at_once = 0
        self.wrong = ""

    def view(self, thing: Any) -> np.ndarray:
        view = SEEN[self.kind](thing)
        self.views.append(weakref.ref(view))
        return view

    @staticmethod
    def same(thing: object) -> object:
        return thing

    @staticmethod
    def asleep(thing: object) -> Iterator[None]:
        held = [thing]
        yield
        del held

    def ended(self) -> None:
        """Look whether what has just ended is still seen."""
        self.ends += 1
        if not self.deferred and (self.kind is SCRATCH or self.pool.stats().in_use_bytes == 0):
            self.at_once += 1
            seen = sum(view() is not None for view in self.views)
            if seen:
                self.wrong = f"returned at once, and {seen} views see it"

    def forget(self) -> None:
        """After a run nothing is left."""
        self.passed.clear()
        self.kept.clear()
        self.views.clear()
        self.lease = self.scratch = None
        self.deferred = False
        if self.pool.stats().in_use_bytes:
            self.wrong = self.wrong or "never returned"


class Source:
    """The text of some functions, the first of which is to be called."""

    def __init__(self, seed: int, kind: Kind) -> None:
        self.choose = random.Random(seed)
        self.kind = kind
        self.signatures = ["", *self.choose.choices(SIGNATURES, k=self.choose.randrange(4))]
        self.lines: list[str] = []
        for number in range(len(self.signatures)):
            self.function(number)

    def function(self, number: int) -> None:
        signature = self.signatures[number]
        self.bound = {letter for letter in signature if letter.isalpha()}
        self.indent = "    "
        self.lines.append(f"def f{number}({signature}):")
        last = number + 1 == len(self.signatures)
        block = False
        if not self.bound:
            x = self.choose.choice(NAMES)
            self.bound.add(x)
            block = number == 0 and last and self.kind in BLOCKS and self.choose.random() < 0.5
            begin = "{x} = world.passed.pop()" if number else BLOCKS[self.kind] if block else self.kind[0]
            self.add(begin.format(x=x))
            self.indent += "    " * block
        for _ in range(self.choose.randrange(block, 7)):
            self.anything()
        self.indent = "    "
        if not last:
            self.call(number + 1)
        elif not block:
            self.end()
        if last:
            self.add("world.ended()")
        for _ in range(self.choose.randrange(3)):
            self.anything(views=False)

    def add(self, line: str) -> None:
        self.lines.append(self.indent + line)

    def anything(self, views: bool = True) -> None:
        x, y = self.name(), self.choose.choice(NAMES)
        chance = self.choose.random()
        if chance < 0.5:
            self.add(self.choose.choice(BINDS).format(x=x, y=y))
            self.bound.add(y)
        elif chance < 0.65 and len(self.bound) > 1:
            self.add(self.choose.choice(UNBINDS).format(x=x))
            self.bound.discard(x)
        elif chance < 0.85 and views:
            self.add(self.choose.choice(KEEPS).format(x=x))
        else:
            self.add(self.choose.choice(FORGETS))

    def call(self, number: int) -> None:
        arguments, by_name = [], False
        for part in filter(None, self.signatures[number].split(", ")):
            if part == "*":
                by_name = True
            else:
                arguments.append(f"{part}={self.name()}" if by_name or self.choose.random() < 0.2 else self.name())
                by_name = by_name or "=" in arguments[-1]
        if not arguments:
            self.add(f"world.passed.append({self.name()})")
        self.add(f"f{number}({', '.join(arguments)})")

    def end(self) -> None:
        y = self.choose.choice(NAMES)
        line = self.choose.choice(self.kind[1]).format(x=self.name(), y=y)
        self.add(line)
        if line.endswith(":"):
            if " as " in line:
                self.bound.add(y)
            self.indent += "    "
            for _ in range(self.choose.randrange(1, 5)):
                self.anything()
            self.indent = "    "

    def name(self) -> str:
        return self.choose.choice(sorted(self.bound))


def random_functions(seeds: range, times: int = 20) -> Tried:
    """Run functions of each seed so many times, on buffers, on arrays of leases and on those of scratches."""
    violations = []
    ends = at_once = 0
    gc.freeze()  # what the process has made so far is not looked through again and again
    for seed in seeds:
        for kind in (BUFFER, ARRAY, SCRATCH):
            world = World(kind)
            source = "\n".join(Source(seed, kind).lines)
            names: dict[str, Any] = {"world": world, "N": N}
            exec(source, names)
            for _ in range(times):
                names["f0"]()
                world.forget()
                if world.wrong:
                    violations.append(f"seed {seed}: {world.wrong}\n{source}")
                    break
            ends += world.ends
            at_once += world.at_once
    gc.unfreeze()
    return Tried(f"{ends:,} ends, {at_once:,} returned at once", tuple(violations), (ends, at_once))
