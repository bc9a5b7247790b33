"""The tables and the picture of `speed.py`, from the lines that it wrote."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from matplotlib import rc_context
from matplotlib.figure import Figure
from support import markdown_row

from amortized.plots.style import BLUE, COMPARED, GREY, STYLE

Row = dict[str, Any]

PEERS = {
    "before": "before",
    "loop": "by hand",
    "paper": "the paper's code",
    "torchgfn": "torchgfn",
}
NAMES = {"after": "now", **PEERS, "floor": "floor"}
TARGETS = {"25gmm": "25GMM", "manywell": "Manywell-32", "regression": "regression"}
METHODS = {"tb": "TB", "vargrad": "VarGrad", "tb-lp": "TB + LP", "fl-subtb": "FL-SubTB", "tb-replay": "TB + replay"}
LAST = 3
"""Sizes at the large end that an exponent is fitted to: at the small end a step costs its operator calls."""


def medians(rows: list[Row], value: str, *by: str) -> dict[tuple, float]:
    """The median over rounds for each combination of the columns ``by``, in their first order."""
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        if value in row:
            groups.setdefault(tuple(row[name] for name in by), []).append(row[value])
    return {key: statistics.median(values) for key, values in groups.items()}


def markdown(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join(markdown_row(cells) for cells in (head, ["---"] * len(head), *lines))


def steps_table(rows: list[Row]) -> str:
    """Milliseconds of a step, how many times ours each other code takes, and the floor's share of ours."""
    found = medians(rows, "ms", "target", "method", "who")
    lines = []
    for target, method in dict.fromkeys(key[:2] for key in found):
        cell = {name: found.get((target, method, name)) for name in NAMES}
        now, floor = cell["after"], cell["floor"]
        if now is None:
            continue
        others = [("–" if (other := cell[name]) is None else f"{other:.0f} ({other / now:.1f})") for name in PEERS]
        share = ["–", "–"] if floor is None else [f"{floor:.1f}", f"{floor / now:.0%}"]
        lines.append([TARGETS[target], METHODS[method], f"**{now:.0f}**", *others, *share])
    return markdown(["target", "method", "now, ms", *PEERS.values(), "floor, ms", "share"], lines)


def counts_table(rows: list[Row]) -> str:
    """Operator calls of a step."""
    found = medians(rows, "operators", "target", "method", "who")
    lines = [
        [TARGETS[target], METHODS[method]]
        + [f"{found[target, method, name]:,.0f}" if (target, method, name) in found else "–" for name in NAMES]
        for target, method in dict.fromkeys(key[:2] for key in found)
    ]
    return markdown(["target", "method", *NAMES.values()], lines)


def draws_table(rows: list[Row]) -> str:
    """Draws a CPU second, of a sampler of K = 100 steps."""
    found, count = medians(rows, "ms", "target", "who"), {row["draws"] for row in rows}
    names = [name for name in NAMES if name != "floor"]
    lines = [
        [TARGETS[target]]
        + [f"{1e3 * max(count) / found[target, name]:,.0f}" if (target, name) in found else "–" for name in names]
        for target in dict.fromkeys(key[0] for key in found)
    ]
    return markdown(["target", *(NAMES[name] for name in names)], lines)


def memory_table(rows: list[Row]) -> str:
    """MB that two steps add to a process."""
    found = medians(rows, "mb", "method", "dim", "paths", "who")
    names = [name for name in NAMES if name != "floor"]
    lines = [
        [METHODS[method], str(dim), f"{paths:,}"]
        + [f"{found[method, dim, paths, name]:,.0f}" if (method, dim, paths, name) in found else "–" for name in names]
        for method, dim, paths in dict.fromkeys(key[:3] for key in found)
    ]
    return markdown(["method", "D", "B", *(NAMES[name] for name in names)], lines)


def fits_table(rows: list[Row]) -> str:
    """Seconds of a fit and of its draws, effective draws, and effective draws a second of both together."""
    columns = {name: medians(rows, name, "model", "who") for name in ("fit", "draw", "effective")}
    names = {"after": "the default guide now", "before": "the default guide before", "nuts": "Pyro's NUTS"}
    verdicts = {(row["model"], row["who"]): row.get("verdict", "–") for row in rows}
    lines = []
    for model, who in columns["fit"]:
        fit, draw, effective = (columns[name][model, who] for name in columns)
        rate, after = effective / (fit + draw), effective / draw
        lines.append(
            [model.replace("_", " "), names[who], f"{fit:.1f}", f"{draw:.2f}", f"{effective:,.0f}", f"{rate:,.0f}"]
            + [f"{after:,.0f}", verdicts[model, who]]
        )
    head = [
        "model",
        "who",
        "fit or warm-up, s",
        "draws, s",
        "effective",
        "effective/s in all",
        "after the fit",
        "verdict",
    ]
    return markdown(head, lines)


WHO = "after", "before"
"""Whose curves are drawn as a size grows."""

SIZES: dict[str, tuple[str, Callable[[Row], bool]]] = {
    "D": ("dim", lambda row: row["method"] == "tb" and row["target"] == "manywell"),
    "B": ("paths", lambda row: row["method"] == "tb" and row["target"] == "25gmm" and row["steps"] == 100),
    "K": ("steps", lambda row: row["method"] == "tb" and row["target"] == "25gmm" and row["paths"] == 300),
    "N": ("rows", lambda row: row["target"] == "regression"),
}
"""What grows, and which lines belong to it."""


def curves(rows: dict[str, list[Row]]) -> dict[tuple[str, str], dict[int, float]]:
    """Milliseconds of a step by size, for each thing that grows and for now and before."""
    found = {}
    for letter, (column, belongs) in SIZES.items():
        for name in ("after", "before"):
            chosen = [row for row in rows["sizes"] + rows["steps"] if row["who"] == name and belongs(row)]
            times = medians(chosen, "ms", column)
            found[letter, name] = {size: times[size,] for (size,) in sorted(times)}
    return found


def exponent(curve: dict[int, float]) -> float:
    """The slope of ``log ms`` over ``log size`` at the three largest sizes, by least squares.

    >>> round(exponent({1: 5.0, 10: 10.0, 100: 100.0, 1000: 1000.0}), 3)
    1.0
    """
    x, y = ([math.log(value) for value in values[-LAST:]] for values in (list(curve), list(curve.values())))
    return statistics.linear_regression(x, y).slope


def sizes_table(rows: dict[str, list[Row]]) -> str:
    """Milliseconds at each size, and the fitted exponent."""
    lines = []
    for (letter, name), curve in curves(rows).items():
        if len(curve) >= LAST:
            cells = ", ".join(f"{size:,}: {ms:.0f}" for size, ms in curve.items())
            lines.append([letter, NAMES[name], cells, f"{exponent(curve):.2f}"])
    return markdown(["size", "who", "ms of a step", "exponent"], lines)


def tables(rows: dict[str, list[Row]]) -> dict[str, str]:
    """Every table of which there are lines, by its name."""
    made = {
        "steps": lambda: steps_table(rows["steps"]),
        "operators": lambda: counts_table(rows["steps"]),
        "draws": lambda: draws_table(rows["draws"]),
        "fits": lambda: fits_table(rows["fits"]),
        "sizes": lambda: sizes_table(rows),
        "memory": lambda: memory_table(rows["memory"]),
    }
    return {name: make() for name, make in made.items() if rows["steps" if name == "operators" else name]}


def filled(page: str, made: dict[str, str]) -> str:
    """The page with each table between its mark ``<!-- name -->`` and the next ``<!-- end -->``.

    >>> filled("a <!-- steps -->old<!-- end --> b", {"steps": "new"}).split()
    ['a', '<!--', 'steps', '-->', 'new', '<!--', 'end', '-->', 'b']
    """
    for name, table in made.items():
        mark = f"<!-- {name} -->"
        before, after = page.split(mark)
        page = f"{before}{mark}\n{table}\n<!-- end -->{after.split('<!-- end -->', 1)[1]}"
    return page


def picture(rows: dict[str, list[Row]], file: Path) -> None:
    """A step's time for each code, and a step's time as each size grows."""
    with rc_context(cast(Any, STYLE)):
        measured = [letter for letter in SIZES if any(len(curves(rows)[letter, who]) >= LAST for who in WHO)]
        figure = Figure(figsize=(10, 7 if measured else 4), layout="constrained")
        grid = figure.add_gridspec(2 if measured else 1, max(1, len(measured)))
        above = figure.add_subplot(grid[0, :])
        _dots(above, rows["steps"])
        figure.legend(*above.get_legend_handles_labels(), loc="outside upper center", ncols=len(NAMES))
        for place, letter in enumerate(measured):
            axes = figure.add_subplot(grid[1, place])
            for name, colour, line in zip(WHO, (BLUE, COMPARED[0]), ("-", "--"), strict=True):
                curve = curves(rows)[letter, name]
                if len(curve) >= LAST:
                    label = f"{NAMES[name]}, {exponent(curve):.2f}"
                    axes.loglog(list(curve), list(curve.values()), line, color=colour, marker="o", ms=3, label=label)
            axes.set_xlabel(letter)
            axes.set_ylabel("ms a step" if place == 0 else "")
            axes.grid(True)
            axes.legend(title="exponent", loc="upper left")
        figure.savefig(file, dpi=150)


def _dots(axes: Any, rows: list[Row]) -> None:
    found = medians(rows, "ms", "target", "method", "who")
    cells = list(dict.fromkeys(key[:2] for key in found))
    colours = dict(zip(NAMES, (BLUE, *COMPARED[: len(PEERS)], GREY), strict=True))
    for name, marker in zip(NAMES, "oD^sv_", strict=True):
        at = [index for index, cell in enumerate(cells) if (*cell, name) in found]
        heights = [found[(*cells[index], name)] for index in at]
        axes.plot(at, heights, marker, color=colours[name], label=NAMES[name], ms=12 if marker == "_" else 7)
    axes.set_yscale("log")
    axes.grid(True, axis="y")
    axes.set_xticks(range(len(cells)), [f"{METHODS[method]}\n{TARGETS[target]}" for target, method in cells])
    axes.set_ylabel("ms a training step")
