"""Samples: a *sample* is a function that runs its workload n times and returns the seconds that it took."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import repeat
from textwrap import indent
from time import perf_counter
from typing import Any

Sample = Callable[[int], float]


def loop(statement: str, **names: Any) -> Sample:
    """A timed loop around `statement`, whose `names` are local variables of the loop.

    The loop is generated, as ``timeit`` does: all contenders of a workload have the same overhead, and none is
    subtracted.
    """
    return _generate("def", statement, names)  # type: ignore[no-any-return]


def script_loop(statement: str, **names: Any) -> Sample:
    """A timed loop around `statement`, whose `names` are global names, as in a script."""
    return _generate("def", statement, names, arguments="")  # type: ignore[no-any-return]


def async_loop(statement: str, run: Callable[[Coroutine[Any, Any, float]], float], **names: Any) -> Sample:
    """A timed loop around a statement that awaits; `run` runs a coroutine to its end, which is not timed itself."""
    sample = _generate("async def", statement, names)
    return lambda n: run(sample(n))


def _generate(keyword: str, statement: str, names: Mapping[str, Any], arguments: str | None = None) -> Any:
    if arguments is None:
        arguments = "".join(f", {name}={name}" for name in names)
    source = (
        f"{keyword} sample(_n{arguments}):\n"
        f"    _start = _clock()\n"
        f"    for _i in _repeat(None, _n):\n"
        f"{indent(statement, ' ' * 8)}\n"
        f"    return _clock() - _start\n"
    )
    scope: dict[str, Any] = {**names, "_clock": perf_counter, "_repeat": repeat}
    exec(compile(source, f"<bench: {statement}>", "exec"), scope)  # noqa: S102 - a loop around a call would time the call
    return scope["sample"]


#: Seconds of a sample, and samples of each, when the forms of one contender are tried against each other.
TRIAL, TRIALS = 0.001, 5


def fastest(forms: Sequence[Sample]) -> Sample:
    """The form that takes the least time, each tried for a few milliseconds."""
    if len(forms) == 1:
        return forms[0]
    loops = [calibrate(form, TRIAL) for form in forms]
    took = [[form(many) / many for form, many in zip(forms, loops, strict=True)] for _ in range(TRIALS)]
    best = [min(column) for column in zip(*took, strict=True)]
    return forms[best.index(min(best))]


def calibrate(sample: Sample, seconds: float) -> int:
    """Warm `sample` up and find the number of iterations that takes about `seconds`.

    Two iterations warm up: the second allocates while the first one's result is still alive.
    """
    took = sample(2) / 2
    if took > 5 * seconds:
        return 1
    loops, took = 1, sample(1)
    while took < seconds / 2:
        # A short sample says little about a long one, so the guess grows at most tenfold.
        loops = max(2 * loops, min(10 * loops, int(loops * seconds / took) if took > 0 else 10 * loops))
        took = sample(loops)
    return max(1, round(loops * seconds / took))


def fastest_block(sample: Sample, loops: int) -> float:
    """Seconds for `loops` iterations, extrapolated from the fastest of five blocks; all of them if they are few.

    Other programs only ever add time, so on a shared machine the minimum is the steadiest reading, as `timeit` says of
    its repeats. Medians are then taken over such samples.
    """
    blocks = 5
    if loops < 2 * blocks:
        return sample(loops)
    part = loops // blocks
    return min(sample(part) for _ in range(blocks)) * loops / part
