"""Markdown and HTML of a table written by hand."""

from dataclasses import replace

from amortized.benchmark.report import html_report, markdown_report
from amortized.benchmark.table import ResultTable

TABLE = ResultTable(
    title="f<1>, steps 2",
    head=["method", "seeds", "Δ"],
    rows=[["a&b", "2", "0.1 ± 0.0"]],
    notes=["2 dimensions"],
    failures=["a&b, seed 1: <no>"],
    missing=["Stein: 3 < 5"],
)
MADE = [{"machine": {"processor": "Z80", "cores": 1, "threads": 1}, "versions": {"torch": "2.4"}}]


def test_markdown():
    text = markdown_report([TABLE], MADE, "delta.png")
    assert "Made on Z80, 1 cores, one thread a cell, with torch 2.4." in text
    assert "## f&lt;1>, steps 2\n\n2 dimensions\n\n| method | seeds | Δ |\n| --- | ---: | ---: |\n| a&b | 2 |" in text
    assert "- failed: a&b, seed 1: &lt;no>" in text and "- Δ: log Z − ELBO, nats" in text and "(delta.png)" in text
    assert (
        "- missing: Stein: 3 &lt; 5" in text and "- Stein:" not in text and "![" not in markdown_report([TABLE], MADE)
    )


def test_the_page_escapes_and_needs_no_other_file():
    text = html_report([TABLE], MADE, (b"light", b"dark"))
    assert "f&lt;1&gt;" in text and "a&amp;b" in text and "&lt;no&gt;" in text and "<no>" not in text
    assert "data:image/png;base64,bGlnaHQ=" in text and "data:image/png;base64,ZGFyaw==" in text
    assert "missing: Stein: 3 &lt; 5" in text
    assert "http" not in text and "<picture>" not in html_report([TABLE], MADE)


def test_a_name_cannot_break_the_table():
    made = markdown_report([replace(TABLE, rows=[["a|b <i>", "2", "`x`"]])], MADE)
    assert r"| a\|b &lt;i> | 2 | \`x\` |" in made and "<no>" not in made
