"""Memory allocators that users could put under unchanged NumPy code instead of a pool, and how to find them.

An allocator must be in place before the process starts, so a contender on another allocator runs in a worker with the
environment that `environment` returns.
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

_GIB = 1 << 30

#: For `subprocess`: a terminal sends Ctrl-C to a whole process group, and only the parent shall react to it.
OWN_GROUP: dict[str, Any] = (
    {"process_group": 0}
    if os.name == "posix"
    else {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP, a name that `subprocess` has on Windows alone
)

_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")


@dataclass(frozen=True)
class Allocator:
    """An allocator: the library to preload, if any, and its fastest settings."""

    name: str
    library: str = ""  #: the stem of the shared library, as in ``lib<stem>.so``; empty: the C library's own
    package: str = ""  #: a PyPI distribution that ships the library, looked at first
    settings: Mapping[str, str] = field(default_factory=dict)  #: environment of the worker
    install: str = ""  #: what to tell a user who missing it


DEFAULT = Allocator("default")

ALLOCATORS = {
    allocator.name: allocator
    for allocator in (
        DEFAULT,
        # All three together: a raised trim threshold alone turns glibc's dynamic mmap threshold off, and blocks
        # from 128 KiB up are then mapped and unmapped every time, which makes plain NumPy several times slower.
        Allocator(
            "glibc tuned",
            settings={
                "GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={4 * _GIB}"
                f":glibc.malloc.trim_threshold={16 * _GIB}:glibc.malloc.top_pad={_GIB // 16}"
            },
            install="needs Linux with glibc",
        ),
        # The highest thresholds that glibc sets by itself, after a program has freed one block of 32 MiB.
        Allocator(
            "glibc raised",
            settings={
                "GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={_GIB // 32}:glibc.malloc.trim_threshold={_GIB // 16}"
            },
            install="needs Linux with glibc",
        ),
        Allocator(
            "jemalloc",
            library="jemalloc",
            settings={"MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1"},
            install="apt-get install libjemalloc2",
        ),
        Allocator(
            "mimalloc",
            library="mimalloc",
            package="cmeel-mimalloc",
            install="pip install cmeel-mimalloc, or apt-get install libmimalloc2.0",
        ),
        Allocator("tcmalloc", library="tcmalloc_minimal", install="apt-get install libtcmalloc-minimal4"),
    )
}


def locate(allocator: Allocator) -> str | None:
    """The path or soname to preload, or None where the library is not on this machine."""
    return _in_package(allocator) or _in_folders(allocator.library) or ctypes.util.find_library(allocator.library)


def _in_package(allocator: Allocator) -> str | None:
    if not allocator.package:
        return None
    try:
        files = metadata.files(allocator.package) or []
    except metadata.PackageNotFoundError:
        return None
    name = f"lib{allocator.library}.so"
    return next((str(Path(str(file.locate())).resolve()) for file in files if file.name == name), None)


def _in_folders(library: str) -> str | None:
    found = (path for folder in _FOLDERS for path in sorted(Path(folder).glob(f"lib{library}.so*")))
    return next((str(path) for path in found), None)


def missing(name: str) -> str:
    """Why the allocator `name` is not available here, and how to install it; empty if it is available."""
    allocator = ALLOCATORS[name]
    if allocator is DEFAULT:
        return ""
    if not sys.platform.startswith("linux"):
        return "n/a: allocators are swapped by LD_PRELOAD, on Linux only"
    if allocator.library:
        return "" if locate(allocator) else f"not installed: {allocator.install}"
    return "" if platform.libc_ver()[0] == "glibc" else f"n/a: {allocator.install}"


def environment(name: str) -> dict[str, str]:
    """The environment for a worker on the allocator `name`.

    Malloc settings and ``BUFPOOL_CONF`` of the user's shell are removed, so that "plain" means plain, and pools have
    their defaults.
    """
    allocator = ALLOCATORS[name]
    env = {key: value for key, value in os.environ.items() if not _tunes_memory(key)}
    if allocator.library:
        path = locate(allocator)
        if path is None:
            raise FileNotFoundError(f"{allocator.name}: lib{allocator.library} {missing(name)}")
        env |= preloaded(path)
    return env | dict(allocator.settings)


def preloaded(library: str) -> dict[str, str]:
    """The variables that preload a library.

    The loader splits LD_PRELOAD at spaces, without quoting, and LD_LIBRARY_PATH only at colons. The second one also
    changes where other libraries come from, so it is set only for a folder with a space in its name.
    """
    if " " not in library:
        return {"LD_PRELOAD": library}
    folder, name = os.path.split(library)
    places = [folder, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {"LD_PRELOAD": name, "LD_LIBRARY_PATH": os.pathsep.join(places)}


def _tunes_memory(variable: str) -> bool:
    return variable in ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_CONF", "BUFPOOL_CONF") or variable.startswith(
        ("MALLOC_", "MIMALLOC_", "TCMALLOC_")
    )
