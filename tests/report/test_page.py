"""The page as a browser's parser reads it: self-contained, labelled, escaped, the same every time."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from amortized.report import render, write
from tests.report.contents import made


class Page(HTMLParser):
    """Tags with their attributes, the text outside styles, and labels of open elements."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words, self._style = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        self.words += "" if self._style else data

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in tags]


@pytest.fixture(scope="module")
def text() -> str:
    return render(made())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_it_needs_nothing_else(text: str, page: Page):
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", text))
    assert not page.all("script", "iframe", "object", "embed") and "@import" not in text
    assert not re.search(r"https?://(?!www\.w3\.org/)", text) and not re.search(r" on\w+=", text)


def test_one_heading_and_parts_to_jump_to(page: Page):
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("nav")) == 1
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a"):
        assert str(attributes["href"])[1:] in ids
    used = [str(attributes.get("xlink:href", "#"))[1:] for attributes in page.all("use")]
    assert used and set(used) <= set(ids)


def test_every_picture_is_said_in_words(page: Page):
    pictures = page.all("svg")
    assert len(pictures) > 10
    for attributes in pictures:
        assert attributes.get("aria-hidden") == "true" or (attributes["role"] == "img" and attributes["aria-label"])
    labels = " ".join(str(attributes.get("aria-label")) for attributes in pictures)
    assert "Marginal posterior of x[1]: guide mean" in labels and "k-hat 0.30" in labels
    for attributes in page.all("div", "pre"):
        scrolls = "scroll" in str(attributes.get("class")) or attributes.get("role") == "region"
        assert not scrolls or (attributes["tabindex"] == "0" and attributes["aria-label"])


def test_words_are_escaped_and_the_verdict_is_not_a_colour_alone(text: str, page: Page):
    assert "<script" not in text and "schools & <script>alert(1)</script>" in page.words
    assert "Not to be trusted" in page.words and "Train <longer>." in page.words and 'class="verdict bad"' in text
    assert "smc did not finish:" in page.words and "ValueError: a < b" in page.words
    assert "mu<b>" in page.words and "nuts 2" in page.words


def test_a_difference_is_marked(text: str):
    assert text.count('class="apart"') == 2 and text.count('aria-label="marked"') == 2


def test_the_same_contents_give_the_same_bytes(text: str):
    assert render(made()) == text


def test_what_is_missing_is_left_out_and_said():
    bare = made(training=None, baselines=(), failed={}, observed={}, replicated={}, truth=None, environment={}, code="")
    one = replace(bare.draws, sites={"only": bare.draws.sites["mu<b>"]})
    words = Page(render(replace(bare, draws=one, log_weights=np.full(9, -np.inf)))).words
    assert words.count("Left out:") == 4 and "No other method was run" in words


@pytest.fixture
def without_drawing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("amortized.report.pictures.inline", lambda figure, label, prefix: "<svg></svg>")


def test_a_hundred_parameters_are_not_a_hundred_pictures(without_drawing):
    text = render(made(entries=100, baselines=()))
    assert len(Page(text).all("svg")) < 40
    assert "x[99]" in Page(text).words


def test_an_old_page_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_drawing):
    place = tmp_path / "report.html"
    assert write(place, made(entries=1)) == place and place.read_text().startswith("<!DOCTYPE html>")
    before = place.read_bytes()
    monkeypatch.setattr("os.replace", lambda *places: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(place, made(entries=1))
    assert place.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["report.html"]
