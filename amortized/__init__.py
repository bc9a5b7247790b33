"""Learned diffusion samplers for Pyro models: a posterior, its log evidence, and whether to trust them."""

from amortized.draws import Draws, Estimate
from amortized.guide import DiffusionGuide
from amortized.guides import (
    DBGuide,
    DDSGuide,
    DISGuide,
    FLSubTBGuide,
    PISGuide,
    SubTBGuide,
    TBGuide,
    VarGradGuide,
)
from amortized.recipe import OffPolicy, Recipe
from amortized.samplers import DDS, DIS, PIS, UDS, GFlowNet

__all__ = [
    "DBGuide",
    "DDS",
    "DDSGuide",
    "DIS",
    "DISGuide",
    "DiffusionGuide",
    "Draws",
    "Estimate",
    "FLSubTBGuide",
    "GFlowNet",
    "OffPolicy",
    "PIS",
    "PISGuide",
    "Recipe",
    "SubTBGuide",
    "TBGuide",
    "UDS",
    "VarGradGuide",
]
__version__ = "0.1.0"
