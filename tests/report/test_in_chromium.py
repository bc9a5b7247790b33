"""The page in a headless Chromium: it fits the screen, asks for nothing, and the keyboard reaches what scrolls."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from amortized.report import write
from tests.report.contents import made

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="needs a browser: apt-get install chromium, pip install playwright",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("page") / "report.html", made(entries=1))


@pytest.fixture(scope="module")
def browser():
    api = importlib.import_module("playwright.sync_api")
    with api.sync_playwright() as started:
        yield started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.mark.parametrize("width", [390, 1400])
def test_from_disk_without_a_network(browser, place: Path, width: int):
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page, asked, complaints = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(place.as_uri())
    assert asked == [place.as_uri()] and not complaints
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    text = "Array.from(document.querySelectorAll('figure svg text')).map(t => t.getBoundingClientRect())"
    assert page.evaluate(f"{text}.every(box => box.height > 6)"), "letters too small to read"
    assert page.evaluate("document.querySelectorAll('figure svg').length") > 8
    context.close()


def test_the_keyboard_reaches_links_and_scroll_boxes(browser, place: Path):
    page = browser.new_page()
    page.goto(place.as_uri())
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.evaluate("[document.activeElement.className, document.activeElement.ariaLabel]")
        reached.append(" ".join(map(str, focused)))
    assert reached[0].startswith("skip")
    for label in ("Summary of every scalar", "Pair plot", "Evidence and cost of every method", "In Python"):
        assert any(label in name for name in reached), label
    page.close()


def test_dark_and_print(browser, place: Path):
    colours = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(place.as_uri())
        colours[scheme] = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, "
            "getComputedStyle(document.querySelector('figure svg text')).fill]"
        )
        if scheme == "dark":
            assert page.pdf().startswith(b"%PDF")
            page.emulate_media(media="print", color_scheme="dark")
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colours["light"][0]
        page.close()
    assert colours["light"][0] == "rgb(255, 255, 255)" and all(a != b for a, b in zip(*colours.values(), strict=True))
