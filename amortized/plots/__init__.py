"""Pictures of a fit. Every function draws into the matplotlib axes that it is given and returns them."""

import warnings
from typing import Any

from amortized.plots.bars import costs, forest
from amortized.plots.marginals import PANELS, marginal, marginals, panel_grid, scalars_to_show
from amortized.plots.pairs import pair, pairs
from amortized.plots.predictive import predictive
from amortized.plots.style import BLUE, GREEN, GREY, ORANGE, STYLE, line
from amortized.plots.training import bounds, losses, progress
from amortized.plots.weights import tail, weights

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PANELS",
    "STYLE",
    "bounds",
    "costs",
    "forest",
    "line",
    "losses",
    "marginal",
    "marginals",
    "pair",
    "pairs",
    "panel_grid",
    "predictive",
    "progress",
    "scalars_to_show",
    "tail",
    "weights",
]
RENAMED = {"chosen": "scalars_to_show", "grid": "panel_grid"}
"""Names of the last release, which go with the next."""


def __getattr__(name: str) -> Any:
    if name not in RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"plots.{name} is now plots.{RENAMED[name]}", DeprecationWarning, stacklevel=2)
    return globals()[RENAMED[name]]
