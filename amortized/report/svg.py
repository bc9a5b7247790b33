"""A matplotlib figure as SVG in a page, with the page's colours and fonts; the same figure gives the same text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, cast

import matplotlib
from matplotlib.figure import Figure

from amortized.plots import style

INK = "#010203"
"""A colour that no picture has, so that it can be replaced by the page's own."""

COLOURS = {
    INK: "currentColor",
    style.GREY: "var(--muted)",
    style.GRID: "var(--rule)",
    style.BLUE: "var(--method-0)",
    **{colour: f"var(--method-{place})" for place, colour in enumerate(style.COMPARED, start=1)},
}
PAGE_STYLE: dict[str, Any] = {
    **style.STYLE,
    "svg.fonttype": "none",
    "svg.hashsalt": "amortized",
    "figure.dpi": 150,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


@contextmanager
def for_page() -> Iterator[None]:
    """Figures that are made and written in this block are for a page."""
    with matplotlib.rc_context(cast(Any, PAGE_STYLE)):
        yield


def inline(figure: Figure, label: str, prefix: str) -> str:
    """``<svg role="img">`` with ``label`` for readers who do not see it; ``prefix`` makes its ids unique."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for colour, named in COLOURS.items():
        text = text.replace(colour.lower(), named)
    text = re.sub(r"\s*\n\s*", "\n", own_ids(text, prefix)).strip()
    opening = f'<svg viewBox="{{}}" role="img" aria-label="{escape(label)}">'
    return re.sub(r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>', lambda found: opening.replace("{}", found[1], 1), text)


def own_ids(text: str, prefix: str) -> str:
    """Remove the ids that nothing refers to, and put ``prefix`` before the others.

    >>> own_ids('<g id="a"><path id="b"/><use href="#b"/></g>', "f1")
    '<g><path id="f1-b"/><use href="#f1-b"/></g>'
    """
    used = set(re.findall(r"#([\w.-]+)(?=[\")])", text))
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", text)
    return re.sub(r"(href=\"|url\()#", rf"\g<1>#{prefix}-", text)
