"""The only module that knows ArviZ, 0.22 and later and 1.x; it reads arrays and knows neither torch nor Pyro."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

Groups = Mapping[str, Mapping[str, np.ndarray]]


def inference_data(groups: Groups, attributes: Mapping[str, float | int | str]) -> Any:
    """ArviZ's record (InferenceData, or DataTree from 1.0) of ``{group: {variable: (chain, draw, *event)}}``.

    Observed data have no chain and draw dimensions; empty groups are left out; ``attributes`` mark the posterior.

    >>> data = inference_data({"posterior": {"mu": np.zeros((1, 10))}}, {"method": "example"})
    >>> data.posterior["mu"].shape, data.posterior.attrs["method"]
    ((1, 10), 'example')
    """
    arviz = importlib.import_module("arviz")
    filled = {group: dict(variables) for group, variables in groups.items() if variables}
    if int(arviz.__version__.split(".")[0]) >= 1:
        data = arviz.from_dict(filled)
    else:
        data = arviz.from_dict(**filled)
    data["posterior"].attrs.update(attributes)
    return data


def summary(data: Any) -> Any:
    """ArviZ's summary table of the posterior, a pandas frame with one row for each scalar."""
    return importlib.import_module("arviz").summary(data)
