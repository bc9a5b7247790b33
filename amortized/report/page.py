"""One page of HTML that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import os
import re
import tempfile
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from amortized.diagnostics.verdict import TRUSTWORTHY, UNTRUSTED
from amortized.report.contents import Contents
from amortized.report.pictures import Pictures
from amortized.report.tables import MARKED, cost_rows, summary

ROWS = 1_000
"""Scalars in the table at most, so that the page opens fast; a choice."""


def write(path: str | os.PathLike[str], contents: Contents) -> Path:
    """Write the page to ``path``; an old page stays there until the new one is complete.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    place, text = Path(path), render(contents)
    handle, temporary = tempfile.mkstemp(prefix=".unfinished-", suffix=".html", dir=place.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, place)
    except BaseException:
        os.unlink(temporary)
        raise
    return place


def render(contents: Contents) -> str:
    """The page as text; the same contents give the same text."""
    table = summary(contents.descriptions)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"svg": lambda picture: Markup(picture.svg), "minus": minus}
    shown = dict(list(table.items())[:ROWS])
    return environment.from_string(text_of("page.html")).render(
        contents=contents,
        css=Markup(text_of("page.css")),
        tone=tone(contents.diagnosis.verdict),
        methods=list(contents.methods()),
        summary=shown,
        unlisted=len(table) - len(shown),
        scalars=len(table),
        marked=MARKED,
        costs=cost_rows(contents),
        pictures=Pictures(contents),
    )


def text_of(name: str) -> str:
    return files("amortized.report").joinpath(name).read_text(encoding="utf-8")


def minus(text: str) -> str:
    """A hyphen before a number becomes a minus sign.

    >>> minus("-0.5 ± 0.1, k-hat -1, 1e-05")
    '−0.5 ± 0.1, k-hat −1, 1e-05'
    """
    return re.sub(r"(?<!\w)-(?=\d)", "\u2212", text)


def tone(verdict: str) -> str:
    """The verdict's class in the page's style sheet.

    >>> tone("trustworthy"), tone("usable after resampling"), tone("not to be trusted")
    ('good', 'fair', 'bad')
    """
    return {TRUSTWORTHY: "good", UNTRUSTED: "bad"}.get(verdict, "fair")
