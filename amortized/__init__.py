"""Learned diffusion samplers for Pyro models: a posterior, its log evidence, and whether to trust them."""

from amortized import _moved
from amortized.guide.comparison import ModelComparison, compare
from amortized.guide.guide import DiffusionGuide
from amortized.guide.named import (
    DBGuide,
    DDSGuide,
    DISGuide,
    FLSubTBGuide,
    MixtureGuide,
    PISGuide,
    SubTBGuide,
    TBGuide,
    VarGradGuide,
)
from amortized.policies.embeddings import Convolutional, DeepSets, Perceptron
from amortized.results.draws import Draws
from amortized.results.posterior import Posterior
from amortized.samplers import DDS, DIS, PIS, UDS, GFlowNet
from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.troubles import OutsideSupport
from amortized.training.recipe import OffPolicy, Recipe
from amortized.weights import Estimate

__all__ = [
    "Convolutional",
    "DBGuide",
    "DDS",
    "DDSGuide",
    "DIS",
    "DISGuide",
    "DeepSets",
    "DiffusionGuide",
    "Draws",
    "Estimate",
    "FLSubTBGuide",
    "GFlowNet",
    "LocalTo",
    "MixtureGuide",
    "ModelComparison",
    "OffPolicy",
    "OutsideSupport",
    "PIS",
    "PISGuide",
    "Perceptron",
    "Posterior",
    "Recipe",
    "SubTBGuide",
    "TBGuide",
    "UDS",
    "VarGradGuide",
    "compare",
]
__version__ = "0.1.0"

_moved.install()
__getattr__ = _moved.module_of
