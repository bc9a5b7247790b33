"""The site that `make docs` builds: these pages as they stand, and the docstrings of every public name."""

from amortized import __version__

project = "amortized"
copyright = "the authors of amortized, Apache-2.0"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_external_toc",
]
exclude_patterns = ["_build"]
highlight_language = "none"

myst_heading_anchors = 3
nb_execution_mode = "off"

napoleon_custom_sections = [("Args of the constructor", "params_style")]
autodoc_member_order = "bysource"
autodoc_typehints = "none"

html_theme = "furo"
html_title = "amortized"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]


def leave_equations_as_they_are(app, what, name, obj, options, lines):
    """Docstrings indent their equations. Without ``::`` before, reStructuredText reads ``|x|`` as its own."""
    for number in range(len(lines) - 1, 1, -1):
        before, blank, line = lines[number - 2 : number + 1]
        if line.startswith("    ") and not blank and before and not before.startswith(" "):
            lines[number - 1 : number] = ["", "::", ""]


def setup(app):
    app.connect("autodoc-process-docstring", leave_equations_as_they_are, priority=400)  # before napoleon
