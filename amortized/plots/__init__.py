"""Pictures of a fit. Every function draws into the matplotlib axes that it is given and returns them."""

from collections.abc import Callable

from amortized._types import renamed_member
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


def __getattr__(name: str) -> Callable:
    """Names of the last release, which go with the next."""
    return renamed_member(__name__, name, {"chosen": scalars_to_show, "grid": panel_grid})
