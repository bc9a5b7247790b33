"""One page of HTML that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from amortized.diagnostics.finding import TONES
from amortized.display import html
from amortized.report.contents import Contents
from amortized.report.pictures import Pictures
from amortized.report.tables import MARKED, cost_rows, summary

ROWS = 1_000
"""Scalars in the table at most, so that the page opens fast; a choice."""


@dataclass(frozen=True, repr=False)
class Page:
    """A page that is not in a file yet; a notebook shows it in a frame.

    Args:
        title: Of the page.
        text: Its HTML.
    """

    title: str
    text: str

    def __repr__(self) -> str:
        return f"<report on {self.title}: a notebook shows it, .write('report.html') keeps it>"

    def _repr_html_(self) -> str:
        return html.frame(self.text, f"Report on {self.title}")

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to ``path``; an old page stays there until the new one is complete.

        Raises:
            FileNotFoundError: The folder does not exist.
        """
        return _written(Path(path), self.text)


def page_of(contents: Contents) -> Page:
    """The page of these records."""
    return Page(contents.title, render(contents))


def write(path: str | os.PathLike[str], contents: Contents) -> Path:
    """Write the page to ``path``, as ``Page.write``."""
    return page_of(contents).write(path)


def _written(place: Path, text: str) -> Path:
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
    environment.filters |= {"svg": lambda picture: Markup(picture.svg), "minus": html.minus}
    shown = dict(list(table.items())[:ROWS])
    return environment.from_string(text_of("page.html")).render(
        contents=contents,
        css=Markup(text_of("page.css")),
        tone=TONES[contents.diagnosis.verdict],
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
