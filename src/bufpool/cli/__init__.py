"""The command line. Each command is a package of its own, imported only when it is asked for.

A command offers ``add_arguments(parser)`` and ``main(args) -> int``, the exit status.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from bufpool import _startup
from bufpool._startup import INTERRUPTED
from bufpool._version import __version__

__all__ = ["main", "make_parser"]

COMMANDS = {
    "run": "run an unchanged program with its NumPy memory from a pool",
    "demo": "a real picture pipeline on 4K frames, plain and under the pool, side by side",
}

NOT_READ = 141  # as a shell reports a program that SIGPIPE ended: 128 and the signal's number


def make_parser(wanted: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """Make the parser of the command line.

    Parameters
    ----------
    wanted : collection of str, optional
        The commands that have their options; those of the others would cost an import. Default: all.

    Returns
    -------
    argparse.ArgumentParser
        What it parses tells the command's function, ``main``, and its own ``parser``.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bufpool",
        description="Memory for NumPy arrays and buffers, kept ready for reuse.",
        epilog="'python -m bufpool COMMAND --help' tells more of each command.",
    )
    parser.add_argument("--version", action="version", version=f"bufpool {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, allow_abbrev=False)
        if name in wanted:
            module = importlib.import_module(f"bufpool.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(main=module.main, parser=command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments, without the program's own name. Default: those of the process.

    Returns
    -------
    int
        The exit status. Mistakes in the arguments raise `SystemExit`, as `argparse` does; so do Ctrl-C, a closed
        output and a full device. Under ``run`` they belong to the program, and come out as the program raises them.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # No option before the command takes a value, so the first plain word is the command.
    wanted = [word for word in arguments if not word.startswith("-")][:1]
    with _ending_quietly(wanted):
        _startup.end()
        parser = make_parser(wanted)
        if not arguments:
            parser.print_help(sys.stderr)
            return 2
        args, unknown = parser.parse_known_args(arguments)
        if unknown:  # argparse would show the usage of all commands, not of the one that was meant
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        args.arguments = arguments
        status: int
        if wanted != ["run"]:
            status = args.main(args)
            return status
    status = args.main(args)
    return status


@contextmanager
def _ending_quietly(command: Sequence[str]) -> Iterator[None]:
    """End without a traceback on Ctrl-C, when nobody reads the output any more, and when there is no room for it."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # there is none if its descriptor was closed from the start
                sys.stdout.flush()  # at the interpreter's end an error could not be handled any more
    except KeyboardInterrupt:
        over_the_progress = "\r\033[K" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{over_the_progress}{' '.join(['bufpool', *command])}: interrupted\n")
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        _write_no_more()
        raise SystemExit(NOT_READ) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _write_no_more()
        sys.stderr.write(f"{' '.join(['bufpool', *command])}: {error}\n")
        raise SystemExit(1) from None


def _write_no_more() -> None:
    """What is still buffered goes nowhere, so that the interpreter's own flush does not fail again."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
