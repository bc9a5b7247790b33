"""The only module that knows ArviZ (0.22 and later, and 1.x); it reads arrays and knows neither torch nor Pyro."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np

Groups = Mapping[str, Mapping[str, np.ndarray]]
Names = Sequence[str | None]
Attributes = Mapping[str, Any]

SAMPLED = ("chain", "draw")
"""The first dimensions of every group but those of data."""
DATA = ("observed_data", "constant_data")
"""Groups without chains and draws."""
DATA_SET = "data_set"
"""The dimension of several data sets."""


@dataclass(frozen=True)
class Labels:
    """Names of dimensions, behind chain and draw, and their coordinates. None: a name as ArviZ makes it.

    Args:
        dims: ``{variable: one name for each dimension}``.
        terms: The same of log likelihoods, which have no event dimensions.
        coords: ``{dimension: its coordinates}``; a dimension of another size has no such name.
    """

    dims: Mapping[str, Names] = field(default_factory=dict)
    terms: Mapping[str, Names] = field(default_factory=dict)
    coords: Mapping[str, np.ndarray] = field(default_factory=dict)

    def with_own(self, dims: Mapping[str, Sequence[str]], coords: Mapping[str, Sequence[Any]]) -> Labels:
        """The same with names that a user gave.

        Raises:
            ValueError: A variable that is not there, a wrong number of names, coordinates of no dimension, or of
                another length.
        """
        known = {**self.dims}
        for name, own in dims.items():
            if name not in known:
                raise ValueError(f"dims={{{name!r}: ...}}: no such site; write one of {', '.join(known)}")
            if isinstance(own, str) or len(own) != len(known[name]):
                count = len(known[name])
                raise ValueError(f"dims={{{name!r}: {own!r}}}: write a list of {count} names, one a dimension")
            known[name] = tuple(own)
        terms = {name: known.get(name, old)[: len(old)] for name, old in self.terms.items()}
        used = {one for names in known.values() for one in names}
        for name, values in coords.items():
            if name not in used:
                there = ", ".join(sorted(filter(None, used))) or "none"
                raise ValueError(f"coords={{{name!r}: ...}}: no such dimension (there: {there}); name it in dims=")
            if name in self.coords and len(values) != len(self.coords[name]):
                raise ValueError(f"coords[{name!r}] has {len(values)} values: write {len(self.coords[name])}")
        own = {name: np.asarray(values) for name, values in coords.items()}
        return Labels(known, terms, {**self.coords, **own})

    def of(self, group: str, name: str, shape: Sequence[int]) -> Names:
        """Names for a variable of this shape; None where a name's coordinates have another length."""
        names = (self.terms if group == "log_likelihood" else self.dims).get(name, ())
        if len(names) != len(shape):
            return [None] * len(shape)
        fits = [
            one is not None and len(self.coords.get(one, range(n))) == n for one, n in zip(names, shape, strict=True)
        ]
        return [one if fit else None for one, fit in zip(names, fits, strict=True)]


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

    def __repr__(self) -> str:
        return f"<leave-one-out {self.value:.2f} ± {self.std_error:.2f}, largest k-hat {self.khat:.2f}>"


def inference_data(groups: Groups, attributes: Attributes, labels: Labels = Labels()) -> Any:  # noqa: B008
    """ArviZ's record of arrays: InferenceData, or DataTree from ArviZ 1.0.

    A slash in a variable's name becomes a dot, because DataTree and netCDF use slashes for folders. A name that is then
    taken, or that ArviZ uses for a dimension (``chain``, ``draw``), gets an underscore at its end. So does a dimension
    with the name of a variable.

    Args:
        groups: ``{group: {variable: (chain, draw, *event)}}``; ``observed_data`` and ``constant_data`` have no chains
            and draws. Empty groups are left out.
        attributes: Of the posterior.
        labels: Names and coordinates of the other dimensions.

    >>> data = inference_data({"posterior": {"mu": np.zeros((1, 10))}}, {"method": "example"})
    >>> data.posterior["mu"].shape, data.posterior.attrs["method"]
    ((1, 10), 'example')
    """
    arviz, xarray = importlib.import_module("arviz"), importlib.import_module("xarray")
    filled = {group: variables for group, variables in groups.items() if variables}
    sites = {name.replace("/", ".") for group, variables in filled.items() if group not in DATA for name in variables}
    data = {group: _data_set(xarray, group, variables, labels, sites) for group, variables in filled.items()}
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    data["posterior"].attrs.update({"created_at": now, **attributes})
    return xarray.DataTree.from_dict(data) if is_one(arviz) else arviz.InferenceData(**data)


def _data_set(xarray: Any, group: str, variables: Mapping[str, np.ndarray], labels: Labels, sites: set[str]) -> Any:
    """One group as an xarray ``Dataset``; dimensions keep clear of the names of ``sites``."""
    sampled = () if group in DATA else SAMPLED
    found, sizes = {}, {}
    for name, new in zip(variables, _renamed(variables), strict=True):
        array = variables[name]
        event = array.shape[len(sampled) :]
        names = [
            f"{new}_dim_{place}" if own is None else _clear(own, sites)
            for place, own in enumerate(labels.of(group, name, event))
        ]
        found[new] = ((*sampled, *names), array)
        sizes.update(zip((*sampled, *names), array.shape, strict=True))
    known = {_clear(name, sites): values for name, values in labels.coords.items()}
    clash = {name: f"{name}_" for name in found if name in sizes}
    coords = {name: known.get(name, np.arange(size)) for name, size in sizes.items()}
    return xarray.Dataset({clash.get(name, name): value for name, value in found.items()}, coords)


def _clear(dimension: str, sites: set[str]) -> str:
    name = dimension.replace("/", ".")
    while name in sites or name in SAMPLED:
        name += "_"
    return name


def _renamed(variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """
    >>> list(_renamed({"a/b": np.zeros(1), "a.b": np.zeros(1), "draw": np.zeros(1)}))
    ['a.b_', 'a.b', 'draw_']
    """
    taken, names = {*SAMPLED, *(name for name in variables if "/" not in name)}, []
    for name in variables:
        new = name.replace("/", ".")
        while new in taken and (new != name or name in SAMPLED):
            new += "_"
        taken.add(new)
        names.append(new)
    return dict(zip(names, variables.values(), strict=True))


def stacked(
    groups: Sequence[Groups], attributes: Sequence[Attributes], labels: Labels
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Any], Labels]:
    """The records of several data sets as one with the dimension ``data_set``, behind chain and draw.

    A group or variable that a data set lacks is left out, and so is one whose shape differs. An attribute that differs
    becomes a list, one value a data set.
    """
    first = groups[0]
    joined = {
        group: {
            name: np.stack([one[group][name] for one in groups], 0 if group in DATA else len(SAMPLED))
            for name, array in variables.items()
            if all(group in one and name in one[group] and one[group][name].shape == array.shape for one in groups)
        }
        for group, variables in first.items()
    }
    lists = {
        name: [one[name] for one in attributes] for name in attributes[0] if all(name in one for one in attributes)
    }
    merged = {name: values[0] if all(one == values[0] for one in values) else values for name, values in lists.items()}
    unnamed = {
        name: (None,) * (array.ndim - 1 - (0 if group in DATA else len(SAMPLED)))
        for group, variables in joined.items()
        for name, array in variables.items()
    }
    dims = {name: (DATA_SET, *names) for name, names in {**unnamed, **labels.dims}.items()}
    terms = {name: (DATA_SET, *names) for name, names in labels.terms.items()}
    return joined, merged, Labels(dims, terms, {**labels.coords, DATA_SET: np.arange(len(groups))})


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
