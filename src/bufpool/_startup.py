"""``python -m bufpool`` before it has a handler for Ctrl-C of its own: while NumPy and the package are being imported.

Python imports this package before it runs any code of the command line. So the package imports this module before all
others, and the command line calls `end` where it starts to catch `KeyboardInterrupt`.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import pairwise
from typing import NoReturn

__all__ = ["INTERRUPTED", "end"]

INTERRUPTED = 130  # as a shell reports a program that SIGINT ended: 128 and the signal's number


def _stop(*_: object) -> NoReturn:
    # Nothing was written and nothing was started, so there is nothing to clean up.
    os.write(2, b"bufpool: interrupted\n")
    os._exit(INTERRUPTED)


def _begin() -> None:
    """Let Ctrl-C end the process without a traceback, if Python is importing the package for ``python -m bufpool``."""
    is_command_line = sys.argv[:1] == ["-m"] and any(
        option.startswith("-") and option.endswith("m") and module == __package__
        for option, module in pairwise(sys.orig_argv[1:])
    )
    if is_command_line and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def end() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_begin()
