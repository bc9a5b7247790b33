"""Learned diffusion samplers for Pyro models: a posterior, its log evidence, and whether to trust them."""

from amortized.draws import Draws, Estimate
from amortized.guide import DiffusionGuide
from amortized.recipe import Recipe
from amortized.samplers import GFlowNet

__all__ = ["DiffusionGuide", "Draws", "Estimate", "GFlowNet", "Recipe"]
__version__ = "0.1.0"
