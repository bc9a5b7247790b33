"""Old names of modules, which still import for one release: each warns and hands out what its successor has."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "amortized.callbacks": "amortized.training.callbacks",
    "amortized.diagnostics.arviz": "amortized.results.arviz",
    "amortized.diagnostics.calibration_plots": "amortized.plots.calibration",
    "amortized.diagnostics.distances": "amortized.metrics.distances",
    "amortized.diagnostics.evaluation": "amortized.training.evaluation",
    "amortized.diagnostics.exploration": "amortized.diagnostics.mode_search",
    "amortized.diagnostics.metrics": "amortized.metrics.measure",
    "amortized.diagnostics.modes": "amortized.metrics.modes",
    "amortized.diagnostics.plots": "amortized.plots",
    "amortized.diagnostics.stein": "amortized.metrics.stein",
    "amortized.diagnostics.weights": "amortized.weights",
    "amortized.estimate": "amortized.weights",
    "amortized.fit": "amortized.training.loop",
    "amortized.guides": "amortized.guide.named",
    "amortized.mass_search": "amortized.diagnostics.mass_search",
    "amortized.mcmc.covariance": "amortized.mixtures.covariance",
    "amortized.mcmc.mixture": "amortized.mixtures.gaussian",
    "amortized.mcmc.natural_gradient": "amortized.optimise.natural_gradient",
    "amortized.mcmc.product": "amortized.mixtures.product",
    "amortized.mcmc.resampling": "amortized.weights",
    "amortized.model_comparison": "amortized.guide.comparison",
    "amortized.model_file": "amortized.files.model",
    "amortized.outputs": "amortized.files.outputs",
    "amortized.posterior": "amortized.results.posterior",
    "amortized.posterior_draws": "amortized.results.draws",
    "amortized.preparation": "amortized.training.preparation",
    "amortized.recipe": "amortized.training.recipe",
    "amortized.targets.bijections": "amortized.targets.pyro.bijections",
    "amortized.targets.contexts": "amortized.targets.conditional.contexts",
    "amortized.targets.density": "amortized.targets.callable",
    "amortized.targets.devices": "amortized._torch",
    "amortized.targets.model_target": "amortized.targets.pyro.model_target",
    "amortized.targets.pyro_model": "amortized.targets.pyro.target",
    "amortized.targets.tracing": "amortized.targets.pyro.trace",
    "amortized.targets.whitening": "amortized.targets.affine",
}


class _Successor(Loader):
    """Loads an old name as a module without content, whose attributes are those of the new module."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        new = MOVED[module.__name__]
        warnings.warn(
            f"{module.__name__} is now {new}: write import {new}; the old name goes in the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        successor = importlib.import_module(new)
        module.__dict__["__all__"] = [name for name in vars(successor) if not name.startswith("_")]
        module.__getattr__ = lambda name: getattr(successor, name)


class _OldNames(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Successor()) if fullname in MOVED else None


def module_of(name: str) -> ModuleType:
    """The module ``amortized.<name>``, new or old, for who writes it without importing it.

    Raises:
        AttributeError: There is no such module.
    """
    full = f"amortized.{name}"
    if importlib.util.find_spec(full) is None:
        raise AttributeError(f"module 'amortized' has no attribute {name!r}")
    return importlib.import_module(full)


def install() -> None:
    """Makes the old names importable; a second call does nothing."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldNames())  # first: an empty folder of the old name is a package to Python
