"""Pieces of HTML. Whatever is passed in is text, and is escaped here; what comes out is HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

LEFT, RIGHT = "text-align:left", "text-align:right"
TONES = {"good": "#0b7a4b", "fair": "#b87d00", "bad": "#b3261e"}
"""Of the bar beside a verdict; each is at least 3 : 1 on white and on a dark notebook's ground."""
FRAME_HEIGHT = "46rem"
"""Of a page inside a notebook: a screen of it, and the rest scrolls."""


def minus(text: str) -> str:
    """A hyphen before a number becomes a minus sign.

    >>> minus("-0.5 ± 0.1, k-hat -1, 1e-05")
    '−0.5 ± 0.1, k-hat −1, 1e-05'
    """
    return re.sub(r"(?<!\w)-(?=\d)", "\u2212", text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """A table with one head.

    Args:
        head: One cell a column.
        rows: As many cells each.
        words: Columns that hold words: they are aligned to the left, numbers to the right.

    >>> table(["", "mean"], [["<b>", "-1.0"]])
    '<table><thead><tr><th ...></th><th ...>mean</th></tr></thead><tbody><tr><td ...>&lt;b&gt;</td><td ...>−1.0...'
    """
    styles = [LEFT if place in words else RIGHT for place in range(len(head))]
    body = "".join(_row("td", row, styles) for row in rows)
    return f"<table><thead>{_row('th', head, styles)}</thead><tbody>{body}</tbody></table>"


def _row(tag: str, cells: Sequence[str], styles: Sequence[str]) -> str:
    inner = "".join(
        f'<{tag} style="{style}">{escape(minus(cell))}</{tag}>' for cell, style in zip(cells, styles, strict=True)
    )
    return f"<tr>{inner}</tr>"


def facts(pairs: Mapping[str, str]) -> str:
    """Names and values, one pair a row."""
    rows = (
        f'<tr><th scope="row" style="{LEFT}">{escape(name)}</th><td style="{LEFT}">{escape(minus(value))}</td></tr>'
        for name, value in pairs.items()
    )
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def paragraph(text: str) -> str:
    """One paragraph of text."""
    return f'<p style="margin:.3em 0;max-width:46em">{escape(minus(text))}</p>'


def card(title: str, *parts: str, tone: str = "") -> str:
    """A titled block.

    Args:
        title: Its heading, as text.
        *parts: HTML.
        tone: ``good``, ``fair`` or ``bad`` puts a bar of that colour beside it.
    """
    bar = f"border-left:.4em solid {TONES[tone]};padding-left:.8em" if tone else ""
    heading = f'<div style="font-weight:600;margin-bottom:.2em">{escape(minus(title))}</div>'
    return f'<div style="overflow-x:auto;{bar}">{heading}{"".join(parts)}</div>'


def frame(page: str, title: str) -> str:
    """A whole page of HTML in a frame of its own, whose styles stay inside."""
    style = f"width:100%;height:{FRAME_HEIGHT};border:1px solid #8888"
    return f'<iframe srcdoc="{escape(page)}" title="{escape(title)}" sandbox="" style="{style}"></iframe>'
