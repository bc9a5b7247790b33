"""What pages name is there: public names in the reference, and the library's own messages in docs/faq.md."""

import re
from pathlib import Path

import pytest

import amortized
from tests.pages import ROOT

PACKAGE = Path(amortized.__file__).parent
REFERENCE = "\n".join(page.read_text() for page in sorted((ROOT / "docs" / "api").glob("*.md")))
DIRECTIVES = set(re.findall(r"^\.\. auto\w+:: (\S+)", REFERENCE, re.MULTILINE))
MESSAGES = re.findall(r"^\*\*`(.+)`\*\*$", (ROOT / "docs" / "faq.md").read_text(), re.MULTILINE)

NOT_CALLED = {"amortization", "warmup"}
"""Folders whose names other folders use, and no page tells a user to call."""


def test_the_reference_has_every_public_name():
    assert {f"amortized.{name}" for name in amortized.__all__} <= DIRECTIVES


def test_the_reference_has_every_folder_with_public_names():
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py") if "__all__" in file.read_text()}
    assert {f"amortized.{folder}" for folder in folders - NOT_CALLED} <= DIRECTIVES


def test_the_reference_has_every_baseline():
    modules = {file.stem for file in (PACKAGE / "baselines").glob("*.py") if "\ndef run(" in file.read_text()}
    assert modules and {f"amortized.baselines.{module}.run" for module in modules} <= DIRECTIVES


@pytest.fixture(scope="module")
def texts() -> str:
    """The package's code, with the seams of strings that go on in the next line taken out."""
    files = "\n".join(file.read_text() for file in sorted(PACKAGE.rglob("*.py")))
    return re.sub(r'"\n\s*f?"', "", files)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_message_is_one_of_the_library_s(message: str, texts: str):
    pieces = [piece.strip() for piece in message.split("…") if piece.strip()]
    assert pieces and all(piece in texts for piece in pieces), f"docs/faq.md: no such message: {message}"
