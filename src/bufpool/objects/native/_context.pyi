from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, TypeVar

_R = TypeVar("_R")

def call_within(
    variable: ContextVar[tuple[Any, ...]],
    entry: object,
    function: Callable[..., _R],
    args: tuple[object, ...],
) -> _R: ...
def reset(variable: ContextVar[Any], token: Token[Any]) -> None: ...
