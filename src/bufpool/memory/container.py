"""How much memory this process may use: the machine's, or its container's if that is less.

On Linux a container is a control group (cgroups(7)): its limit is in the files that a version 1 or version 2 hierarchy
has for the process's group and for each group above it. On Windows it is a job, which `total_memory` asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from bufpool.memory.native._arena import total_memory

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["available_memory", "cgroup_limit"]

#: The file with the limit, by the type of the mounted file system.
LIMIT_FILES = {"cgroup2": "memory.max", "cgroup": "memory.limit_in_bytes"}
#: Version 1 writes the largest number of pages where there is no limit, version 2 the word "max".
NO_LIMIT = 1 << 60


class Mount(NamedTuple):
    """A cgroup hierarchy: its type, the group that is mounted, and where."""

    kind: str
    group: str
    folder: str


# The result of `available_memory`, once it was read. Not `functools.cache`: without the GIL that has a lock, which a
# fork could leave shut in the child.
_available: tuple[int | None] | None = None


def available_memory() -> int | None:
    """Return the bytes of memory this process may use, or None if the system does not tell. Read once a process."""
    global _available
    if _available is None:
        known = [each for each in (total_memory() or None, cgroup_limit()) if each is not None]
        _available = (min(known, default=None),)
    return _available[0]


def cgroup_limit(root: str = "/") -> int | None:
    """Return the lowest memory limit of the process's cgroups and their parents, in bytes.

    Parameters
    ----------
    root : str
        The root of the file tree.

    Returns
    -------
    int or None
        None: no limit, or no file with one.
    """
    from pathlib import Path  # not when the package is imported: a pool may never need it

    top = Path(root)
    try:
        groups, mounts = _groups(top), list(_mounts(top))
    except OSError:
        return None
    limits = [
        _limit(top / folder.lstrip("/") / LIMIT_FILES[mount.kind])
        for mount in mounts
        if mount.kind in groups
        for folder in _folders(groups[mount.kind], mount)
    ]
    return min((limit for limit in limits if limit is not None), default=None)


def _groups(top: Path) -> dict[str, str]:
    """The process's group in the hierarchies that may control memory, by the type of their file system."""
    found: dict[str, str] = {}
    for line in _read(top / "proc/self/cgroup").split("\n"):
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            found["cgroup2"] = group
        elif "memory" in controllers.split(","):
            found["cgroup"] = group
    return found


def _mounts(top: Path) -> Iterator[Mount]:
    """The mounted hierarchies that may control memory; see proc_pid_mountinfo(5)."""
    for line in _read(top / "proc/self/mountinfo").split("\n"):
        left, _, right = line.partition(" - ")
        where, what = left.split(" "), right.split(" ")
        if len(where) < 5 or len(what) < 3:
            continue
        if what[0] == "cgroup2" or (what[0] == "cgroup" and "memory" in what[2].split(",")):
            yield Mount(what[0], _unescaped(where[3]), _unescaped(where[4]))


def _folders(group: str, mount: Mount) -> Iterator[str]:
    """The folder of a group and those of the groups above it, as far as they are mounted."""
    above, below = mount.group.rstrip("/") + "/", group.rstrip("/") + "/"
    inside = ""
    # In a container the path may be one of the host, or lie outside of what the container sees ("/../..").
    if below.startswith(above) and ".." not in group.split("/"):
        inside = below[len(above) :].rstrip("/")
    while inside:
        yield f"{mount.folder}/{inside}"
        inside = inside.rpartition("/")[0]
    yield mount.folder


def _limit(path: Path) -> int | None:
    try:
        limit = int(_read(path))
    except (OSError, ValueError):  # no such file, not readable, or the word "max"
        return None
    return limit if 0 <= limit < NO_LIMIT else None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")  # a cgroup may have any name


def _unescaped(text: str) -> str:
    """A path without the kernel's escapes: it writes a space as a backslash and its octal code, 040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
