"""The maintainer's tools, which are in the checkout and in the sdist and are not installed; places for tests."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"

needs_tools = pytest.mark.skipif(not TOOLS.is_dir(), reason="the tools are in the checkout alone")


def short_folder() -> str:
    """Where a socket can be: its name has at most 107 bytes, and TMPDIR may be longer by itself."""
    return "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else tempfile.gettempdir()


def tool(name: str) -> ModuleType:
    """A tool by its name, found as the others of its folder find it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        return importlib.import_module(name)


def git(tree: Path, *arguments: str) -> str:
    """What git says. Skips the test where there is none."""
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    who = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout
