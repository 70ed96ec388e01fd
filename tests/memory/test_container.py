"""The default bounds follow the container: the least limit of the process's cgroups, on trees as on real systems."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bufpool import BufferPool
from bufpool.memory import container
from bufpool.memory.container import Mount, cgroup_limit
from tests.support.accounting import run_python

MIB = 1 << 20

V1_NO_LIMIT = "9223372036854771712\n"
V1 = "36 31 0:33 {group} {folder} rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
V2 = "30 24 0:26 {group} {folder} rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n"
OTHERS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:35 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
a line that means nothing
"""


def mounted(line: str, group: str = "/", folder: str = "/sys/fs/cgroup") -> str:
    return OTHERS + line.format(group=group, folder=folder)


def tree(root: Path, groups: str, mounts: str, files: dict[str, str]) -> str:
    """A file tree with these files below ``/sys/fs/cgroup``; its root."""
    texts = {"/proc/self/cgroup": groups, "/proc/self/mountinfo": mounts}
    texts |= {f"/sys/fs/cgroup{path}": text for path, text in files.items()}
    for path, text in texts.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return str(root)


V1_GROUPS = (
    "9:name=systemd:/docker/abc\n4:cpuset,memory:/docker/abc\n3:cpu,cpuacct:/elsewhere\n0::/system.slice\n"
)

TREES = {
    "version 2, in a container": ("0::/\n", mounted(V2), {"/memory.max": "536870912\n"}, 512 * MIB),
    "version 2, of the group itself": (
        "0::/user.slice/job.scope\n",
        mounted(V2),
        {"/user.slice/memory.max": "max\n", "/user.slice/job.scope/memory.max": f"{300 * MIB}\n"},
        300 * MIB,
    ),
    "version 2, of a group above it": (
        "0::/user.slice/a/b/job.scope\n",
        mounted(V2),
        {
            "/user.slice/memory.max": f"{300 * MIB}\n",
            "/user.slice/a/b/memory.max": "max\n",
            "/user.slice/a/b/job.scope/memory.max": f"{900 * MIB}\n",
        },
        300 * MIB,
    ),
    "version 2, of a group beside it": (
        "0::/a/b\n",
        mounted(V2),
        {"/a/b/memory.max": "max\n", "/a/c/memory.max": "4096\n", "/a/b/d/memory.max": "4096\n"},
        None,
    ),
    "version 2, nothing to be limited": ("0::/\n", mounted(V2), {}, None),
    "version 2, all of it forbidden": ("0::/\n", mounted(V2), {"/memory.max": "0\n"}, 0),
    "version 2, no number": ("0::/\n", mounted(V2), {"/memory.max": "1 GiB\n"}, None),
    "version 2, negative": ("0::/\n", mounted(V2), {"/memory.max": "-1\n"}, None),
    "version 2, below a mounted group": (
        "0::/pods/one/job\n",
        mounted(V2, group="/pods/one"),
        {"/job/memory.max": f"{200 * MIB}\n", "/memory.max": f"{700 * MIB}\n", "/pods/one/memory.max": "1\n"},
        200 * MIB,
    ),
    "version 2, a mounted group whose name begins the same": (
        "0::/pods/one\n",
        mounted(V2, group="/pods/on"),
        {"/memory.max": f"{200 * MIB}\n", "/e/memory.max": "1\n"},
        200 * MIB,
    ),
    "version 2, a group outside of the namespace": (
        "0::/../../other\n",
        mounted(V2, group="/.."),
        {"/memory.max": f"{200 * MIB}\n", "/other/memory.max": "1\n"},
        200 * MIB,
    ),
    "version 2, mounted at a place with a space": (
        "0::/a\n",
        mounted(V2, folder="/sys/fs/cgroup/of\\040mine"),
        {"/of mine/a/memory.max": f"{200 * MIB}\n"},
        200 * MIB,
    ),
    "version 1, in a container": (
        V1_GROUPS,
        mounted(V1, group="/docker/abc", folder="/sys/fs/cgroup/memory"),
        {"/memory/memory.limit_in_bytes": f"{256 * MIB}\n"},
        256 * MIB,
    ),
    "version 1, on the host": (
        V1_GROUPS,
        mounted(V1, folder="/sys/fs/cgroup/memory"),
        {
            "/memory/memory.limit_in_bytes": V1_NO_LIMIT,
            "/memory/docker/memory.limit_in_bytes": f"{700 * MIB}\n",
            "/memory/docker/abc/memory.limit_in_bytes": f"{256 * MIB}\n",
            "/memory/elsewhere/memory.limit_in_bytes": "4096\n",
        },
        256 * MIB,
    ),
    "version 1, no limit": (
        V1_GROUPS,
        mounted(V1, folder="/sys/fs/cgroup/memory"),
        {"/memory/docker/abc/memory.limit_in_bytes": V1_NO_LIMIT},
        None,
    ),
    "both, the smaller counts": (
        V1_GROUPS,
        mounted(V1, folder="/sys/fs/cgroup/memory") + mounted(V2, folder="/sys/fs/cgroup/unified"),
        {
            "/memory/docker/abc/memory.limit_in_bytes": f"{256 * MIB}\n",
            "/unified/system.slice/memory.max": f"{128 * MIB}\n",
        },
        128 * MIB,
    ),
    "both, and the second has no memory in it": (
        V1_GROUPS,
        mounted(V1, folder="/sys/fs/cgroup/memory") + mounted(V2, folder="/sys/fs/cgroup/unified"),
        {"/memory/docker/abc/memory.limit_in_bytes": f"{256 * MIB}\n"},
        256 * MIB,
    ),
    "not mounted": ("0::/a\n", OTHERS, {"/a/memory.max": "4096\n"}, None),
    "not in a group": ("", mounted(V2), {"/memory.max": "4096\n"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_the_limit_of_a_container(tmp_path: Path, name: str) -> None:
    groups, mounts, files, limit = TREES[name]
    assert cgroup_limit(tree(tmp_path, groups, mounts, files)) == limit


@pytest.mark.parametrize("missing", ["proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/memory.max"])
@pytest.mark.parametrize("how", ["absent", "a folder"])
def test_what_cannot_be_read_says_no_limit(tmp_path: Path, missing: str, how: str) -> None:
    root = tree(tmp_path, "0::/\n", mounted(V2), {"/memory.max": "4096\n"})
    assert cgroup_limit(root) == 4096
    (tmp_path / missing).unlink()
    if how == "a folder":
        (tmp_path / missing).mkdir()
    assert cgroup_limit(root) is None


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such names")
def test_a_group_may_have_any_name(tmp_path: Path) -> None:
    root = tree(tmp_path, "", mounted(V2), {})
    (tmp_path / "proc/self/cgroup").write_bytes(b"0::/\xff:\x0b\xc3\xa4\n")
    folder = tmp_path / "sys/fs/cgroup" / os.fsdecode(b"\xff:\x0b\xc3\xa4")
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text("4096\n", encoding="ascii")
    assert cgroup_limit(root) == 4096


# --- the kernel's own files ---


def of_this_machine() -> Iterator[tuple[Mount, Path]]:
    """Hierarchies here in which a group with a limit can be made."""
    try:
        mounts = list(container._mounts(Path("/")))
    except OSError:  # no Linux
        return
    for mount in mounts:
        # A group at the top: no process is moved, and nobody's group is touched.
        yield mount, Path(mount.folder) / f"bufpool-test-{os.getpid()}"


def test_the_limit_of_a_real_group(tmp_path: Path) -> None:
    """A process that is said to be in the group below it: the kernel's own mountinfo and limit."""
    tried = 0
    for mount, group in of_this_machine():
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            file = group / container.LIMIT_FILES[mount.kind]
            if not file.exists():
                continue
            file.write_text(str(192 * MIB), encoding="ascii")
            path = f"{mount.group.rstrip('/')}/{group.name}/below"
            line = f"0::{path}\n" if mount.kind == "cgroup2" else f"5:memory:{path}\n"
            real = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
            root = tmp_path / mount.kind
            tree(root, line, real, {})
            (root / "sys").symlink_to("/sys")
            assert cgroup_limit(str(root)) == 192 * MIB
            tried += 1
        finally:
            group.rmdir()
    if not tried:
        pytest.skip("no cgroup with a memory limit can be made here")


# --- what follows it ---


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """What the cgroup says, in a list of one; asked anew."""
    found: list[int | None] = [None]
    monkeypatch.setattr(container, "cgroup_limit", lambda: found[0])
    monkeypatch.setattr(container, "_available", None)
    return found


def test_a_pool_keeps_a_quarter_of_the_container(limit: list[int | None]) -> None:
    limit[0] = 512 * MIB
    assert BufferPool().max_retained == 128 * MIB
    assert BufferPool("25%").limit == 128 * MIB


def test_a_container_larger_than_the_machine_is_the_machine(limit: list[int | None]) -> None:
    machine = container.total_memory()
    assert machine > 0
    limit[0] = 2 * machine
    assert BufferPool().max_retained == machine // 4
    limit[0], container._available = None, None
    assert BufferPool().max_retained == machine // 4


def test_it_is_asked_once_and_only_by_a_pool_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(container, "cgroup_limit", lambda: asked.append(1))
    monkeypatch.setattr(container, "_available", None)
    BufferPool(limit=MIB)
    BufferPool(max_retained=MIB)
    assert not asked
    BufferPool()
    BufferPool()
    assert asked == [1]


def test_an_import_reads_no_such_file() -> None:
    opened = run_python("""
        import sys
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        import bufpool
        print([name for name in opened if "cgroup" in name or "mountinfo" in name])
    """)
    assert opened == "[]\n"
