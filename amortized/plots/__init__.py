"""Pictures of a fit. Every function draws into the matplotlib axes that it is given and hands them back."""

from amortized.plots.bars import costs, forest
from amortized.plots.marginals import PANELS, chosen, grid, marginal, marginals
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
    "chosen",
    "costs",
    "forest",
    "grid",
    "line",
    "losses",
    "marginal",
    "marginals",
    "pair",
    "pairs",
    "predictive",
    "progress",
    "tail",
    "weights",
]
