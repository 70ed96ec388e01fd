"""Links of all Markdown pages lead somewhere, as GitHub shows these pages. `make docs` tries the built ones."""

from __future__ import annotations

import pytest

from tests.support.checkout import ROOT
from tests.support.github_markdown import Link, anchors, links, slug

in_checkout = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="no documentation here: these tests run beside an installed wheel"
)
FOLDERS = (".github", "benchmarks", "docs", "examples", "tests", "tools")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")))
    if not {"_build", ".pytest_cache"} & set(path.parts)
)


def dead(page: str) -> list[str]:
    """The links of a page that lead to no file, or to no place in it."""
    here = ROOT / page
    wrong = []
    for path, anchor in links(here.read_text(encoding="utf-8")):
        target = here.parent / path if path else here
        if not target.exists():
            wrong.append(path)
        elif target.suffix == ".md" and target.read_text(encoding="utf-8").startswith("```{include}"):
            wrong.append(f"{path}, which is empty there")
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            wrong.append(f"{path}#{anchor}")
    return wrong


@in_checkout
@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert dead(page) == []


@in_checkout
def test_pages_and_anchors_are_found() -> None:
    assert {"README.md", "SECURITY.md", "docs/index.md", "benchmarks/README.md", "tests/FAULTS.md"} <= set(PAGES)
    text = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    assert sum(bool(link.anchor) for page in PAGES for link in links(text[page])) > 10


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("The rules, in short", "the-rules-in-short"),
        ("`pool.lease()` and `with`", "poollease-and-with"),
        ("Threads / tasks", "threads--tasks"),
        ("What *is* **promised**", "what-is-promised"),
        ("The `__init__` of [a page](page.md#there)", "the-__init__-of-a-page"),
        ("snake_case and _this_", "snake_case-and-this"),
        ("Größe: 3 µs – 5 µs?", "größe-3-µs--5-µs"),
        ("a &amp; b", "a--b"),
    ],
)
def test_the_anchor_of_a_heading(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_the_anchors_of_a_page() -> None:
    page = """\
# Title
Underlined
----------
## Twice
## Twice ##
(target-of-myst)=
```python
# No heading
```
<!-- ## Nor this -->
<a id="by-hand"></a>
| # | table |
"""
    assert anchors(page) == {"title", "underlined", "twice", "twice-1", "by-hand"}


def test_the_links_of_a_page() -> None:
    page = """\
[one](one.md) and [two
lines](two.md#there "title"), `[code](code.md)`, [out](https://example.org/#x), ![picture](a.svg)
```text
[fenced](fenced.md)
```
<img src="b.svg"> <!-- [no](comment.md) --> [here](#here)

[later]: later.md
"""
    expected = {("one.md", ""), ("two.md", "there"), ("a.svg", ""), ("b.svg", ""), ("", "here"), ("later.md", "")}
    assert set(links(page)) == {Link(*link) for link in expected}
