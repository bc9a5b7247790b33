"""The pictures of the tutorial; each function writes one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from amortized.plots import BLUE, GREY, ORANGE, STYLE


def show(axes: Axes, pixels: Tensor, side: int, hidden: int = 0) -> None:
    """One image, ink on paper; the last ``hidden`` pixels are shaded as unknown."""
    axes.imshow(pixels.reshape(side, side), cmap="Greys", vmin=0.0, vmax=1.0)
    if hidden:
        axes.axhspan(side - hidden / side - 0.5, side - 0.5, color=BLUE, alpha=0.15, linewidth=0)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#D0D0D0")


def rows_of_images(
    path: Path, side: int, left: list[tuple[Tensor, int]], blocks: dict[str, list[Tensor]], first: str = "image"
) -> None:
    """A row for each image ``left`` (and how much of it is hidden), then a block of columns for each of ``blocks``.

    ``blocks``: title to one tensor ``(columns, side²)`` for each row.
    """
    columns = [len(rows[0]) for rows in blocks.values()]
    width, height = 1 + sum(columns) + 0.5 * len(columns), len(left)
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(0.62 * width, 0.62 * height + 0.3), dpi=130)
        parts: Any = figure.subfigures(1, 1 + len(blocks), width_ratios=[1.3, *columns])
        for part, (title, rows) in zip(parts, [(first, None), *blocks.items()], strict=True):
            panels = part.subplots(len(left), 1 if rows is None else len(rows[0]), squeeze=False)
            part.subplots_adjust(0.04, 0.01, 0.98, 1 - 0.3 / figure.get_figheight(), 0.08, 0.08)
            part.suptitle(title, fontsize=10, y=0.98)
            for number, panel in enumerate(panels):
                if rows is None:
                    show(panel[0], left[number][0], side, left[number][1])
                    continue
                for axes, pixels in zip(panel, rows[number], strict=True):
                    show(axes, pixels, side)
        figure.savefig(path)


def bounds(path: Path, results: dict[str, Any]) -> None:
    """For each guide how many nats its ELBO and its 100-draw bound miss of the truth, at least .01."""
    truth = results["truth"]["log_evidence"]
    methods = sorted(results["methods"].items(), key=lambda item: item[1]["iwae_100"])
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure, axes = plt.subplots(figsize=(7.5, 0.42 * len(methods) + 1.1), layout="constrained", dpi=130)
        for height, (_, found) in enumerate(methods):
            low, high = (max(truth - found[bound], 0.01) for bound in ("elbo", "iwae_100"))
            axes.plot([low, high], [height, height], color=GREY, linewidth=1.2, zorder=1)
            axes.scatter(low, height, color=ORANGE, s=36, label=None if height else "ELBO")
            axes.scatter(high, height, color=BLUE, s=36, label=None if height else "bound of 100 draws")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_yticks(range(len(methods)), [name for name, _ in methods])
        axes.set_xlabel("nats short of log p(x), mean over held-out images")
        axes.grid(axis="x")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
        figure.savefig(path)
        plt.close(figure)


def two_modes(path: Path, side: int, pixels: Tensor, hidden: int, blocks: list[tuple[str, Tensor, Tensor]]) -> None:
    """Half an image; for each method of ``blocks`` (name, completions, group), ten completions of either group."""
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(8.2, 1.25 * len(blocks)), dpi=130, layout="constrained")
        panels = figure.subplots(2 * len(blocks), 12, width_ratios=[1.2, 1.2] + [1] * 10)
        for axes in panels.flatten():
            axes.set_axis_off()
        panels[0, 0].set_axis_on()
        show(panels[0, 0], pixels, side, hidden)
        for number, (name, completed, group) in enumerate(blocks):
            for second in (False, True):
                label, *row = panels[2 * number + second][1:]
                share = f"{100 * float((group == second).double().mean()):.0f} %"
                label.text(1.0, 0.5, f"{name}\n{share}", va="center", ha="right", fontsize=8, transform=label.transAxes)
                for axes, one in zip(row, completed[group == second], strict=False):
                    axes.set_axis_on()
                    show(axes, one, side)
        figure.savefig(path)


def decoded(decoder: Any, z: Tensor) -> Tensor:
    """Codes to the probabilities of ink: ``(..., latents) -> (..., pixels)``."""
    with torch.no_grad():
        return decoder(z).sigmoid()
