"""The settings of an object pool, checked."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Collection
from operator import methodcaller
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

from bufpool import _validate
from bufpool.errors import FactoryError, SettingError
from bufpool.objects.native._pool_state import MOST, PoolCore

__all__ = ["PoolSettings", "Settings", "checked", "new_core"]

T = TypeVar("T")

MOMENTS = ("checkout", "return", "idle")
OVERFLOWS = ("wait", "fail", "create")
ON_FAILURE = ("raise", "wait")

CO_COROUTINE = 0x80  # of a code object: `inspect.CO_COROUTINE`
#: What is never a coroutine function.
PLAIN: tuple[type, ...] = (type, BuiltinFunctionType, MethodDescriptorType, methodcaller)

_numbers = itertools.count(1)


class Settings(TypedDict, Generic[T], total=False):
    """The settings of `bufpool.Pool` by keyword, for functions of your own that pass them on.

    Examples
    --------
    >>> import bufpool, io
    >>> from typing import Unpack
    >>> from bufpool.resources import Settings
    >>> def texts(**settings: Unpack[Settings[io.StringIO]]) -> bufpool.Pool[io.StringIO]:
    ...     return bufpool.Pool(io.StringIO, **settings)
    >>> texts(max_size=3).max_size
    3
    """

    min_size: int
    max_size: int
    timeout: float | None
    max_waiting: int | None
    overflow: Literal["wait", "fail", "create"]
    workers: int
    on_failure: Literal["raise", "wait"]
    fair: bool
    lifo: bool
    check: Callable[[T], object] | None
    check_on: str | Collection[str]
    check_after: float
    check_interval: float
    configure: Callable[[T], object] | None
    on_acquire: Callable[[T], object] | None
    reset: Callable[[T], object] | None
    close: Callable[[T], object] | None
    max_idle: float | None
    max_lifetime: float | None
    max_uses: int | None
    backoff: tuple[float, float] | None
    discard_on: type[BaseException] | tuple[type[BaseException], ...]
    leak_threshold: float | None
    debug: bool | None
    name: str | None


class PoolSettings(NamedTuple):
    """All settings of a pool, checked: times in seconds, None for what has no bound."""

    name: str
    min_size: int
    max_size: int
    timeout: float | None
    max_waiting: int | None
    overflow: str
    workers: int  # 0: clients create and close objects themselves
    on_failure: str
    fair: bool
    lifo: bool
    check: Callable[[Any], Any] | None
    check_on: frozenset[str]  # empty without a check
    check_after: float
    check_interval: float
    configure: Callable[[Any], Any] | None
    on_acquire: Callable[[Any], Any] | None
    reset: Callable[[Any], Any] | None
    close: Callable[[Any], Any] | None
    max_idle: float | None
    max_lifetime: float | None
    max_uses: int | None
    backoff: tuple[float, float]  # both 0.0: no back-off
    discard_on: tuple[type[BaseException], ...]
    leak_threshold: float | None
    debug: bool


def _makes_coroutines(function: object) -> bool:
    """Return whether it is a coroutine function. The usual callbacks need no `inspect`, which is slow to import."""
    if isinstance(function, PLAIN):
        return False
    function = getattr(function, "__func__", function)  # of a bound method
    if isinstance(function, FunctionType) and not function.__dict__:  # a mark that says so would stand there
        return bool(function.__code__.co_flags & CO_COROUTINE)
    from inspect import iscoroutinefunction

    return iscoroutinefunction(function)


def checked(factory: Any, chosen: dict[str, Any], *, in_threads: bool) -> PoolSettings:
    """Check the settings of a new pool; raise `SettingError`, or `TypeError` for a value of a wrong kind."""
    name = chosen["name"]
    if name is None:
        name = f"objects-{next(_numbers)}"
    elif not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    for what in ("factory", "check", "configure", "on_acquire", "reset", "close"):
        value = factory if what == "factory" else chosen[what]
        if not callable(value) and (what == "factory" or value is not None):
            raise TypeError(f"pool {name!r}: {what} must be callable, not {value!r}")
        if in_threads and value is not None and _makes_coroutines(value):
            raise FactoryError(
                f"pool {name!r}: {what} is a coroutine function: such callbacks need a bufpool.AsyncPool"
            )

    def seconds(what: str) -> float | None:
        return _validate.seconds(what, chosen[what], name)

    def finite(what: str) -> float:
        value = seconds(what)
        if value is None:
            raise SettingError(f"pool {name!r}: {what} must be a number of seconds, not {chosen[what]!r}")
        return value

    def whole(what: str, least: int) -> int | None:
        value = chosen[what]
        return None if value is None else _validate.count(what, value, name, least, MOST)

    max_size = _validate.count("max_size", chosen["max_size"], name, 1, MOST)
    debug = chosen["debug"]
    workers = _validate.count("workers", chosen["workers"], name, 0, MOST)
    on_failure = _validate.choice("on_failure", chosen["on_failure"], name, ON_FAILURE)
    if on_failure == "wait" and (not workers or chosen["backoff"] is None):
        lack = "backoff is None" if workers else "workers is 0"
        raise SettingError(f"pool {name!r}: on_failure='wait' needs workers and a backoff, and {lack}")
    return PoolSettings(
        name=name,
        min_size=_validate.count("min_size", chosen["min_size"], name, 0, max_size),
        max_size=max_size,
        timeout=seconds("timeout"),
        max_waiting=whole("max_waiting", 0),
        overflow=_validate.choice("overflow", chosen["overflow"], name, OVERFLOWS),
        workers=workers,
        on_failure=on_failure,
        fair=_validate.flag("fair", chosen["fair"], name),
        lifo=_validate.flag("lifo", chosen["lifo"], name),
        check=chosen["check"],
        check_on=_moments(chosen["check_on"], name, chosen["check"] is not None),
        check_after=finite("check_after"),
        check_interval=finite("check_interval"),
        configure=chosen["configure"],
        on_acquire=chosen["on_acquire"],
        reset=chosen["reset"],
        close=chosen["close"],
        max_idle=seconds("max_idle"),
        max_lifetime=seconds("max_lifetime"),
        max_uses=whole("max_uses", 1),
        backoff=_backoff(chosen["backoff"], name),
        discard_on=_exceptions(chosen["discard_on"], name),
        leak_threshold=seconds("leak_threshold"),
        debug=sys.flags.dev_mode if debug is None else _validate.flag("debug", debug, name),
    )


def new_core(settings: PoolSettings, engine: object) -> PoolCore:
    """Create the compiled state of a pool."""
    core = PoolCore(
        settings.name,
        engine,
        max_size=settings.max_size,
        max_waiting=MOST if settings.max_waiting is None else settings.max_waiting,
        fair=settings.fair,
        lifo=settings.lifo,
    )
    core.configure(
        debug=settings.debug or settings.leak_threshold is not None,
        keeps_times=bool(settings.check_on) or settings.max_idle is not None,
        has_lifetime=settings.max_lifetime is not None,
        max_idle=0 if settings.max_idle is None else max(1, int(1e9 * settings.max_idle)),
        checks_out="checkout" in settings.check_on,
        prepares_out=settings.on_acquire is not None,
        check_after=int(1e9 * settings.check_after),
        handles_returns=settings.reset is not None or "return" in settings.check_on,
        max_uses=settings.max_uses or 0,
    )
    return core


def _moments(value: str | Collection[str], name: str, checks: bool) -> frozenset[str]:
    try:
        words = (value,) if isinstance(value, str) else tuple(value)
    except TypeError:
        raise TypeError(
            f"pool {name!r}: check_on must be one of {', '.join(MOMENTS)}, or several of them, not {value!r}"
        ) from None
    for word in words:
        _validate.choice("check_on", word, name, MOMENTS)
    if checks and not words:
        raise SettingError(f"pool {name!r}: check_on must name a moment when there is a check")
    return frozenset(words) if checks else frozenset()


def _backoff(value: Any, name: str) -> tuple[float, float]:
    if value is None:
        return 0.0, 0.0
    try:
        first, longest = value
    except (TypeError, ValueError):
        raise TypeError(f"pool {name!r}: backoff must be two numbers of seconds or None, not {value!r}") from None
    pair = _validate.seconds("backoff", first, name), _validate.seconds("backoff", longest, name)
    if pair[0] is None or pair[1] is None or not 0 < pair[0] <= pair[1]:
        raise SettingError(
            f"pool {name!r}: backoff must be (first, longest) with 0 < first <= longest, not {value!r}"
        )
    return pair[0], pair[1]


def _exceptions(value: Any, name: str) -> tuple[type[BaseException], ...]:
    kinds: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)  # pyright: ignore[reportUnknownVariableType]
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(
                f"pool {name!r}: discard_on must be an exception type or a tuple of them, not {value!r}"
            )
    return kinds
