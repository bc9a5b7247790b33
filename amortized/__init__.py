"""Learned diffusion samplers for Pyro models: a posterior, its log evidence, and whether to trust them."""

import importlib
from typing import TYPE_CHECKING, Any

from amortized import _moved
from amortized.storage.version import VERSION

if TYPE_CHECKING:
    from amortized.diagnostics.calibration import Calibration
    from amortized.diagnostics.verdict import Diagnosis
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
    from amortized.targets.pyro.trace import ModelError
    from amortized.targets.troubles import OutsideSupport
    from amortized.training.recipe import OffPolicy, Recipe
    from amortized.weights import Estimate

__all__ = [
    "Calibration",
    "Convolutional",
    "DBGuide",
    "DDS",
    "DDSGuide",
    "DIS",
    "DISGuide",
    "DeepSets",
    "Diagnosis",
    "DiffusionGuide",
    "Draws",
    "Estimate",
    "FLSubTBGuide",
    "GFlowNet",
    "LocalTo",
    "MixtureGuide",
    "ModelComparison",
    "ModelError",
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
__version__ = VERSION

_PUBLIC = {
    "diagnostics.calibration": "Calibration",
    "diagnostics.verdict": "Diagnosis",
    "guide.comparison": "ModelComparison compare",
    "guide.guide": "DiffusionGuide",
    "guide.named": "DBGuide DDSGuide DISGuide FLSubTBGuide MixtureGuide PISGuide SubTBGuide TBGuide VarGradGuide",
    "policies.embeddings": "Convolutional DeepSets Perceptron",
    "results.draws": "Draws",
    "results.posterior": "Posterior",
    "samplers": "DDS DIS PIS UDS GFlowNet",
    "targets.conditional.contexts": "LocalTo",
    "targets.pyro.trace": "ModelError",
    "targets.troubles": "OutsideSupport",
    "training.recipe": "OffPolicy Recipe",
    "weights": "Estimate",
}
"""Public names by the module that loads when one of them is first used; a test compares them with the imports above."""
_MODULES = {name: f"{__name__}.{module}" for module, names in _PUBLIC.items() for name in names.split()}

_moved.install()


def __getattr__(name: str) -> Any:
    """A public name, or a module of the package, old names of modules included; it loads now."""
    if name in _MODULES:
        globals()[name] = found = getattr(importlib.import_module(_MODULES[name]), name)
        return found
    return _moved.module_of(name)


def __dir__() -> list[str]:
    """The public names, and no modules."""
    return sorted([*__all__, "__version__"])
