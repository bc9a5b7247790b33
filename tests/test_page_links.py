"""Links of the pages lead to a file that is there, and to a heading of it; docs/_toc.yml has every page."""

import re
from pathlib import Path

import pytest

from tests.pages import PAGES, ROOT, outside_fences

LINK = re.compile(r"\]\(([^)\s]+)\)")
READ = {**PAGES, **{f"{name}/README.md": ROOT / name / "README.md" for name in ("benchmarks",)}}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them.

    "## Not found? A `mode` of its own" is ``not-found-a-mode-of-its-own``.
    """
    titles = re.findall(r"^#+ (.*)$", outside_fences(page.read_text()), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("name", READ)
def test_links_lead_somewhere(name: str):
    page = READ[name]
    for link in LINK.findall(outside_fences(page.read_text())):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{name} links to {link}, which is not there"
        assert not anchor or anchor in anchors(place), f"{name} links to {link}: no such heading"


def test_every_page_stands_in_the_table_of_contents():
    toc = (ROOT / "docs" / "_toc.yml").read_text()
    named = set(re.findall(r"^root: (\S+)|- file: (\S+)", toc, re.MULTILINE))
    files = {f"docs/{one or other}.md" for one, other in named}
    for folder in re.findall(r"- glob: (\S+)/\*", toc):
        files |= {name for name in PAGES if Path(name).parent == Path("docs", folder)}
    assert files == set(PAGES) - {"README.md"}
