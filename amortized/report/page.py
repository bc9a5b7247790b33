"""One page of HTML that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import os
import re
import tempfile
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from amortized.diagnostics.comparison import moments
from amortized.diagnostics.verdict import TRUSTWORTHY, UNTRUSTED, Diagnosis
from amortized.report import tables
from amortized.report.contents import Contents
from amortized.report.pictures import Pictures

ROWS = 1_000


def write(path: str | os.PathLike[str], contents: Contents) -> Path:
    """Write the page to ``path``, whole or not at all: a page that was there stays until the new one is complete.

    Raises ``FileNotFoundError`` where the folder is not there.
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
    by_method = {method: moments(draws.arrays()) for method, draws in contents.methods().items()}
    pictures, summary = Pictures(contents, by_method), tables.summary(by_method)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"svg": lambda picture: Markup(picture.svg), "minus": minus}
    shown = dict(list(summary.items())[:ROWS])
    return environment.from_string(text_of("page.html")).render(
        contents=contents,
        css=Markup(text_of("page.css")),
        tone=tone(contents.diagnosis.verdict),
        facts=facts(contents.diagnosis),
        methods=list(contents.methods()),
        summary=shown,
        unlisted=len(summary) - len(shown),
        scalars=len(summary),
        apart=tables.APART,
        costs=tables.costs(contents),
        pictures=pictures,
    )


def text_of(name: str) -> str:
    return files("amortized.report").joinpath(name).read_text(encoding="utf-8")


def minus(text: str) -> str:
    """A hyphen before a number as a minus.

    >>> minus("-0.5 ± 0.1, k-hat -1, 1e-05")
    '−0.5 ± 0.1, k-hat −1, 1e-05'
    """
    return re.sub(r"(?<!\w)-(?=\d)", "\u2212", text)


def tone(verdict: str) -> str:
    """
    >>> tone("trustworthy"), tone("usable after resampling"), tone("not to be trusted")
    ('good', 'fair', 'bad')
    """
    return {TRUSTWORTHY: "good", UNTRUSTED: "bad"}.get(verdict, "fair")


def facts(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """The printed diagnosis, name and value a line, without verdict and advice, which stand on their own."""
    lines = str(diagnosis).splitlines()
    width = lines[0].index(diagnosis.verdict)
    pairs = [(line[:width].strip(), line[width:].strip()) for line in lines]
    return [(name, value) for name, value in pairs if name not in ("verdict", "advice")]
