"""Tables of figures, as plain text for a terminal and as HTML for a notebook."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COLUMNS", "Table", "clipped"]

COLUMNS = 80


class Table(NamedTuple):
    """Rows of words. The first column is aligned to the left, the others, which hold figures, to the right.

    Attributes
    ----------
    title, note : str
        A line above and one below; empty: none.
    header : tuple of str
        Names of the columns; empty: none.
    rows : tuple of tuple of str
        As many words in each as there are columns. Leading spaces in the first column are an indent.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def text(self) -> str:
        """Return it as lines of at most `COLUMNS` columns: the title and the first column are cut to fit."""
        lines = [*([self.header] if self.header else []), *self.rows]
        wide = [max([width(each) for each in column]) for column in zip(*lines, strict=True)]
        wide[0] = min(wide[0], COLUMNS - sum([2 + each for each in wide[1:]]))
        body = [
            "  ".join(
                [
                    padded(clipped(words[0], wide[0]), wide[0]),
                    *[each.rjust(to) for each, to in zip(words[1:], wide[1:], strict=True)],
                ]
            ).rstrip()
            for words in lines
        ]
        ends = [clipped(each, COLUMNS) for each in (self.title, self.note)]
        return "\n".join([*filter(None, ends[:1]), *body, *filter(None, ends[1:])])

    def html(self) -> str:
        """Return it as a ``<table>`` that needs nothing else; all words are escaped."""
        from html import escape  # it takes longer to import than all else here

        parts = ["<table>"]
        if self.title:
            parts.append(f"<caption>{escape(self.title)}</caption>")
        if self.header:
            parts.append(f"<thead>{html_row(self.header, 'th')}</thead>")
        parts += ["<tbody>", *[html_row(each, "td") for each in self.rows], "</tbody>"]
        if self.note:
            span = max([len(each) for each in (self.header, *self.rows)])
            parts.append(f'<tfoot><tr><td colspan="{span}">{escape(self.note)}</td></tr></tfoot>')
        return "".join([*parts, "</table>"])


def html_row(words: tuple[str, ...], kind: str) -> str:
    """Return a ``<tr>``; an indent becomes padding."""
    from html import escape

    first = words[0].lstrip(" ")
    cells = [
        f'<{kind} style="text-align: left; padding-left: {len(words[0]) - len(first) + 1}ch">'
        f"{escape(first)}</{kind}>",
        *[f'<{kind} style="text-align: right">{escape(each)}</{kind}>' for each in words[1:]],
    ]
    return f"<tr>{''.join(cells)}</tr>"


def width(text: str) -> int:
    """Return the columns of a terminal that the text takes."""
    import unicodedata

    return sum(
        [
            0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
            for each in text
        ]
    )


def padded(text: str, columns: int) -> str:
    """Return the text with spaces behind it, up to so many columns."""
    return text + " " * (columns - width(text))


def clipped(text: str, columns: int) -> str:
    """Return the text, cut to so many columns and ending in "..." if it is longer."""
    if len(text) <= columns and width(text) <= columns:
        return text
    kept, taken = 0, 0
    for each in text:
        taken += width(each)
        if taken > columns:
            break
        kept += 1
    if kept == len(text):
        return text
    text = text[:kept]
    while width(text) > columns - 3:
        text = text[:-1]
    return f"{text}..."
