"""``make release VERSION=1.2.3``: a version, stated, described and tagged; nothing leaves this machine.

What is under "Unreleased" in CHANGELOG.md goes under the version and today's date, ``src/bufpool/_version.py`` says it,
and a commit and a tag are made. A push of the tag then publishes it: ``git push origin main v1.2.3``.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

CHANGELOG = Path("CHANGELOG.md")
VERSION = Path("src/bufpool/_version.py")
STATED = re.compile(r'^__version__ = "(?P<version>[^"]+)"$', re.MULTILINE)
UNRELEASED = "## [Unreleased]\n"


class NoReleaseError(Exception):
    """Why there can be no release now."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make release", description="State, describe and tag a version.")
    parser.add_argument("version", help="the new one, as 1.2.3, 1.2.3a1, 1.2.3b1 or 1.2.3rc1")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    options = parser.parse_args()
    try:
        release(Path.cwd(), options.version, datetime.datetime.now(datetime.UTC).date(), dry=options.dry_run)
    except NoReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


def release(tree: Path, version: str, day: datetime.date, *, dry: bool) -> None:
    """Do all of it, or with ``dry`` say so. Raises `NoReleaseError`, and has changed nothing then."""
    tag = f"v{version}"
    dirty = git(tree, "status", "--porcelain")
    if dirty:
        raise NoReleaseError(f"the tree has changes that are not committed:\n{dirty}")
    branch = git(tree, "branch", "--show-current").strip()
    if branch != "main":
        raise NoReleaseError(f"releases are made on main, not on {branch or 'a commit without a branch'}")
    if git(tree, "tag", "--list", tag):
        raise NoReleaseError(f"there is a tag {tag} already")
    stated = (tree / VERSION).read_text(encoding="utf-8")
    described = (tree / CHANGELOG).read_text(encoding="utf-8")
    new_stated, new_described = (
        state(stated, version, git(tree, "tag", "--list", "v*").split()),
        describe(described, version, day),
    )

    print(f"{VERSION}: {STATED.search(stated)['version']} -> {version}")  # type: ignore[index]
    print(f"{CHANGELOG}: {len(entries(described).splitlines())} lines go under [{version}] - {day}")
    print(f"commit and tag: {tag}")
    if dry:
        print("dry run: nothing was changed")
        return
    (tree / VERSION).write_text(new_stated, encoding="utf-8")
    (tree / CHANGELOG).write_text(new_described, encoding="utf-8")
    git(tree, "commit", "--quiet", "--message", f"Release {version}", "--", str(VERSION), str(CHANGELOG))
    git(tree, "tag", "--annotate", "--message", f"bufpool {version}", tag)
    print(f"to publish it: git push origin main {tag}")


def state(text: str, version: str, tags: list[str]) -> str:
    """The file of the version, saying the new one, which no earlier release may be as new as."""
    match = STATED.search(text)
    if match is None:
        raise NoReleaseError(f"{VERSION} states no version")
    newest = max((order(tag.removeprefix("v")) for tag in tags), default=None)
    if order(version) < order(match["version"]) or (newest is not None and order(version) <= newest):
        raise NoReleaseError(f"{version} is not newer than {match['version']} and the tags")
    return STATED.sub(f'__version__ = "{version}"', text)


def order(version: str) -> tuple[int, int, int, str, int]:
    """What versions are ordered by: 1.2.3a1 and 1.2.3rc1 come before 1.2.3."""
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?", version)
    if match is None:
        raise NoReleaseError(f"{version!r} is not a version such as 1.2.3 or 1.2.3rc1")
    return int(match[1]), int(match[2]), int(match[3]), match[4] or "z", int(match[5] or 0)


def entries(changelog: str) -> str:
    """What is under "Unreleased"."""
    if UNRELEASED not in changelog:
        raise NoReleaseError(f'{CHANGELOG} has no line "{UNRELEASED.strip()}"')
    return re.split(r"^## ", changelog.split(UNRELEASED, 1)[1], maxsplit=1, flags=re.MULTILINE)[0].strip()


def describe(changelog: str, version: str, day: datetime.date) -> str:
    """The changelog with all that is unreleased under the version, and room above it."""
    if not re.search(r"^- ", entries(changelog), re.MULTILINE):
        raise NoReleaseError(f'{CHANGELOG} says nothing under "Unreleased"')
    return changelog.replace(UNRELEASED, f"{UNRELEASED}\n## [{version}] - {day.isoformat()}\n", 1)


def git(tree: Path, *arguments: str) -> str:
    """What git says. Raises `NoReleaseError` with its complaint."""
    run = subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise NoReleaseError(f"git {arguments[0]}: {run.stderr.strip()}")
    return run.stdout


if __name__ == "__main__":
    sys.exit(main())
