"""The only module that knows ArviZ, 0.22 and later and 1.x; it reads arrays and knows neither torch nor Pyro."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

Groups = Mapping[str, Mapping[str, np.ndarray]]


class LeaveOneOut(NamedTuple):
    """Expected log predictive density of data left out one at a time, with its standard error, in nats.

    ``parameters``: the effective number of them; ``khat``: the largest Pareto index of a datum, sound below 0.7;
    ``each``: what every datum adds to ``value``.
    """

    value: float
    std_error: float
    parameters: float
    khat: float
    each: np.ndarray


def inference_data(groups: Groups, attributes: Mapping[str, float | int | str]) -> Any:
    """ArviZ's record (InferenceData, or DataTree from 1.0) of ``{group: {variable: (chain, draw, *event)}}``.

    Observed data have no chain and draw dimensions; empty groups are left out; ``attributes`` mark the posterior. A
    slash in a variable's name, which a DataTree and netCDF keep for folders, becomes a dot; a name that is taken then,
    or that ArviZ keeps for a dimension, ``chain`` and ``draw``, gets an underscore behind it.

    >>> data = inference_data({"posterior": {"mu": np.zeros((1, 10))}}, {"method": "example"})
    >>> data.posterior["mu"].shape, data.posterior.attrs["method"]
    ((1, 10), 'example')
    """
    arviz = importlib.import_module("arviz")
    filled = {group: _renamed(variables) for group, variables in groups.items() if variables}
    data = arviz.from_dict(filled) if is_one(arviz) else arviz.from_dict(**filled)
    data["posterior"].attrs.update(attributes)
    return data


def _renamed(variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """
    >>> list(_renamed({"a/b": np.zeros(1), "a.b": np.zeros(1), "draw": np.zeros(1)}))
    ['a.b_', 'a.b', 'draw_']
    """
    taken, names = {"chain", "draw", *(name for name in variables if "/" not in name)}, []
    for name in variables:
        new = name.replace("/", ".")
        while new in taken and (new != name or name in ("chain", "draw")):
            new += "_"
        taken.add(new)
        names.append(new)
    return dict(zip(names, variables.values(), strict=True))


def is_one(arviz: Any) -> bool:
    """Whether ArviZ is of its second generation, from 1.0."""
    return int(arviz.__version__.split(".")[0]) >= 1


def leave_one_out(log_likelihood: Mapping[str, np.ndarray]) -> LeaveOneOut:
    """Pareto-smoothed leave-one-out of all data ``{site: (chain, draw, *batch)}`` together (arXiv 1507.04544).

    The draws are taken to be independent.

    >>> found = leave_one_out({"y": np.random.default_rng(0).normal(-1.0, 0.01, (1, 500, 8))})
    >>> round(found.value, 1), found.khat < 0.7, found.each.shape
    (-8.0, True, (8,))
    """
    arviz = importlib.import_module("arviz")
    flat = [array.reshape(*array.shape[:2], -1) for array in log_likelihood.values()]
    terms = np.concatenate(flat, -1)
    posterior = {"draw_number": np.broadcast_to(np.arange(terms.shape[1], dtype=float), terms.shape[:2]).copy()}
    data = inference_data({"posterior": posterior, "log_likelihood": {"data": terms}}, {})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimated shape parameter")  # told by khat
        found = arviz.loo(data, pointwise=True, reff=1.0)
    total, effective, each = ("elpd", "p", "elpd_i") if is_one(arviz) else ("elpd_loo", "p_loo", "loo_i")
    pareto = np.asarray(found.pareto_k)
    return LeaveOneOut(
        float(getattr(found, total)),
        float(found.se),
        float(getattr(found, effective)),
        float(pareto.max()),
        np.asarray(getattr(found, each)).reshape(-1),
    )


def save(data: Any, path: str) -> None:
    """Write the record as netCDF."""
    data.to_netcdf(path)
