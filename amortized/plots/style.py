"""Colours and lines of every picture: one for the guide, and one for each method that it is compared with."""

from __future__ import annotations

from typing import Any

import matplotlib
from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6B6B6B"
"""Okabe and Ito's (2008), which colour-blind readers can tell apart; so are pink, amber and sky."""

PINK, AMBER, SKY, BROWN, SLATE = "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7B6FD0"

COMPARED = (ORANGE, GREEN, PINK, AMBER, SKY, BROWN, SLATE)
"""Of the methods beside the guide, in their order."""

LINES = ("-", "--", "-.", ":")
"""Dashes that change with the colour, so that a grey print can be read."""

GRID = "#E4E4E4"
"""The lines of a grid are fainter than every curve."""

STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
}


def ink() -> str:
    """The colour of text, in which reference lines are drawn."""
    return matplotlib.rcParams["text.color"]


def line(place: int) -> dict[str, Any]:
    """Colour and dashes of a method: place 0 is the guide, place 1 the first method it is compared with.

    >>> line(0)["color"] == BLUE, line(1)["color"] == ORANGE, line(1)["linestyle"], line(2)["linestyle"]
    (True, True, '-', '--')
    """
    if place == 0:
        return {"color": BLUE, "linestyle": "-"}
    return {"color": COMPARED[(place - 1) % len(COMPARED)], "linestyle": LINES[(place - 1) % len(LINES)]}


def without_height(axes: Axes) -> None:
    """Remove the y axis, if its numbers say nothing."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
