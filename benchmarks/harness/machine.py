"""The machine and the versions that a run was made with."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from pathlib import Path

import numpy as np

import bufpool
from benchmarks.harness.units import plural

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def describe() -> dict[str, str | int | float | None]:
    """What a reader needs to know to judge the figures of a run."""
    threading = "free-threaded, " if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    gil = "GIL on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "GIL off"
    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "system": " ".join([platform.system(), platform.release(), *filter(None, platform.libc_ver())]),
        "python": f"{platform.python_implementation()} {platform.python_version()} ({threading}{gil})",
        "numpy": np.__version__,
        "bufpool": bufpool.__version__,
        "huge pages": _huge_pages(),
        "load": _load(),
    }


def line() -> str:
    """`describe` on one line."""
    found = describe()
    cores = f"{found['cores']} {plural(_cores(), 'core')}"
    load = "" if found["load"] is None else f" | load {found['load']:.1f}"
    return (
        f"{found['cpu']}, {cores} | {found['system']} | {found['python']} | NumPy {found['numpy']} | "
        f"bufpool {found['bufpool']} | huge pages: {found['huge pages']}{load}"
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for entry in info.read_text(encoding="utf-8").splitlines():
            key, _, value = entry.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _huge_pages() -> str:
    """The active setting: the word in brackets in ``always [madvise] never``."""
    if not _HUGE_PAGES.exists():
        return "n/a"
    setting = _HUGE_PAGES.read_text(encoding="ascii")
    return setting[setting.find("[") + 1 : setting.find("]")]


def _load() -> float | None:
    """The load average of the last minute: a run is not reliable if it is close to the number of cores."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
