"""``python -m bufpool run``: an unchanged program, with a pool behind all of its NumPy arrays.

`program` starts it as ``python`` itself would, `threads` brings the pool into the threads that it starts, and
`report` says at the end what was saved.
"""

from __future__ import annotations

import argparse
import atexit
import os
import sys
import textwrap
from typing import TYPE_CHECKING

from bufpool.memory.conf import SETTINGS
from bufpool.memory.sizes import parse_size

if TYPE_CHECKING:
    from bufpool.cli.run.report import Report

__all__ = ["add_arguments", "main"]

DESCRIPTION = """\
Run a program as 'python' would: unchanged, but NumPy takes the memory of its arrays from a pool.

The program's own threads, executors and asyncio tasks are included, and so are child processes made by fork.
Not included: threads that were not started through the module 'threading', code in a new and empty
contextvars.Context(), and child processes that start afresh (multiprocessing's 'spawn' and 'forkserver', subprocess).

NumPy is imported before the program starts: set variables such as OMP_NUM_THREADS outside of it.

Other settings of the pool come from the environment variable BUFPOOL_CONF, such as BUFPOOL_CONF=max_idle=60,wipe=true.
"""

# The settings of the pool that are options, and what their help says besides their meaning.
BOUNDS = {
    "limit": "Such as 512MiB, 1.5G or 25%% of the memory. Above it NumPy raises MemoryError. Default: no limit",
    "max_retained": "Default: a quarter of the memory of the machine or its container",
}


def byte_count(text: str) -> int:
    """Read a size as `BufferPool` reads it."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class Paragraphs(argparse.HelpFormatter):
    """Fills each paragraph of a description by itself; argparse would make one of them all."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(
            textwrap.fill(each, width, initial_indent=indent, subsequent_indent=indent) for each in paragraphs
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command, and the program with its own arguments."""
    parser.formatter_class = Paragraphs
    parser.description = DESCRIPTION
    parser.usage = "%(prog)s [options] script.py [args]\n       %(prog)s [options] -m module [args]"
    for what, more in BOUNDS.items():
        parser.add_argument(
            f"--{what.replace('_', '-')}",
            type=byte_count,
            metavar="SIZE",
            help=f"{SETTINGS[what].meaning} {more}",
        )
    parser.add_argument(
        "--stats",
        action="store_true",
        help="Print at exit, on stderr, what was reused, the time and the page faults. Pools that the program makes "
        "itself are not counted",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="Use no pool. With --stats, this shows the time and the page faults to compare with",
    )
    parser.add_argument(
        "-m", dest="as_module", action="store_true", help="The program is a module, as with 'python -m'"
    )
    parser.add_argument(
        "program", metavar="script.py", help="A script, a folder or a zip file with __main__.py"
    )
    rest = parser.add_argument(
        "args", nargs=argparse.REMAINDER, help="Arguments of the program, passed on unchanged"
    )
    rest.required = False  # argparse names it among what is missing


def program_arguments(args: argparse.Namespace) -> list[str]:
    """Return what follows the program, a ``--`` directly behind it included, which argparse takes for its own."""
    rest: list[str] = args.args
    before = args.arguments[: len(args.arguments) - len(rest)]
    return ["--", *rest] if before[-1] == "--" else rest


def main(args: argparse.Namespace) -> int:
    """Run the program to its end, in this process.

    Returns
    -------
    int
        The exit status: that of Python if there is no such program, else 0. What the program raises comes out here,
        and its traceback will be shown without the frames that lie above it.
    """
    from bufpool import BufferPool
    from bufpool.cli.run.report import Report, report_refusals
    from bufpool.cli.run.threads import Threads
    from bufpool.memory.buffer_pool import make_default

    bounds = {what: getattr(args, what) for what in BOUNDS if getattr(args, what) is not None}
    if args.plain:
        if bounds:
            sys.stderr.write(
                "bufpool run: with --plain there is no pool that --limit or --max-retained could bound\n"
            )
            return 2
        return start(args, Report() if args.stats else None)
    pool = BufferPool(name="run", **bounds)
    make_default(pool)  # what the program itself takes from the default pool belongs to the same account
    threads = Threads(pool)
    if not args.stats:
        atexit.register(report_refusals, pool, os.getpid())
    pool.install()
    threads.start()
    return start(args, Report(pool, threads) if args.stats else None)


def start(args: argparse.Namespace, report: Report | None) -> int:
    """Run the program and report at its end; returns and raises as `main`."""
    from bufpool.cli.run.program import NoProgramError, launch

    if report is not None:
        # The first to register is the last to be called: after the program's threads and its own exit functions.
        atexit.register(report.write)
        report.begin()
    try:
        launch(args.program, program_arguments(args), as_module=args.as_module)
    except NoProgramError as error:
        if report is not None:
            atexit.unregister(report.write)  # nothing ran
        sys.stderr.write(f"{sys.executable}: {error}\n")
        return error.status
    return 0
