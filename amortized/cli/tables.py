"""What ``amortized fit`` prints: the verdict, the parameters one a row, and what every method cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from amortized.diagnostics.comparison import Difference, Moments, aligned, compare, moments
from amortized.files.model import ModelFile
from amortized.report import Contents
from amortized.report.tables import costs, numbers

ROWS, COLUMNS = 40, 120
"""Parameters shown, about one screen of them, and the width of a wide terminal."""


def printed(file: ModelFile, contents: Contents) -> str:
    """All that is printed, in at most 120 columns if names are short."""
    found = contents.diagnosis
    head = f"{file.title}: {found.verdict}\n{found.advice}"
    ours = contents.draws.arrays()
    others = {method: draws for method, draws in contents.methods().items() if draws is not contents.draws}
    differences = {method: compare(ours, draws.arrays()) for method, draws in others.items()}
    if len(differences) == 1:
        [(method, rows)] = differences.items()
        parameters = comparison_table(rows, method)
    else:
        parameters = several_table(moments(ours), differences) if differences else posterior_table(moments(ours))
    return "\n\n".join([head, parameters, cost_table(file, contents)])


def posterior_table(rows: Sequence[Moments]) -> str:
    table = [["", "mean", "sd", "5 %", "50 %", "95 %"]]
    table += [[row.name, *numbers(row.mean, row.sd, *row.quantiles)] for row in rows[:ROWS]]
    return aligned(table) + unlisted(len(rows))


def comparison_table(rows: Sequence[Difference], method: str) -> str:
    """One row for each parameter, and the largest differences below."""
    table = [["", "guide mean", "sd", f"{method} mean", "sd", "difference in sd", "sd ratio"]]
    for row in rows[:ROWS]:
        ours, theirs = (numbers(found.mean, found.sd) for found in (row.ours, row.reference))
        table.append([row.name, *ours, *theirs, f"{row.shift:+.3f}", f"{row.ratio:.3f}"])
    return "\n".join([aligned(table) + unlisted(len(rows)), *largest({method: rows})])


def several_table(rows: Sequence[Moments], differences: Mapping[str, Sequence[Difference]]) -> str:
    """Means and differences in std of all methods; those that do not fit side by side stand below."""
    shown = rows[:ROWS]
    first = [["", "guide mean", "sd"], *([row.name, *numbers(row.mean, row.sd)] for row in shown)]
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
    return ["–", "–"] if row is None else [numbers(row.reference.mean, row.reference.sd)[0], f"{row.shift:+.2f}"]


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
    table = costs(contents)
    head = ["", "draws", "seconds", "density calls", "log evidence"]
    text = aligned([head, *(row[:5] for row in table)])
    own = [f"{row[0]}: {row[-1]}" for row in table if row[-1] != "–"]
    if file.log_evidence is not None:
        off = contents.diagnosis.log_evidence.value - file.log_evidence
        own.append(f"log evidence in {file.path}: {file.log_evidence:.3f}, the guide's is {off:+.3f} from it")
    failed = [f"{method} failed: {reason}" for method, reason in contents.failed.items()]
    return "\n".join([text, *own, *failed])
