"""``python -m bufpool`` before it has a handler for Ctrl-C of its own: while the package is being imported.

Python imports this package before it runs any code of the command line. So the package imports this module before all
others, and the command line calls `end` where it starts to catch `KeyboardInterrupt`. Every program that uses the
package imports this module, so it imports nothing that only the command line needs.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # type checkers take every variable of this name for true
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["INTERRUPTED", "end"]

INTERRUPTED = 130  # as a shell reports a program that SIGINT ended: 128 and the signal's number


def _stop(*_: object) -> NoReturn:
    # Nothing was written and nothing was started, so there is nothing to clean up.
    os.write(2, b"bufpool: interrupted\n")
    os._exit(INTERRUPTED)


def _module(words: list[str]) -> str | None:
    """Return the module that Python's own option ``-m`` names; the program's options come behind it."""
    rest = iter(words)
    for word in rest:
        if word in ("-W", "-X", "--check-hash-based-pycs"):
            next(rest, None)  # its value
        elif not word.startswith("-"):
            return None
        elif word.endswith("m") and word[1] not in "-WX":
            return next(rest, None)
    return None


def _begin() -> None:
    """Let Ctrl-C end the process without a traceback, if Python is importing the package for ``python -m bufpool``."""
    if sys.argv[:1] != ["-m"] or _module(sys.orig_argv[1:]) != __package__:
        return
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def end() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again."""
    import signal

    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_begin()
