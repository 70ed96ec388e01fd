"""The maintainer's own commands: a release, and what a wheel may hold."""

from __future__ import annotations

import datetime
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
pytestmark = pytest.mark.skipif(not TOOLS.is_dir(), reason="the tools are in the checkout alone")

DAY = datetime.date(2030, 2, 28)
STATED = '"""The version."""\n\n__version__ = "0.1.0"\n'
CHANGES = (
    "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n\n## [0.0.9] - 2029-01-01\n\n- Less.\n"
)


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def git(tree: Path, *arguments: str) -> str:
    who = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@localhost")
    (tmp_path / "src" / "bufpool").mkdir(parents=True)
    (tmp_path / "src" / "bufpool" / "_version.py").write_text(STATED, encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES, encoding="utf-8")
    try:
        git(tmp_path, "init", "--quiet", "--initial-branch=main")
    except FileNotFoundError:
        pytest.skip("git is not on this machine")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=begin")
    return tmp_path


def test_release_states_describes_and_tags(tree: Path) -> None:
    tool("release").release(tree, "0.1.0", DAY, dry=False)
    described = (tree / "CHANGELOG.md").read_text(encoding="utf-8")
    assert described == CHANGES.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.1.0] - 2030-02-28\n")
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "log", "-1", "--format=%s").strip() == "Release 0.1.0"
    assert git(tree, "describe").strip() == "v0.1.0"
    # The next one has nothing to say yet; then it has.
    with pytest.raises(Exception, match="says nothing"):
        tool("release").release(tree, "0.2.0", DAY, dry=False)
    changed = described.replace("## [Unreleased]\n", "## [Unreleased]\n\n- More.\n", 1)
    (tree / "CHANGELOG.md").write_text(changed, encoding="utf-8")
    git(tree, "commit", "--quiet", "--all", "--message=more")
    tool("release").release(tree, "0.2.0rc1", DAY, dry=False)
    assert '__version__ = "0.2.0rc1"' in (tree / "src" / "bufpool" / "_version.py").read_text(
        encoding="utf-8"
    )
    assert git(tree, "describe").strip() == "v0.2.0rc1"


def test_dry_release_changes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool("release").release(tree, "0.2.0", DAY, dry=True)
    assert "0.1.0 -> 0.2.0" in capsys.readouterr().out
    assert git(tree, "status", "--porcelain") + git(tree, "tag") == ""


@pytest.mark.parametrize("version", ["0.0.9", "0.1.0rc1", "1", "v1.0.0", "1.0.0.dev1"])
def test_no_release_backwards_or_of_nothing(tree: Path, version: str) -> None:
    with pytest.raises(Exception, match="not newer|not a version"):
        tool("release").release(tree, version, DAY, dry=False)
    assert git(tree, "tag") == ""


def test_no_release_twice_from_a_branch_or_of_what_is_not_committed(tree: Path) -> None:
    release = tool("release").release
    git(tree, "tag", "v0.3.0")
    with pytest.raises(Exception, match="is a tag"):
        release(tree, "0.3.0", DAY, dry=False)
    with pytest.raises(Exception, match="not newer"):
        release(tree, "0.2.9", DAY, dry=False)
    git(tree, "checkout", "--quiet", "-b", "aside")
    with pytest.raises(Exception, match="not on aside"):
        release(tree, "0.4.0", DAY, dry=False)
    (tree / "left").write_text("over", encoding="utf-8")
    with pytest.raises(Exception, match="not committed"):
        release(tree, "0.4.0", DAY, dry=False)


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
