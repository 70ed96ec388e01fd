"""L7: the command line. Each command is a package of its own, imported only when it is asked for.

A command offers ``add_arguments(parser)`` and ``main(args) -> int``, the exit status.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Collection, Sequence

from bufpool._version import __version__

__all__ = ["main", "make_parser"]

COMMANDS = {
    "run": "run an unchanged program with its NumPy memory from a pool",
    "demo": "a real picture pipeline on 4K frames, plain and under the pool, side by side",
    "bench": "every claim of speed and memory, measured on this machine beside its bound",
}


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
        The exit status. Mistakes in the arguments raise `SystemExit`, as `argparse` does.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # No option before the command takes a value, so the first plain word is the command.
    parser = make_parser([word for word in arguments if not word.startswith("-")][:1])
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    args, unknown = parser.parse_known_args(arguments)
    if unknown:  # argparse would show the usage of all commands, not of the one that was meant
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    args.arguments = arguments
    status: int = args.main(args)
    return status
