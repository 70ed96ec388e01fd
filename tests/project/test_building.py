"""Packages as they are built: the same bytes for all, the whole repository in the sdist, links that work on PyPI."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

import bufpool
from tests.support.checkout import ROOT, git, needs_tools, tool
from tests.verify.copies import writable

pytestmark = needs_tools
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="has no umask")

SOURCE = '\n[project.urls]\nSource = "https://forge.example/bufpool/"\n\n[project.optional-dependencies]\n'
BUILD = "from setuptools import build_meta; print(build_meta.{0}({1!r}))"


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """The project without its compiled modules, which take minutes; all that builds its packages."""
    for name in ("Cython", "numpy", "setuptools"):
        pytest.importorskip(name)
    tree = tmp_path / "light"
    ignored = shutil.ignore_patterns("*.pyx", "*.so", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "src", tree / "src", ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, tree / name)
    (tree / "tools").mkdir()
    (tree / "tools" / "run").touch(0o755)
    return writable(tree)


def build(step: str, tree: Path, to: Path, umask: int = 0o022) -> Path:
    """What a step of the build made."""
    to.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", BUILD.format(step, str(to))],
        cwd=tree,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1000000000"},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return to / run.stdout.splitlines()[-1]


# What everybody gets -------------------------------------------------------------------------------------------------


@on_posix
@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_packages_are_the_same_under_another_umask(light: Path, tmp_path: Path, kind: str) -> None:
    made = []
    for umask in (0o022, 0o077, 0o002):
        tree = shutil.copytree(light, tmp_path / f"of-{umask:o}")
        for path in (tree, *tree.rglob("*")):  # as git would have made it
            path.chmod((0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666) & ~umask)
        made.append(build(f"build_{kind}", tree, tmp_path / f"by-{umask:o}", umask))
    assert len({path.name for path in made}) == 1
    assert modes(made[1]) == modes(made[0])
    assert modes(made[0])
    assert len({path.read_bytes() for path in made}) == 1


def modes(package: Path) -> dict[str, str]:
    """The mode of each file in it."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            return {each.filename: f"{each.external_attr >> 16:o}" for each in wheel.infolist()}
    with tarfile.open(package) as sdist:
        return {each.name: f"{each.mode:o}" for each in sdist}


@on_posix
def test_the_second_build_is_somebody_elses() -> None:
    """``--twice`` would see nothing that depends on what both have in common."""
    building = tool("building")
    one, another = building.ONE, building.ANOTHER
    assert one.umask != another.umask
    assert one.settings.keys() == another.settings.keys() == {"TZ", "LC_ALL"}
    assert not one.settings.items() & another.settings.items()
    ask = "import os, time; print(f'{os.umask(0):o}', time.timezone, os.environ['LC_ALL'])"
    told = [
        building.call(sys.executable, "-c", ask, env={**building.environment(), **by.settings}, umask=by.umask)
        for by in (one, another)
    ]
    assert told == ["22 0 C.UTF-8\n", f"77 {-(5 * 60 + 45) * 60} C\n"]


@on_posix
def test_auditwheel_packs_folders_alike_for_every_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the modes that its umask gives them: here, a program that tells its own."""
    building = tool("building")
    auditwheel = tmp_path / "auditwheel"
    auditwheel.write_text('#!/bin/sh\nmkdir "$3"\numask >"$3/bufpool-1.whl"\n', encoding="utf-8")
    auditwheel.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for name, by in (("one", building.ONE), ("another", building.ANOTHER)):
        repaired = building.repair(tmp_path / "built.whl", tmp_path / name, by)
        assert repaired.read_text(encoding="utf-8") == "0022\n"


def test_a_wheel_is_built_in_folders_with_a_space(tmp_path: Path) -> None:
    """By pip, from a folder of build requirements: here one, which is the whole of a build system."""
    building = tool("building")
    pytest.importorskip("pip")
    folder = tmp_path / "with a space"
    requirements = folder / "the requirements"
    requirements.mkdir(parents=True)
    wheel(requirements, "backend", {"backend.py": BACKEND})
    project = folder / "project"
    project.mkdir()
    declared = '[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'
    (project / "pyproject.toml").write_text(declared, encoding="utf-8")
    made = building.build_wheel(Path(sys.executable), project, requirements, folder / "built", folder / "temporary")
    assert made.name == "bufpool-1-py3-none-any.whl"


def wheel(to: Path, name: str, files: dict[str, str]) -> str:
    """A wheel of these files; its name."""
    about = f"{name}-1.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(to / f"{name}-1-py3-none-any.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return f"{name}-1-py3-none-any.whl"


BACKEND = f"""
from __future__ import annotations

import zipfile
from pathlib import Path

{inspect.getsource(wheel)}

def build_wheel(to, config_settings=None, metadata_directory=None):
    return wheel(Path(to), "bufpool", {{}})
"""


# What the sdist carries ----------------------------------------------------------------------------------------------


def test_the_sdist_carries_all_that_git_has(tmp_path: Path) -> None:
    """So that every command of the Makefile, and every test, finds there what it needs."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a repository")
    for name in ("Cython", "numpy", "setuptools"):
        pytest.importorskip(name)
    tree = tmp_path / "tree"
    here = {name for name in git(ROOT, "ls-files").splitlines() if (ROOT / name).is_file()}
    for name in here:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    with tarfile.open(build("build_sdist", tree, tmp_path / "dist")) as sdist:
        carried = {each.name.partition("/")[2] for each in sdist if each.isfile()}
    made = {name for name in carried if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert ".github/workflows/ci.yml" in here
    assert carried - made == here


# What PyPI shows -----------------------------------------------------------------------------------------------------


def described(tree: Path, to: Path) -> Message:
    """The metadata of the project."""
    folder = build("prepare_metadata_for_build_wheel", tree, to)
    return message_from_string((folder / "METADATA").read_text(encoding="utf-8"))


def with_address(tree: Path, address: str = SOURCE) -> None:
    """State where the sources are, as `make release` asks for."""
    project = tree / "pyproject.toml"
    text = re.sub(r"\n\[project\.urls\]\n[^\[]*", "\n", project.read_text(encoding="utf-8"))
    begin = "\n[project.optional-dependencies]\n"
    assert text.count(begin) == 1
    project.write_text(text.replace(begin, address), encoding="utf-8")


def test_without_an_address_the_description_is_the_readme(light: Path, tmp_path: Path) -> None:
    with_address(light, "\n[project.optional-dependencies]\n")
    metadata = described(light, tmp_path / "to")
    assert metadata.get_all("Project-URL") is None
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (light / "README.md").read_text(encoding="utf-8")


def test_the_readmes_links_lead_to_the_tag(light: Path, tmp_path: Path) -> None:
    with_address(light)
    (light / "src" / "bufpool" / "_version.py").write_text('__version__ = "1.2.3rc1"\n', encoding="utf-8")
    metadata = described(light, tmp_path / "to")
    assert metadata.get_all("Project-URL") == ["Source, https://forge.example/bufpool/"]
    readme, shown = (light / "README.md").read_text(encoding="utf-8"), str(metadata.get_payload())
    at = "https://forge.example/bufpool/blob/v1.2.3rc1/"
    assert f"[databases]({at}docs/guides/databases.md)" in shown
    assert f"({at}docs/concepts/index.md#the-rules-in-short)" in shown
    # Whatever form a link has, or an image.
    targets = re.findall(r"\]\(\s*([^)\s]+)|\]:\s*(\S+)|(?:href|src|srcset)=[\"']?([^\"'>\s]+)", shown)
    assert len(targets) > 20
    assert [target for target in map("".join, targets) if not target.startswith("https://")] == []
    assert f"]({at.replace('/blob/', '/raw/')}docs/figures/demo.png)" in shown
    # And nothing else is another.
    assert shown.replace(at, "").replace(at.replace("/blob/", "/raw/"), "") == readme


def test_code_other_addresses_and_places_of_the_page_stay(light: Path, tmp_path: Path) -> None:
    with_address(light, SOURCE.replace("Source", "Repository"))
    written = (
        "![drawing](./docs/logo.svg) [more](docs/more.md 'title') [`code`](LICENSE)\n"
        "`a[0](b)` [there](https://elsewhere.example) [mail](mailto:us@elsewhere.example) [here](#below)\n\n"
        "```python\ncalls[0](argument)\n```\n"
    )
    (light / "README.md").write_text(written, encoding="utf-8")
    at = "https://forge.example/bufpool/{}/v" + bufpool.__version__
    expected = (
        written.replace("(./docs", f"({at.format('raw')}/docs")
        .replace("(docs", f"({at.format('blob')}/docs")
        .replace("(LICENSE", f"({at.format('blob')}/LICENSE")
    )
    assert described(light, tmp_path / "to").get_payload() == expected
