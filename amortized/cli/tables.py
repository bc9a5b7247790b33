"""What ``amortized fit`` prints: the verdict, the parameters one a row, and what every method cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from amortized.diagnostics.comparison import Description, Difference, aligned, differences
from amortized.files.model import ModelFile
from amortized.report import Contents
from amortized.report.tables import UNKNOWN, cost_rows

ROWS, COLUMNS = 40, 120
"""Parameters shown, about one screen of them, and the width of a wide terminal."""


def printed(file: ModelFile, contents: Contents) -> str:
    """All that is printed, in at most 120 columns if names are short."""
    judged = contents.diagnosis
    head = f"{file.title}: {judged.verdict}\n{judged.advice}\nlog evidence: {judged.evidence_text}"
    (_, ours), *others = contents.descriptions.items()
    found = {method: differences(ours, theirs) for method, theirs in others}
    if len(found) == 1:
        [(method, rows)] = found.items()
        parameters = comparison_table(rows, method)
    else:
        parameters = several_table(ours, found) if found else posterior_table(ours)
    return "\n\n".join([head, parameters, cost_table(file, contents)])


def posterior_table(rows: Sequence[Description]) -> str:
    table = [["", "mean", "sd", "5 %", "50 %", "95 %"]]
    table += [[row.name, *row.texts] for row in rows[:ROWS]]
    return aligned(table) + unlisted(len(rows))


def comparison_table(rows: Sequence[Difference], method: str) -> str:
    """One row for each parameter, and the largest differences below."""
    table = [["", "guide mean", "sd", f"{method} mean", "sd", "difference in sd", "sd ratio"]]
    for row in rows[:ROWS]:
        ours, theirs = row.ours.texts[:2], row.reference.texts[:2]
        table.append([row.name, *ours, *theirs, f"{row.shift:+.3f}", f"{row.ratio:.3f}"])
    return "\n".join([aligned(table) + unlisted(len(rows)), *largest({method: rows})])


def several_table(rows: Sequence[Description], differences: Mapping[str, Sequence[Difference]]) -> str:
    """Means and differences in std of all methods; those that do not fit side by side stand below."""
    shown = rows[:ROWS]
    first = [["", "guide mean", "sd"], *([row.name, *row.texts[:2]] for row in shown)]
    pieces = {}
    for method, found in differences.items():
        by_name = {row.name: row for row in found}
        pieces[method] = [[method, "diff."], *(cells(by_name.get(row.name)) for row in shown)]
    blocks = [aligned(beside(first, *(pieces[method] for method in block))) for block in fitting(first, pieces)]
    return "\n\n".join(blocks) + unlisted(len(rows)) + "\n" + "\n".join(largest(differences))


def beside(*tables: list[list[str]]) -> list[list[str]]:
    """
    >>> beside([["a"], ["b"]], [["1", "2"], ["3", "4"]])
    [['a', '1', '2'], ['b', '3', '4']]
    """
    return [[cell for part in parts for cell in part] for parts in zip(*tables, strict=True)]


def cells(row: Difference | None) -> list[str]:
    return ["–", "–"] if row is None else [row.reference.texts[0], f"{row.shift:+.2f}"]


def fitting(first: list[list[str]], pieces: Mapping[str, list[list[str]]]) -> Iterator[list[str]]:
    """Split the methods into blocks, each at most 120 characters wide together with the first columns."""
    block: list[str] = []
    taken = start = width(first)
    for method, piece in pieces.items():
        if block and taken + 2 + width(piece) > COLUMNS:
            yield block
            block, taken = [], start
        block.append(method)
        taken += 2 + width(piece)
    yield block


def width(table: Sequence[Sequence[str]]) -> int:
    """
    >>> width([["a", "bc"], ["abc", "b"]])
    7
    """
    return sum(max(map(len, column)) + 2 for column in zip(*table, strict=True)) - 2


def largest(differences: Mapping[str, Sequence[Difference]]) -> Iterator[str]:
    """For each method the largest difference of means, and the range of the ratios of stds."""
    for method, rows in differences.items():
        if rows:
            shift, ratios = max(abs(row.shift) for row in rows), [row.ratio for row in rows]
            name = f"{method}: " if len(differences) > 1 else ""
            yield f"{name}largest difference {shift:.3f} sd, sd ratios {min(ratios):.3f} to {max(ratios):.3f}"


def unlisted(count: int) -> str:
    return f"\nand {count - ROWS} more, in summary.csv" if count > ROWS else ""


def cost_table(file: ModelFile, contents: Contents) -> str:
    """Draws, seconds, density calls, log evidence, and what each method says of its own draws."""
    table = cost_rows(contents)
    head = ["", "draws", "seconds", "density calls", "log evidence"]
    text = aligned([head, *(row[:5] for row in table)])
    own = [f"{row.method}: {row.remarks}" for row in table if row.remarks != UNKNOWN]
    if file.log_evidence is not None:
        own.append(
            f"log evidence in {file.path}: {file.log_evidence:.3f}, the guide's is {table[0].difference} from it"
        )
    failed = [f"{method} failed: {reason}" for method, reason in contents.failed.items()]
    return "\n".join([text, *own, *failed])
