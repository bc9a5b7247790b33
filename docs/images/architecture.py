"""Draws docs/images/architecture.svg: what a fit passes through, folder by folder.

python docs/images/architecture.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

STAGES = {
    "1  prepare": ("#E8F1FA", 5.4, 7.0),
    "2  train": ("#FBF1E3", 2.7, 4.85),
    "3  judge and hand over": ("#E7F5EE", -0.35, 2.15),
}
"""Colour, lower and upper edge of every row."""

BOXES = {
    "model": (1.0, 6.05, "Pyro model", "and its data"),
    "targets": (3.35, 6.05, "targets/pyro", "batched log density\nand its score"),
    "warmup": (6.0, 6.05, "warmup", "modes, scale,\na fitted mixture, log Z"),
    "samplers": (8.75, 6.05, "samplers", "process + policy,\nstarts as the mixture"),
    "behaviours": (2.1, 3.75, "behaviours", "propose states"),
    "path": (4.6, 3.75, "path.py", "scores them:\nlog weight of a path"),
    "objectives": (6.95, 3.75, "objectives", "loss of a path"),
    "policies": (9.25, 3.75, "policies", "the network learns"),
    "posterior": (2.3, 0.75, "results/posterior.py", "fresh paths and\ntheir weights"),
    "draws": (5.35, 1.45, "results/draws.py", "draws, to ArviZ"),
    "verdict": (5.35, 0.25, "diagnostics", "checks, one verdict"),
    "shown": (8.3, 0.75, "plots, report", "pictures, one page"),
}
"""Middle of each box, its folder or file, and what it holds."""

ARROWS = [
    ("model", "targets"),
    ("targets", "warmup"),
    ("warmup", "samplers"),
    ("behaviours", "path"),
    ("path", "objectives"),
    ("objectives", "policies"),
    ("posterior", "draws"),
    ("posterior", "verdict"),
    ("draws", "shown"),
    ("verdict", "shown"),
]
HALF_WIDTH = {"posterior": 1.05, "draws": 0.95, "warmup": 1.05}


def box(axes: Axes, name: str) -> None:
    x, y, title, text = BOXES[name]
    half = HALF_WIDTH.get(name, 0.9)
    patch = FancyBboxPatch((x - half, y - 0.38), 2 * half, 0.76, boxstyle="round,pad=0.06", fc="white", ec="#5A6270")
    axes.add_patch(patch)
    axes.text(x, y + 0.22, title, ha="center", va="center", fontsize=10, weight="bold", color="#1B1D21")
    axes.text(x, y - 0.14, text, ha="center", va="center", fontsize=8.5, color="#3A3F47", linespacing=1.25)


def arrow(axes: Axes, start: str, end: str) -> None:
    first, last = BOXES[start], BOXES[end]
    tail = first[0] + HALF_WIDTH.get(start, 0.9) + 0.08, first[1]
    head = last[0] - HALF_WIDTH.get(end, 0.9) - 0.08, last[1]
    axes.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": "#5A6270", "shrinkA": 0, "shrinkB": 0})


def picture() -> Figure:
    figure = Figure(figsize=(10.4, 7.8))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.3, 10.6), ylim=(-0.85, 7.5))
    axes.axis("off")
    for stage, (colour, low, high) in STAGES.items():
        axes.add_patch(FancyBboxPatch((-0.1, low), 10.5, high - low, boxstyle="round,pad=0.05", fc=colour, ec="none"))
        axes.text(0.0, high - 0.15, stage, fontsize=10.5, weight="bold", color="#1B1D21", va="center")
    for name in BOXES:
        box(axes, name)
    for start, end in ARROWS:
        arrow(axes, start, end)
    bent = {"arrowstyle": "-|>", "color": "#5A6270", "connectionstyle": "arc3,rad=-0.08"}
    axes.annotate("", (2.1, 3.28), (9.25, 3.28), arrowprops=bent)
    axes.text(5.7, 3.13, "next batch", ha="center", va="center", fontsize=8.5, color="#3A3F47")
    down = {"arrowstyle": "-|>", "color": "#5A6270"}
    axes.annotate("", (1.0, 2.2), (1.0, 2.65), arrowprops=down)
    axes.annotate("", (1.0, 4.9), (1.0, 5.35), arrowprops=down)
    axes.text(5.2, 7.23, "guide: what a user calls. It walks these rows in order.", ha="center", fontsize=10.5)
    below = "baselines run on the same target; benchmark and cli stand above all of it"
    axes.text(5.2, -0.68, below, ha="center", fontsize=9.5, color="#3A3F47")
    return figure


if __name__ == "__main__":
    settings = {"svg.fonttype": "none", "svg.hashsalt": "architecture", "font.family": "sans-serif"}
    with matplotlib.rc_context(settings):
        file = Path(__file__).with_suffix(".svg")
        picture().savefig(file, metadata={"Date": None}, facecolor="white")
    print(file)
