"""Whether a tag may be published: ``python tools/tagged.py v1.2.3``, in a checkout of it that knows ``origin/main``.

The release workflow asks before it builds anything, because a tag can be made and pushed by hand too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from release import CHANGELOG, VERSION, NoReleaseError, git, order, read, stated_in, unready

MAIN = "origin/main"


def check(tree: Path, tag: str) -> None:
    """Raise `NoReleaseError` unless the tag is of the version that is stated and described, on main."""
    version = stated_in(read(tree / VERSION))
    order(version)
    if tag != f"v{version}":
        raise NoReleaseError(f"the tag is {tag}, and {VERSION} states {version}")
    if f"\n## [{version}] - " not in read(tree / CHANGELOG):
        raise NoReleaseError(f"{CHANGELOG} says nothing of {version}: `make release` was not used")
    unready(tree)
    if not git(tree, "branch", "--remotes", "--contains", "HEAD", "--list", MAIN):
        raise NoReleaseError(f"{tag} is {git(tree, 'rev-parse', 'HEAD').strip()}, which is not on {MAIN}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether a tag may be published.")
    parser.add_argument("tag", help="as v1.2.3")
    try:
        check(Path.cwd(), parser.parse_args().tag)
    except NoReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
