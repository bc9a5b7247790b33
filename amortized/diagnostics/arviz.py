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


def save(data: Any, path: str) -> None:
    """Write the record as netCDF; a slash in a site's name, which the format keeps for folders, becomes a dot."""

    def dotted(dataset: Any) -> Any:
        names = {str(name) for name in (*dataset.variables, *dataset.dims)}
        return dataset.rename({name: name.replace("/", ".") for name in names if "/" in name})

    renamed = data.map_over_datasets(dotted) if hasattr(data, "map_over_datasets") else data.map(dotted)
    renamed.to_netcdf(path)
