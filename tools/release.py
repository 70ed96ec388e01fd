"""``make release VERSION=1.2.3``: a version, stated, described and tagged; nothing leaves this machine.

What is under "Unreleased" in CHANGELOG.md goes under the version and today's date, ``src/bufpool/_version.py`` says it,
and a commit and a tag are made. A push of the tag then publishes it: ``git push --atomic origin main v1.2.3``.

Whatever fails, the files, the index, the branch and the tags are as they were before.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

CHANGELOG = Path("CHANGELOG.md")
VERSION = Path("src/bufpool/_version.py")
PROJECT = Path("pyproject.toml")
README = Path("README.md")
STATED = re.compile(r'^__version__ = "(?P<version>[^"]+)"$', re.MULTILINE)
UNRELEASED = "## [Unreleased]\n"
#: What the README says as long as it is true.
UNPUBLISHED = "There is no release on PyPI yet."
#: As PyPI spells them: no leading zeros, and no digits but these.
FORM = re.compile(r"(N)\.(N)\.(N)(?:(a|b|rc)(N))?".replace("N", "0|[1-9][0-9]*"))


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
    order(version)
    tag = f"v{version}"
    dirty = git(tree, "status", "--porcelain")
    if dirty:
        raise NoReleaseError(f"the tree has changes that are not committed:\n{dirty}")
    branch = git(tree, "branch", "--show-current").strip()
    if branch != "main":
        raise NoReleaseError(f"releases are made on main, not on {branch or 'a commit without a branch'}")
    if git(tree, "tag", "--list", tag):
        raise NoReleaseError(f"there is a tag {tag} already")
    unready(tree)
    stated, described = read(tree / VERSION), read(tree / CHANGELOG)
    changed = {
        VERSION: state(stated, version, git(tree, "tag", "--list", "v*").split()),
        CHANGELOG: describe(described, version, day),
    }

    print(f"{VERSION}: {stated_in(stated)} -> {version}")
    count = len(entries(described).splitlines())
    print(f"{CHANGELOG}: {count} {'line goes' if count == 1 else 'lines go'} under [{version}] - {day}")
    print(f"commit and tag: {tag}")
    if dry:
        print("dry run: nothing was changed")
        return
    make(tree, version, changed)
    print(f"to publish it: git push --atomic origin main {tag}")


# What must be there ---------------------------------------------------------------------------------------------------


def unready(tree: Path) -> None:
    """Raise `NoReleaseError` for all that those who find the package on PyPI would miss."""
    lacks = list(lacking(tree))
    if lacks:
        raise NoReleaseError("\n".join(lacks))


def lacking(tree: Path) -> Iterator[str]:
    """What the first release needs and the tree does not have yet."""
    try:
        urls = tomllib.loads(read(tree / PROJECT)).get("project", {}).get("urls", {})
    except tomllib.TOMLDecodeError as error:
        raise NoReleaseError(f"{PROJECT}: {error}") from error
    if not str(urls.get("Source", urls.get("Repository", ""))).startswith("https://"):
        yield (
            f"{PROJECT} does not say where the sources are, and the README's links lead nowhere on PyPI: "
            'add [project.urls] with Source = "https://..."'
        )
    if UNPUBLISHED in " ".join(read(tree / README).split()):
        yield f'{README} says "{UNPUBLISHED}": say how to install it from there'


def state(text: str, version: str, tags: list[str]) -> str:
    """The file of the version, saying the new one, which no earlier release may be as new as."""
    before = stated_in(text)
    # Other tags may begin with a v too.
    released = [tag[1:] for tag in tags if FORM.fullmatch(tag[1:])]
    newest = max(map(order, released), default=None)
    if order(version) < order(before) or (newest is not None and order(version) <= newest):
        raise NoReleaseError(f"{version} is not newer than {before} and the tags")
    return STATED.sub(f'__version__ = "{version}"', text)


def stated_in(text: str) -> str:
    """The version that the file of the version states."""
    match = STATED.search(text)
    if match is None:
        raise NoReleaseError(f"{VERSION} states no version")
    return match["version"]


def order(version: str) -> tuple[int, int, int, str, int]:
    """What versions are ordered by: 1.2.3a1 and 1.2.3rc1 come before 1.2.3."""
    match = FORM.fullmatch(version)
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


# What is done, and undone ---------------------------------------------------------------------------------------------


def make(tree: Path, version: str, changed: dict[Path, str]) -> None:
    """Write the files, commit and tag them; if anything stops it, an interrupt too, undo what was done."""
    files = [str(path) for path in changed]
    contents = {tree / path: (tree / path).read_bytes() for path in changed}
    before = git(tree, "rev-parse", "HEAD").strip()
    subject = f"Release {version}"
    try:
        for path, text in changed.items():
            (tree / path).write_text(text, encoding="utf-8", newline="\n")
        git(tree, "commit", "--quiet", "--message", subject, "--", *files)
        git(tree, "tag", "--annotate", "--message", f"bufpool {version}", f"v{version}")
    except BaseException as error:
        try:
            undo(tree, f"v{version}", before, subject, contents)
        except (NoReleaseError, OSError) as left:
            raise NoReleaseError(
                f"{error}\nand it could not all be undone: {left}\nbefore it, main was at {before}"
            ) from error
        if isinstance(error, OSError):
            raise NoReleaseError(str(error)) from error
        raise


def undo(tree: Path, tag: str, before: str, subject: str, contents: dict[Path, bytes]) -> None:
    """Take back our tag and our commit with its entries in the index, and give the files what they had."""
    now = git(tree, "rev-parse", "HEAD").strip()
    if now != before:
        # A hook, or somebody beside us, may have gone on from there; what they did is not ours to take back.
        parents, _, message = git(tree, "log", "-1", "--format=%P%n%B", now).partition("\n")
        if parents != before or subject not in message:
            raise NoReleaseError(f"main went on to {now}, which is not the commit of this release")
        if git(tree, "tag", "--list", "--points-at", now, tag):
            git(tree, "tag", "--delete", tag)
        git(tree, "update-ref", "-m", f"undo {tag}", "HEAD", before, now)
        git(tree, "reset", "--quiet", "--", *map(str, contents))
    for path, content in contents.items():
        path.write_bytes(content)


def read(path: Path) -> str:
    """Its text. Raises `NoReleaseError` if there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NoReleaseError(f"cannot read {path.name}: {error}") from error


def git(tree: Path, *arguments: str) -> str:
    """What git says. Raises `NoReleaseError` with its complaint."""
    try:
        run = subprocess.run(
            ["git", *arguments], cwd=tree, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError as error:
        raise NoReleaseError(f"cannot run git: {error}") from error
    if run.returncode != 0:
        # A hook may complain on either stream, or not at all.
        said = f"{run.stdout}{run.stderr}".strip() or f"exit status {run.returncode}"
        raise NoReleaseError(f"git {arguments[0]}: {said}")
    return run.stdout


if __name__ == "__main__":
    sys.exit(main())
