"""Programs that tests write and run, each in a process of its own, with and without ``python -m bufpool run``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import bufpool
from tests.support.checkout import ROOT


def beside_places(text: str, *places: Path) -> str:
    """What a text says beside the folders that it names: a checkout, an environment or a folder may be called anything.

    A file of the package keeps the package's own name.
    """
    known = [sys.executable, sys.prefix, sys.base_prefix, *filter(None, sys.path), ROOT / "tests", *places]
    known += [os.path.realpath(place) for place in known]
    for place in sorted(map(str, known), key=len, reverse=True):
        text = text.replace(place, "…")
    return text


def environment() -> dict[str, str]:
    """Where the package is found as this test found it, from any folder."""
    home = str(Path(bufpool.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, os.environ.get("PYTHONPATH", "")])}


def python(*arguments, env=(), stdout=subprocess.PIPE, **settings) -> subprocess.CompletedProcess[str]:
    """Run an interpreter that finds the package as this test did; `env` is added to its variables."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment() | dict(env),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **{"timeout": 120} | settings,
    )


class Programs:
    """A folder of programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    def python(self, *arguments) -> subprocess.CompletedProcess[str]:
        return python(*arguments, cwd=self.folder)

    def run(self, *arguments) -> subprocess.CompletedProcess[str]:
        """As ``python -m bufpool run``."""
        return self.python("-m", "bufpool", "run", *arguments)

    def both(self, *arguments, flags=()) -> subprocess.CompletedProcess[str]:
        """Run plainly and under a pool, and check that nothing differs."""
        plain = self.python(*flags, *arguments)
        pooled = self.python(*flags, "-m", "bufpool", "run", *arguments)
        seen = []
        for each in (plain, pooled):
            out, err = (re.sub(r"0x[0-9a-f]+", "0x", text) for text in (each.stdout, each.stderr))
            seen.append((each.returncode, out, err))
        assert seen[1] == seen[0]
        return pooled
