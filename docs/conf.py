"""How the documentation is built, by `make docs`. Neither that nor a reader's browser asks anything of the network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

import bufpool

DOCS = Path(__file__).resolve().parent

project = "bufpool"
author = copyright = "bufpool contributors"
release = version = bufpool.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx_argparse_cli",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
smartquotes = False  # code is quoted in running text

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence"]
myst_heading_anchors = 4

# Names in single backticks within docstrings are names of Python's.
default_role = "py:obj"
# The docstrings say it in words, and the stubs to type checkers.
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_use_plots = False

# The few names of others that we refer to, in the format for inventories that is plain text.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.txt"),
    "numpy": ("https://numpy.org/doc/stable", "inventories/numpy.txt"),
    "sqlalchemy": ("https://docs.sqlalchemy.org/en/20", "inventories/sqlalchemy.txt"),
}

# Prompts and output are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"bufpool {release}"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["bufpool.css"]
html_copy_source = html_show_sourcelink = False
# Pages that are a section by themselves have nothing to list beside them.
_WITHOUT_SIDEBAR = ("tutorial", "when-not-to-pool", "performance", "whole-programs", "reliability", "faq")
html_sidebars = {page: [] for page in _WITHOUT_SIDEBAR}
html_theme_options = {
    "logo": {"text": "bufpool"},
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "pygments_dark_style": "github-dark",
}

# Pages that stand at the root of the repository are shown here too. Their links are relative to the root, and links to
# them go to the root, so that they lead there on GitHub as well.
ROOT_PAGES = {
    "README.md": "/index.md",
    "ARCHITECTURE.md": "/concepts/architecture.md",
    "CONTRIBUTING.md": "/project/contributing.md",
    "CHANGELOG.md": "/project/changelog.md",
}
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]+)?\)")
# How GitHub wants a picture for light and one for dark.
PICTURE = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">'
    r'\s*<img alt="([^"]*)" src="([^"]+)">\s*</picture>'
)


def pictures(_app: Sphinx, _page: str, content: list[str]) -> None:
    """Make images of pictures for light and dark, so that they are copied and obey the switch of the theme."""
    content[0] = PICTURE.sub(r"![\2](\3){.only-light}\n![\2](\1){.only-dark}", content[0])


def links_of_the_root(_app: Sphinx, path: Path, _parent: str, content: list[str]) -> None:
    """Turn links of an included page to places of this site; what is not on it becomes its plain name."""

    def turn(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        page = ROOT_PAGES.get(target) or (target.removeprefix("docs") if target.startswith("docs/") else None)
        return f"[{text}]({page}{anchor})" if page else text

    if (DOCS / path).resolve().parent == DOCS.parent:
        content[0] = LINK.sub(turn, content[0])


def links_to_the_root(_app: Sphinx, page: str, content: list[str]) -> None:
    """Turn links from a page here to one at the root into links to that page as it is shown here.

    What lies outside `docs` and is not shown here becomes its plain name.
    """
    folder = (DOCS / page).parent

    def turn(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        shown = ROOT_PAGES.get(target.name) if target.parent == DOCS.parent else None
        if shown:
            return f"[{link[1]}]({shown}{link[3] or ''})"
        return link[0] if target.is_relative_to(DOCS) else link[1]

    content[0] = LINK.sub(turn, content[0])


def words_that_name_nothing(
    _app: Sphinx, _env: Any, node: pending_xref, content: nodes.TextElement
) -> nodes.TextElement | None:
    """A lower-case word in backticks that is no name of Python's is a parameter; anything else is a mistake."""
    parameter = node["reftype"] == "obj" and node["reftarget"].isidentifier() and node["reftarget"].islower()
    return content if parameter else None


class InlineDiagrams(SphinxPostTransform):
    """Puts the drawings of `diagrams/` into the page itself, so that they have its colours, light or dark."""

    default_priority = 5  # before images are collected as files of their own
    formats = ("html",)

    def run(self, **_kwargs: Any) -> None:
        for image in list(self.document.findall(nodes.image)):
            if "diagrams/" in image["uri"]:
                drawing = (DOCS / image["uri"]).read_text(encoding="utf-8")
                self.env.note_dependency(image["uri"])
                image.replace_self(nodes.raw("", f'<div class="diagram">{drawing}</div>', format="html"))


def setup(app: Sphinx) -> None:
    app.connect("source-read", pictures)
    app.connect("source-read", links_to_the_root)
    app.connect("include-read", links_of_the_root)
    app.connect("missing-reference", words_that_name_nothing)
    app.add_post_transform(InlineDiagrams)
