"""The maintainer's own commands: what a wheel may hold, and the interpreters of this machine."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from toolbox import needs_tools, tool

pytestmark = needs_tools


def test_wheel_must_hold_what_the_sources_have(tmp_path: Path) -> None:
    pytest.importorskip("elftools")
    native = tmp_path / "src" / "bufpool" / "native"
    native.mkdir(parents=True)
    for name in ("_a.pyx", "_a.pyi", "_a.pxd"):
        (native / name).touch()
    (native.parent / "py.typed").touch()
    faults = tool("wheel_contents").misplaced
    right = ["bufpool/", "bufpool/py.typed", "bufpool/native/_a.pyi", "bufpool/native/_a.pxd"]
    right += ["bufpool/native/_a.cpython-313-x86_64-linux-gnu.so", "bufpool-1.dist-info/RECORD"]
    assert list(faults(right, tmp_path)) == []
    assert list(faults(right[2:], tmp_path)) == ["bufpool/py.typed is missing"]
    assert list(faults([*right, "bufpool/native/_a.pyx"], tmp_path)) == [
        "bufpool/native/_a.pyx does not belong there"
    ]


@pytest.mark.parametrize(
    ("label", "wrong"),
    [
        ("manylinux2014_x86_64.manylinux_2_17_x86_64", False),
        ("manylinux_2_28_x86_64", False),
        ("manylinux_2_34_x86_64", True),
        ("linux_x86_64", True),
    ],
)
def test_wheel_must_run_on_older_systems(tmp_path: Path, label: str, wrong: bool) -> None:
    pytest.importorskip("elftools")
    wheel = tmp_path / f"bufpool-1-cp313-cp313-{label}.whl"
    with zipfile.ZipFile(wheel, "w"):
        pass
    said = [fault for fault in tool("wheel_contents").faults(wheel, tmp_path) if "newer" in fault]
    assert bool(said) == wrong


def test_interpreters_are_asked_for_their_version() -> None:
    found = tool("pythons").ask(sys.executable)
    assert found.version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    with pytest.raises(Exception, match="cannot find"):
        tool("pythons").find(["python3.nowhere"])
