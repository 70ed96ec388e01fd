"""Claims of speed in words on the pages do not contradict the stored run."""

from __future__ import annotations

import pytest

from benchmarks.harness.targets import NO_TARGET, Check, Result
from benchmarks.page import run_file
from benchmarks.page.pages import ClaimError, claims
from benchmarks.page.run_file import Run
from tests.support.checkout import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if "_build" not in path.parts and claims(path.read_text(encoding="utf-8"))
)


@pytest.fixture(scope="module")
def stored() -> Run:
    return run_file.load(ROOT / "docs/figures/run.json")


@pytest.mark.parametrize("page", PAGES)
def test_the_run_does_not_contradict_a_page(stored, page):
    found = claims((ROOT / page).read_text(encoding="utf-8"))
    assert [why for why in (claim.contradiction(stored) for claim in found) if why] == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/faq.md", "docs/guides/threads.md", "docs/performance.md"])
def test_pages_that_compare_name_figures(page):
    assert page in PAGES


COMMENT = "<!-- run: core same | list, mutex | 2 threads | 1 thread | {} -->"


@pytest.mark.parametrize(
    ("limits", "figure", "why"),
    [
        ("below 0.5", 0.4, ""),
        ("below 0.5", 0.6, "0.600 in the run, not -inf to 0.5"),
        ("above 2", 2.5, ""),
        ("above 2", 1.5, "1.500 in the run, not 2 to inf"),
        ("0.9 to\n1.1", 1.0, ""),
        ("0.9 to 1.1", 1.2, "1.200 in the run, not 0.9 to 1.1"),
        ("below 0.5", None, "was not measured in the run"),
    ],
)
def test_a_claim_is_compared_with_its_figure(stored, limits, figure, why):
    check = Check("list, mutex", "2 threads", "1 thread", NO_TARGET)
    run = Run(**{**vars(stored), "rows": {"core same": [Result(check, figure=figure)]}})
    (claim,) = claims(f"words {COMMENT.format(limits)} words")
    assert claim.contradiction(run) == (why and f"core same | list, mutex | 2 threads | 1 thread: {why}")
    assert claim.contradiction(Run(**{**vars(run), "rows": {}})).endswith(": the run has no such figure")


@pytest.mark.parametrize("word", ["Run:", "runs:", "run", "rum:"])
def test_a_comment_that_is_misspelt_is_an_error(word):
    figure = "core same | list, mutex | 2 threads | 1 thread | below 0.5"
    assert len(claims(f"<!-- figures: four -->\n<!--run: {figure}-->\n<!-- /figures -->")) == 1
    with pytest.raises(ClaimError, match="core same"):
        claims(f"<!-- {word} {figure} -->")


@pytest.mark.parametrize("limits", ["", "0.5", "below half", "below 0.5 | above 2"])
def test_a_comment_that_says_nothing_is_an_error(limits):
    with pytest.raises(ClaimError, match="core same"):
        claims(COMMENT.format(limits))
