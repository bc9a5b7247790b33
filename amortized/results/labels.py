"""Names of dimensions for ArviZ, from a model's plates, and the model's arguments that are no data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from amortized._types import Sites, Tensor
from amortized.results import arviz
from amortized.targets.conditional.target import GivenTarget
from amortized.targets.pyro.arguments import parts_by_name
from amortized.targets.pyro.data import same_values
from amortized.targets.pyro.dimensions import by_size, dimensions_of
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.target import PyroTarget


def labels_of(target: ModelTarget, sites: Sites, constant: Sites) -> arviz.Labels:
    """Plates as names of dimensions, with coordinates from 0; a constant has the name of the only plate of its size."""
    found = dimensions_of(target, sites)
    own = {name: by_size(value.shape, found.sizes) for name, value in constant.items() if name not in found.values}
    unnamed = {name: (None,) * (value.ndim - 1) for name, value in sites.items()}
    coords = {name: np.arange(size) for name, size in found.sizes.items()}
    return arviz.Labels({**unnamed, **found.values, **own}, found.terms, coords)


def constants(target: ModelTarget) -> Sites:
    """Tensors among the arguments of the model that no site observes, by name; ``data["x"]`` is called ``data.x``."""
    data = list(target.observations.values())
    return {
        re.sub(r"\[['\"]?(.*?)['\"]?\]", r".\1", name): value
        for name, value in _arguments(target).items()
        if isinstance(value, Tensor) and not any(same_values(value, one) for one in data)
    }


def _arguments(target: ModelTarget) -> Mapping[str, Any]:
    """The arguments of the model by name; for one of many data sets without those that differ between them."""
    if isinstance(target, PyroTarget):
        return parts_by_name(target.program.model, target.program.args, target.program.kwargs)
    if isinstance(target, GivenTarget):
        program = target.family.program
        bound, differing = program.arguments, {part.name for part in program.contexts.parts}
        found = parts_by_name(program.model, bound.args, bound.kwargs)
        return {name: value for name, value in found.items() if name.split("[")[0] not in differing}
    return {}
