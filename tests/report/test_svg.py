"""Figures inside a page: colours that follow it, labels that cannot break it."""

from matplotlib.figure import Figure

from amortized.plots import BLUE
from amortized.report.svg import for_page, inline


def test_colours_are_the_pages_and_labels_are_escaped():
    with for_page():
        axes = Figure(figsize=(2, 1)).add_subplot()
        axes.plot([0, 1], color=BLUE)
        axes.set_title("a < b")
        text = inline(axes.figure, 'a "label" \\1 <b>', "f1")  # type: ignore[arg-type]
    assert text.startswith("<svg viewBox=") and 'aria-label="a &quot;label&quot; \\1 &lt;b&gt;"' in text
    assert "var(--method-0)" in text and "currentColor" in text and BLUE.lower() not in text
    assert "a &lt; b" in text and "<metadata" not in text and 'id="f1-' in text
