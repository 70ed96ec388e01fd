"""A release: stated, described and tagged, or nothing at all; and the tag that the workflow may publish."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, git, needs_tools, tool

pytestmark = needs_tools

DAY = datetime.date(2030, 2, 28)
STATED = '"""The version."""\n\n__version__ = "0.1.0"\n'
CHANGES = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n\n## [0.0.9] - 2029-01-01\n\n- Less.\n"
PROJECT = '[project]\nname = "bufpool"\n\n[project.urls]\nSource = "https://forge.example/bufpool"\n'
FILES = {
    "src/bufpool/_version.py": STATED,
    "CHANGELOG.md": CHANGES,
    "pyproject.toml": PROJECT,
    "README.md": "# bufpool\n\n`pip install bufpool`\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that is ready for 0.1.0, and of which no settings of this machine's user count."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@localhost")
    tree = tmp_path / "tree"
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")
    git(tree, "init", "--quiet", "--initial-branch=main")
    commit(tree, "begin")
    return tree


def commit(tree: Path, message: str) -> None:
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--no-verify", f"--message={message}")


def standing(tree: Path) -> dict[str, object]:
    """All that a release changes: files, index, HEAD, branches, tags."""
    return {
        "files": {name: (tree / name).read_bytes() for name in FILES if (tree / name).exists()},
        "index": git(tree, "ls-files", "--stage"),
        "status": git(tree, "status", "--porcelain"),
        "head": git(tree, "symbolic-ref", "HEAD"),
        "refs": git(tree, "show-ref"),
    }


def refused(tree: Path, version: str = "0.1.0", *, dry: bool = False) -> str:
    """Why there is no release. Nothing may have changed."""
    release = tool("release")
    before = standing(tree)
    with pytest.raises(release.NoReleaseError) as told:
        release.release(tree, version, DAY, dry=dry)
    assert standing(tree) == before
    return str(told.value)


def hook(tree: Path, name: str, code: str) -> None:
    path = tree / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
    path.chmod(0o755)


# Made ----------------------------------------------------------------------------------------------------------------


def test_release_states_describes_and_tags(tree: Path) -> None:
    tool("release").release(tree, "0.1.0", DAY, dry=False)
    described = (tree / "CHANGELOG.md").read_text(encoding="utf-8")
    assert described == CHANGES.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.1.0] - 2030-02-28\n")
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "log", "-1", "--format=%s").strip() == "Release 0.1.0"
    assert git(tree, "describe").strip() == "v0.1.0"
    # The next one has nothing to say yet; then it has.
    assert "says nothing" in refused(tree, "0.2.0")
    changed = described.replace("## [Unreleased]\n", "## [Unreleased]\n\n- More.\n", 1)
    (tree / "CHANGELOG.md").write_text(changed, encoding="utf-8")
    commit(tree, "more")
    tool("release").release(tree, "0.2.0rc1", DAY, dry=False)
    assert '__version__ = "0.2.0rc1"' in (tree / "src" / "bufpool" / "_version.py").read_text(encoding="utf-8")
    assert git(tree, "describe").strip() == "v0.2.0rc1"


def test_dry_release_changes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = standing(tree)
    tool("release").release(tree, "0.2.0", DAY, dry=True)
    assert "0.1.0 -> 0.2.0" in capsys.readouterr().out
    assert standing(tree) == before


# Refused -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.0.9", "0.1.0rc1"])
def test_no_release_backwards(tree: Path, version: str) -> None:
    assert "not newer" in refused(tree, version)


@pytest.mark.parametrize(
    "version",
    # The last one has digits, for `int` too, but PyPI would spell it another way.
    ["1", "v1.0.0", "1.0.0.dev1", "01.0.0", "1.00.0", "1.0.0a01", "1.0.0\n", "*", "1.0.1\u0663"],
)
def test_no_release_of_a_version_pypi_spells_otherwise(tree: Path, version: str) -> None:
    git(tree, "tag", "v0.0.9")
    assert "not a version" in refused(tree, version)


def test_what_a_release_refuses(tree: Path) -> None:
    git(tree, "tag", "v0.3.0")
    assert "is a tag" in refused(tree, "0.3.0")
    assert "not newer" in refused(tree, "0.2.9")
    git(tree, "checkout", "--quiet", "-b", "aside")
    assert "not on aside" in refused(tree, "0.4.0")
    (tree / "left").write_text("over", encoding="utf-8")
    assert "not committed" in refused(tree, "0.4.0")


def test_tags_that_are_not_versions_stop_no_release(tree: Path) -> None:
    for name in ("v0", "vendored", "v1.2", "v01.0.0", "verified-2.0.0"):
        git(tree, "tag", name)
    tool("release").release(tree, "0.1.0", DAY, dry=False)
    assert "v0.1.0" in git(tree, "tag", "--points-at", "HEAD").split()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tree: Path, name: str) -> None:
    (tree / name).unlink()
    commit(tree, "less")
    assert f"cannot read {Path(name).name}" in refused(tree)


def test_no_release_without_git(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = tool("release")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(release.NoReleaseError, match="cannot run git"):
        release.release(tree, "0.1.0", DAY, dry=False)


@pytest.mark.parametrize("dry", [True, False])
def test_no_release_without_an_address_of_the_sources(tree: Path, dry: bool) -> None:
    project = tree / "pyproject.toml"
    project.write_text(PROJECT.replace("Source", "Home"), encoding="utf-8")
    commit(tree, "no address")
    assert "add [project.urls] with Source" in refused(tree, dry=dry)
    project.write_text(PROJECT.replace("https:", "http:"), encoding="utf-8")
    commit(tree, "no address that one can trust")
    assert "add [project.urls] with Source" in refused(tree, dry=dry)
    project.write_text(PROJECT.replace("Source", "Repository"), encoding="utf-8")
    commit(tree, "an address")
    tool("release").release(tree, "0.1.0", DAY, dry=dry)


def test_no_release_while_the_readme_denies_it(tree: Path) -> None:
    (tree / "README.md").write_text("# bufpool\n\nThere is no\nrelease on PyPI yet.\n", encoding="utf-8")
    commit(tree, "not yet")
    assert "README.md says" in refused(tree)


def test_the_readme_must_say_how_to_install() -> None:
    """In the words that a release looks for: in others, the first one would be published beside them."""
    said = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert (tool("release").UNPUBLISHED in said) != ("pip install bufpool" in said)


# Undone --------------------------------------------------------------------------------------------------------------


def test_a_hook_that_refuses_the_commit_leaves_nothing(tree: Path) -> None:
    hook(tree, "pre-commit", "echo the hook objects; exit 1")
    assert "the hook objects" in refused(tree)


def test_nobody_to_commit_leaves_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{name}_NAME")
        monkeypatch.delenv(f"GIT_{name}_EMAIL")
    git(tree, "config", "user.useConfigOnly", "true")
    assert "git commit:" in refused(tree)


@pytest.mark.parametrize("subject", ["$1", "a number of our own, $1"])
def test_a_tag_that_cannot_be_made_leaves_no_commit(tree: Path, subject: str) -> None:
    git(tree, "tag", "v0.1.0/in-the-way")
    hook(tree, "commit-msg", f'set -- "$1" "$(cat "$1")"; printf %s "{subject.replace("$1", "$2")}" >"$1"')
    assert "git tag:" in refused(tree)


def test_an_index_that_somebody_holds_is_left_to_them(tree: Path) -> None:
    (tree / ".git" / "index.lock").touch()
    told = refused(tree)
    assert "index.lock" in told
    assert "undone" not in told


def test_a_file_that_cannot_be_written_leaves_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(path: Path, *arguments: str, **named: str) -> int:
        if path.name == "CHANGELOG.md":
            path.write_bytes(b"half of")
            raise OSError("no space left")
        return write(path, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", full)
    assert "no space left" in refused(tree)


@pytest.mark.parametrize("after", ["commit", "tag"])
def test_an_interrupt_leaves_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    release, before = tool("release"), standing(tree)
    run, stopped = release.git, []

    def interrupted(tree: Path, *arguments: str) -> str:
        said = str(run(tree, *arguments))
        if arguments[:2] in (("commit", "--quiet"), ("tag", "--annotate")) and arguments[0] == after:
            stopped.append(after)
            raise KeyboardInterrupt
        return said

    monkeypatch.setattr(release, "git", interrupted)
    with pytest.raises(KeyboardInterrupt):
        release.release(tree, "0.1.0", DAY, dry=False)
    assert stopped == [after]
    assert standing(tree) == before


def test_what_others_did_meanwhile_is_not_undone(tree: Path) -> None:
    """A commit upon ours is not taken back, and it is said where main was."""
    release, before = tool("release"), git(tree, "rev-parse", "HEAD").strip()
    git(tree, "tag", "v0.1.0/in-the-way")
    hook(tree, "post-commit", "test -e .git/once && exit; touch .git/once; git commit -q --allow-empty -m theirs")
    with pytest.raises(release.NoReleaseError, match=f"(?s)git tag:.*main went on.*main was at {before}"):
        release.release(tree, "0.1.0", DAY, dry=False)
    assert git(tree, "log", "--format=%s").split("\n")[:2] == ["theirs", "Release 0.1.0"]


# Published -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def published(tree: Path, tmp_path: Path) -> Path:
    """A checkout of the tag v0.1.0, as the workflow has it."""
    tool("release").release(tree, "0.1.0", DAY, dry=False)
    git(tmp_path, "clone", "--quiet", str(tree), "there")
    git(tmp_path / "there", "checkout", "--quiet", "--detach", "v0.1.0")
    return tmp_path / "there"


def test_the_tag_of_a_release_is_published(published: Path) -> None:
    tool("tagged").check(published, "v0.1.0")


def test_a_tag_of_another_version_is_not_published(published: Path) -> None:
    with pytest.raises(Exception, match=r"the tag is v0\.1\.1, and .* states 0\.1\.0"):
        tool("tagged").check(published, "v0.1.1")


def test_a_commit_that_is_not_on_main_is_not_published(published: Path) -> None:
    git(published, "commit", "--quiet", "--allow-empty", "--message=aside")
    with pytest.raises(Exception, match="which is not on origin/main"):
        tool("tagged").check(published, "v0.1.0")


def test_a_tag_not_made_by_release_is_not_published(tree: Path) -> None:
    with pytest.raises(Exception, match="says nothing of"):
        tool("tagged").check(tree, "v0.1.0")
    tool("release").release(tree, "0.1.0", DAY, dry=False)
    (tree / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    with pytest.raises(Exception, match="add \\[project.urls\\]"):
        tool("tagged").check(tree, "v0.1.0")


@pytest.mark.skipif(sys.platform == "win32", reason="the job runs on Linux")
def test_the_workflow_asks_before_it_builds(published: Path) -> None:
    """The command of its first job, as it stands there, says no to a wrong tag with its exit status."""
    path = ROOT / ".github" / "workflows" / "release.yml"
    if not path.is_file():
        pytest.skip("the workflows are not here")
    workflow = path.read_text(encoding="utf-8")
    (command,) = re.findall(r'- run: (python tools/tagged\.py "\$GITHUB_REF_NAME")\n', workflow)
    assert re.search(r"\n  wheels:\n    needs: tag\n", workflow)
    assert re.search(r"\n  publish:\n    needs: wheels\n", workflow)
    (published / "tools").symlink_to(ROOT / "tools")
    for tag, status in (("v0.1.0", 0), ("v0.2.0", 1)):
        run = subprocess.run(
            ["bash", "-c", command.replace("python ", f"'{sys.executable}' ", 1)],
            cwd=published,
            env={**os.environ, "GITHUB_REF_NAME": tag},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == status, run.stderr
