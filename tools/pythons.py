"""The interpreters of this machine that bufpool supports, one of each version: ``make matrix`` and ``make wheels``.

As a program it prints them, a version and a path to a line: ``python tools/pythons.py [python3.12 ...]``. With
``--left-out 3.12 ...`` it prints the versions that are not among these, and should be.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

OLDEST = (3, 11)
#: What a release is tried on.
COVERED = ("3.11", "3.12", "3.13", "3.13t", "3.14", "3.15")
#: Looked for on PATH, then in pyenv's folder.
NAMES = (*(f"python3.{minor}" for minor in range(11, 16)), *(f"python3.{minor}t" for minor in range(13, 16)))
PYENV = ".pyenv/versions/*/bin/python"

ASK = """
import sys, sysconfig
print(*sys.version_info[:2], sys.implementation.name, int(bool(sysconfig.get_config_var("Py_GIL_DISABLED"))))
"""


class Python(NamedTuple):
    """An interpreter: ``3.12`` or ``3.13t``, and where it is."""

    version: str
    path: str


class NoPythonError(Exception):
    """What was named is no interpreter that bufpool supports."""


def ask(name: str) -> Python:
    """Run an interpreter to learn its version. Raises `NoPythonError`."""
    path = shutil.which(name)
    if path is None:
        raise NoPythonError(f"cannot find {name}")
    run = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise NoPythonError(f"cannot run {name}: {run.stderr.strip()}")
    major, minor, implementation, free_threaded = run.stdout.split()
    version = f"{major}.{minor}{'t' if free_threaded == '1' else ''}"
    if implementation != "cpython" or (int(major), int(minor)) < OLDEST:
        raise NoPythonError(f"{name} is {implementation} {version}: bufpool needs CPython 3.11 or newer")
    return Python(version, path)


def find(named: Sequence[str] = ()) -> list[Python]:
    """Those named, each of which must be there; or all that are found."""
    pythons: dict[str, Python] = {}
    for name in named or (*NAMES, *map(str, sorted(Path.home().glob(PYENV)))):
        try:
            python = ask(name)
        except NoPythonError:
            if named:
                raise
            continue
        pythons.setdefault(python.version, python)
    return list(pythons.values())


def left_out(versions: Sequence[str]) -> list[str]:
    """Those that a release is tried on, and that are not among these."""
    return [version for version in COVERED if version not in versions]


def main() -> int:
    if sys.argv[1:2] == ["--left-out"]:
        print(*left_out(sys.argv[2:]))
        return 0
    try:
        pythons = find(sys.argv[1:])
    except NoPythonError as error:
        print(error, file=sys.stderr)
        return 1
    for python in pythons:
        print(python.version, python.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
