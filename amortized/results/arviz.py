"""The only module that knows ArviZ (0.22 and later, and 1.x); it reads arrays and knows neither torch nor Pyro."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

Groups = Mapping[str, Mapping[str, np.ndarray]]


class LeaveOneOut(NamedTuple):
    """The expected log predictive density of data that are left out one at a time, in nats.

    Args:
        value: the sum over the data.
        std_error: its standard error.
        parameters: the effective number of parameters.
        khat: the largest Pareto tail index of a datum; it should be under 0.7.
        each: what every datum adds to ``value``, ``(number of data,)``.
    """

    value: float
    std_error: float
    parameters: float
    khat: float
    each: np.ndarray


def inference_data(groups: Groups, attributes: Mapping[str, float | int | str]) -> Any:
    """ArviZ's record of arrays: InferenceData, or DataTree from ArviZ 1.0.

    A slash in a variable's name becomes a dot, because DataTree and netCDF use slashes for folders. A name that is then
    taken, or that ArviZ uses for a dimension (``chain``, ``draw``), gets an underscore at its end.

    Args:
        groups: ``{group: {variable: (chain, draw, *event)}}``; ``observed_data`` has no chains and draws. Empty groups
            are left out.
        attributes: of the posterior.

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
    """Whether ArviZ is 1.0 or later, which has another interface."""
    return int(arviz.__version__.split(".")[0]) >= 1


def leave_one_out(log_likelihood: Mapping[str, np.ndarray]) -> LeaveOneOut:
    """Pareto-smoothed leave-one-out of all data together (Vehtari, Gelman and Gabry, arXiv 1507.04544).

    Args:
        log_likelihood: ``{site: (chain, draw, *batch)}``; the draws should be independent.

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
        warnings.filterwarnings("ignore", "Estimated shape parameter")  # khat is returned
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
