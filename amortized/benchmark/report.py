"""Tables and figures as Markdown and as one page of HTML that needs no other file."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape

from amortized.benchmark.table import COLUMNS, COSTS, TIMES, Result, ResultTable

TITLE = "Diffusion samplers, measured"
HOW_TO_READ = "Means over seeds ± their standard deviation."
"""Stand above every report, in both formats."""

PAGE_STYLE = """
:root { color-scheme: light dark; --ink: #1b1d21; --paper: #ffffff; --quiet: #62676f; --line: #dfe2e6; --head: #f4f5f7 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181c; --quiet: #9aa0a8; --line: #33373d; --head: #1f2227 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: .5rem 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .25rem }
p { margin: .25rem 0 .75rem } .quiet { color: var(--quiet) } .failed { color: var(--quiet); font-size: .875rem }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; width: 100% }
th, td { padding: .375rem .625rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line) }
thead th { background: var(--head); border-top: 0; font-weight: 600 }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper) }
thead th:first-child { background: var(--head) }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .125rem 1rem; font-size: .875rem }
dt { font-weight: 600 } dd { margin: 0; color: var(--quiet) }
@media (max-width: 34rem) { body { padding: .75rem } dl { grid-template-columns: 1fr } dd { margin-bottom: .5rem } }
"""
"""In the page itself: the report is one file that can be sent."""


def markdown_report(tables: Sequence[ResultTable], results: Sequence[Result], figure: str | None = None) -> str:
    """The report as Markdown; ``figure``: the name of the picture beside the file."""
    parts = [f"# {TITLE}", " ".join([HOW_TO_READ, *provenance_sentences(results)])]
    if figure is not None:
        parts.append(f"![By seconds of training]({figure})")
    for table in tables:
        parts += [f"## {plain(table.title)}", *map(plain, table.notes)]
        rule = ["---", *["---:"] * (len(table.head) - 1)]
        parts.append("\n".join(f"| {' | '.join(map(plain, row))} |" for row in (table.head, rule, *table.rows)))
        if table.failures:
            parts.append("\n".join(f"- failed: {plain(failure)}" for failure in table.failures))
        if table.missing:
            parts.append("\n".join(f"- missing: {plain(reason)}" for reason in table.missing))
    parts.append("\n".join(f"- {title}: {meaning}" for title, meaning in column_meanings(tables)))
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, in a cell of a table too.

    >>> plain("a|b <i>\\nTypeError: `x`")
    'a\\\\|b &lt;i> TypeError: \\\\`x\\\\`'
    """
    return re.sub(r"([|`*\[\]\\]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split())).replace("<", "&lt;")


def html_report(
    tables: Sequence[ResultTable], results: Sequence[Result], pictures: tuple[bytes, bytes] | None = None
) -> str:
    """The report as one page; ``pictures``: PNG on light and on dark ground."""
    body = [
        f"<h1>{TITLE}</h1>",
        f'<p class="quiet">{escape(" ".join([HOW_TO_READ, *provenance_sentences(results)]))}</p>',
    ]
    if pictures is not None:
        light, dark = (f"data:image/png;base64,{base64.b64encode(picture).decode()}" for picture in pictures)
        body.append(
            f'<picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
            f'<img src="{light}" alt="By method and target, against the seconds of training"></picture>'
        )
    for table in tables:
        body += [f"<h2>{escape(table.title)}</h2>", *(f'<p class="quiet">{escape(fact)}</p>' for fact in table.notes)]
        body.append(html_table(table))
        body += [f'<p class="failed">failed: {escape(failure)}</p>' for failure in table.failures]
        body += [f'<p class="failed">missing: {escape(reason)}</p>' for reason in table.missing]
    terms = "".join(f"<dt>{escape(title)}</dt><dd>{escape(meaning)}</dd>" for title, meaning in column_meanings(tables))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{TITLE}</title>\n'
        f"<style>{PAGE_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + f"\n<dl>{terms}</dl>\n</body>\n</html>\n"
    )


def html_table(table: ResultTable) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    content = f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"
    return f'<div class="wide" tabindex="0">{content}</div>'


def column_meanings(tables: Sequence[ResultTable]) -> list[tuple[str, str]]:
    """Title and meaning of every column in the tables."""
    shown = {title for table in tables for title in table.head}
    return [(column.title, column.meaning) for column in (*COLUMNS, *TIMES, *COSTS) if column.title in shown]


def provenance_sentences(results: Sequence[Result]) -> list[str]:
    """The machines and versions behind the results, a sentence each."""
    sentences = set()
    for result in results:
        machine, versions = result.get("machine", {}), result.get("versions", {})
        if not {"processor", "cores", "threads"} <= machine.keys():
            continue
        threads = "one thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
        numbers = ", ".join(f"{name} {version}" for name, version in versions.items())
        sentences.add(f"Made on {machine['processor']}, {machine['cores']} cores, {threads} a cell, with {numbers}.")
    return sorted(sentences)
