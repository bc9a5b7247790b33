"""Pictures of a fit. Every function draws into the matplotlib axes that it is given and hands them back."""

from amortized.diagnostics.plots.bars import costs, forest
from amortized.diagnostics.plots.marginals import PANELS, chosen, grid, marginal, marginals
from amortized.diagnostics.plots.pairs import pair, pairs
from amortized.diagnostics.plots.predictive import predictive
from amortized.diagnostics.plots.style import BLUE, GREEN, GREY, ORANGE, STYLE, line
from amortized.diagnostics.plots.training import bounds, losses, progress
from amortized.diagnostics.plots.weights import tail, weights

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
