"""What is told about the package outside of its code: version, types, citation, the package page."""

import runpy
from importlib import metadata
from pathlib import Path

import amortized

ROOT = Path(__file__).parents[1]


def test_one_version_everywhere():
    assert metadata.version("amortized") == amortized.__version__
    assert f"\nversion: {amortized.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {amortized.__version__}" in (ROOT / "docs" / "changelog.md").read_text()


def test_the_package_says_that_it_has_types():
    assert (Path(amortized.__file__).parent / "py.typed").exists()
    assert "Typing :: Typed" in metadata.metadata("amortized").get_all("Classifier")


def test_the_public_surface_is_names_and_no_modules():
    assert dir(amortized) == sorted([*amortized.__all__, "__version__"])
    found = {name: getattr(amortized, name) for name in amortized.__all__}
    assert all(callable(value) for value in found.values())


def test_a_package_page_leads_to_files_that_are_there():
    """Every relative link of the README becomes whole, and names a file of the repository."""
    page = runpy.run_path(str(ROOT / "hatch_build.py"))
    readme = (ROOT / "README.md").read_text()
    whole = page["with_whole_links"](readme, "https://host/us/it", "v1")
    links = [path for _, _, path in page["RELATIVE"].findall(readme)]
    assert len(links) > 10 and not page["RELATIVE"].findall(whole)
    for path in links:
        assert (ROOT / path).exists()
        assert f"(https://host/us/it/blob/v1/{path})" in whole or f"(https://host/us/it/raw/v1/{path})" in whole
