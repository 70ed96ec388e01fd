"""The maintainer's own commands: what a wheel may hold, and the interpreters of this machine."""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.checkout import needs_tools, tool

pytestmark = needs_tools


def test_wheel_must_hold_what_the_sources_have(tmp_path: Path) -> None:
    pytest.importorskip("elftools")
    native = tmp_path / "src" / "bufpool" / "memory" / "native"
    native.mkdir(parents=True)
    for name in ("_a.pyx", "_a.pyi", "_a.pxd"):
        (native / name).touch()
    (native.parents[1] / "py.typed").touch()
    faults = tool("wheel_contents").misplaced
    right = ["bufpool/", "bufpool/py.typed", "bufpool/memory/native/_a.pyi", "bufpool/memory/native/_a.pxd"]
    right += ["bufpool/memory/native/_a.cpython-313-x86_64-linux-gnu.so", "bufpool-1.dist-info/RECORD"]
    assert list(faults(right, tmp_path)) == []
    assert list(faults(right[2:], tmp_path)) == ["bufpool/py.typed is missing"]
    for wrong in ("bufpool/memory/native/_a.pyx", "benchmarks/__main__.py"):
        assert list(faults([*right, wrong], tmp_path)) == [f"{wrong} does not belong there"]


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


@pytest.mark.parametrize("depends", [False, True])
def test_built_twice_what_depends_on_its_builder_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depends: bool
) -> None:
    """Each package, if its bytes tell who built it: here, by the umask."""
    pytest.importorskip("elftools")
    wheels, building = tool("wheels"), tool("building")

    def made(to: Path, name: str, by: tuple[int, dict[str, str]]) -> Path:
        to.mkdir(parents=True, exist_ok=True)
        (to / name).write_text(str(by[0]) if depends else "the same", encoding="utf-8")
        return to / name

    monkeypatch.setattr(wheels, "DIST", tmp_path / "dist")
    monkeypatch.setattr(building, "build_sdist", lambda to, place, by=building.ONE: made(to, "bufpool-1.tar.gz", by))
    monkeypatch.setattr(building, "unpack", lambda sdist, to: to)
    monkeypatch.setattr(building, "make_environment", lambda python, folder: folder)
    monkeypatch.setattr(building, "fetch_requirements", lambda python, sources, to: to)
    wheel = "bufpool-1-cp313-cp313-manylinux_2_17_x86_64.whl"
    monkeypatch.setattr(building, "build_wheel", lambda *where_and_by: made(where_and_by[3], wheel, where_and_by[5]))
    monkeypatch.setattr(building, "repair", lambda built, to, by: built)
    monkeypatch.setattr(wheels.wheel_contents, "faults", lambda wheel, sources: ())
    options = argparse.Namespace(twice=True, untried=True)
    found = wheels.make([tool("pythons").ask(sys.executable)], options)
    wrong = [(each.package.name, *each.wrong) for each in found if each.wrong]
    assert wrong == [(name, f"built again as {name}, other bytes") for name in ("bufpool-1.tar.gz", wheel) if depends]


def test_interpreters_are_asked_for_their_version() -> None:
    found = tool("pythons").ask(sys.executable)
    assert found.version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    with pytest.raises(Exception, match="cannot find"):
        tool("pythons").find(["python3.nowhere"])


def test_interpreters_that_a_matrix_leaves_out_are_named() -> None:
    pythons = tool("pythons")
    assert pythons.left_out(["3.11", "3.12", "3.14"]) == ["3.13", "3.13t", "3.15"]
    assert pythons.left_out(pythons.COVERED) == []
