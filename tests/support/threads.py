"""Code in other threads, until it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any


def in_threads(function: Callable[..., Any], each: int | Iterable[Any]) -> None:
    """Call a function in so many threads at once, or in one for each of these arguments, and wait for all of them."""
    arguments = [()] * each if isinstance(each, int) else [(one,) for one in each]
    threads = [threading.Thread(target=function, args=given) for given in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a thread of its own."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()
    thread.join()
    return results.pop()
