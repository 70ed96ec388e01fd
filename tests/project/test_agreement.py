"""What is said in several places is said alike: versions of Python, the measured expression, the changelog."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise

import pytest

from tests.support.checkout import ROOT

in_checkout = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="no documentation here: these tests run beside an installed wheel"
)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@in_checkout
def test_the_readmes_expression_is_the_one_measured() -> None:
    """The example that a reader tries first, the table's first row, and what the benchmarks run."""

    def bare(expression: str) -> str:
        return re.sub(r"np\.|\s", "", expression)

    readme = read("README.md")
    (shown,) = re.findall(r"^    return (np\.sqrt\(.*)$", readme, re.MULTILINE)
    rows = [bare(row) for row in re.findall(r"^\| `(sqrt\(.+?)`", readme, re.MULTILINE)]
    measured = re.findall(r'loop\("y = (sqrt\(.+?)"', read("benchmarks/workloads/memory.py"))
    assert rows
    assert measured
    assert {bare(shown), *rows, *map(bare, measured)} == {bare(shown)}


@in_checkout
def test_all_name_the_same_versions_of_python() -> None:
    """Pages, metadata, the wheels that are built and the workflows."""
    config = tomllib.loads(read("pyproject.toml"))
    classifiers = "\n".join(config["project"]["classifiers"])
    minors = [int(minor) for minor in re.findall(r"^.* :: Python :: 3\.(\d+)$", classifiers, re.MULTILINE)]
    oldest, newest = min(minors), max(minors)
    assert minors == list(range(oldest, newest + 1))
    assert config["project"]["requires-python"] == f">=3.{oldest}"
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        page = path.relative_to(ROOT).as_posix()
        for first, last in re.findall(r"Python 3\.(\d+) to 3\.(\d+)", read(page)):
            assert (int(first), int(last)) == (oldest, newest), page
        assert set(re.findall(r"Python 3\.(\d+) or newer", read(page))) <= {str(oldest)}, page
    wheels = {int(minor) for minor in re.findall(r"\bcp3(\d+)-", read("tools/wheels.txt"))}
    assert wheels == set(minors)
    tried = {int(minor) for minor in re.findall(r'"3\.(\d+)t?"', read(".github/workflows/ci.yml"))}
    assert tried == set(minors)


@in_checkout
def test_the_changelog_says_nothing_twice() -> None:
    """No two entries of a version begin with the same words in bold."""
    for version in re.split(r"^## ", read("CHANGELOG.md"), flags=re.MULTILINE)[1:]:
        found = re.findall(r"^- \*\*(.+?)\*\*", version, re.MULTILINE | re.DOTALL)
        leads = sorted(" ".join(lead.split()) for lead in found)
        assert len(leads) > 1
        doubled = [(one, other) for one, other in pairwise(leads) if other.startswith(one)]
        assert doubled == [], version.splitlines()[0]
