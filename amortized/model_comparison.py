"""Which of several models of the same data: log evidences, Bayes factors, and leave-one-out beside them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from amortized.diagnostics.arviz import LeaveOneOut, leave_one_out
from amortized.diagnostics.comparison import aligned
from amortized.diagnostics.verdict import UNTRUSTED
from amortized.estimate import Estimate
from amortized.guide import DiffusionGuide
from amortized.mcmc.resampling import systematic
from amortized.posterior_draws import Draws, by_chain
from amortized.targets.devices import placement
from amortized.targets.model_target import ModelTarget
from amortized.targets.predictive import prior

NUM_SAMPLES = 4_000

Sizes = list[tuple[str, int]]
"""Observed sites with the number of their data."""


@dataclass(frozen=True)
class Compared:
    """One model: its log evidence in nats, and how far that and its leave-one-out score are below the best model's.

    ``log_bayes_factor``: ``log Z − log Z_best`` ≤ 0; ``probability``: of the model given the data, were all equally
    likely before. ``leave_one_out`` and ``loo_difference``, the paired difference to the best of that column, are None
    where the model has no pointwise likelihood. ``verdict``: of the guide, or "" for other draws.
    """

    name: str
    log_evidence: Estimate
    log_bayes_factor: Estimate
    probability: float
    leave_one_out: LeaveOneOut | None
    loo_difference: Estimate | None
    verdict: str


@dataclass(frozen=True)
class ModelComparison:
    """Models from the highest log evidence down; prints as a table."""

    models: tuple[Compared, ...]

    def __str__(self) -> str:
        head = ["", "log evidence", "log Bayes factor", "probability", "LOO", "difference", "largest k-hat", "verdict"]
        rows = [head]
        for one in self.models:
            loo = one.leave_one_out
            scores = ["", "", ""] if loo is None else [f"{loo.value:.2f}", str(one.loo_difference), f"{loo.khat:.2f}"]
            rows.append(
                [
                    one.name,
                    str(one.log_evidence),
                    str(one.log_bayes_factor),
                    f"{one.probability:.3f}",
                    *scores,
                    one.verdict,
                ]
            )
        return aligned(rows)

    def __getitem__(self, name: str) -> Compared:
        return next(one for one in self.models if one.name == name)


def compare(models: Mapping[str, DiffusionGuide | Draws]) -> ModelComparison:
    """Compare fitted guides, or draws with a log evidence, of several models of the same data, by name.

    ``log BF = log Z_a − log Z_b``, its error that of independent estimates. Leave-one-out by Pareto-smoothed importance
    sampling (arXiv 1507.04544), differences paired datum by datum where two models have the same data sites.
    Raises ``ValueError`` for under two models, draws without a log evidence, and models of different data; warns where
    a guide is not to be trusted, and where an improper prior or a factor puts a constant into the log evidence.

    >>> import pyro, pyro.distributions as dist
    >>> def make(scale):
    ...     def model(y):
    ...         mean = pyro.sample("mean", dist.Normal(0.0, scale))
    ...         with pyro.plate("rows", 2):
    ...             pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
    ...     return DiffusionGuide(model, max_seconds=2, progress=False).fit(torch.tensor([0.1, -0.2]))
    >>> found = compare({"narrow": make(0.5), "wide": make(100.0)})
    >>> [one.name for one in found.models], round(found["wide"].log_bayes_factor.value)
    (['narrow', 'wide'], -5)
    """
    if len(models) < 2:
        raise ValueError(f"{len(models)} model: compare two or more, compare({{'one': guide_1, 'other': guide_2}})")
    draws = {name: _draws(name, one) for name, one in models.items()}
    _check_same_data(draws)
    evidences = {name: _evidence(name, one) for name, one in draws.items()}
    loos = {name: _leave_one_out(one) for name, one in draws.items()}
    best = max(evidences, key=lambda name: evidences[name].value)
    total = torch.tensor([estimate.value for estimate in evidences.values()], dtype=torch.float64)
    shares = dict(zip(evidences, total.softmax(0).tolist(), strict=True))
    rows = [
        Compared(
            name=name,
            log_evidence=evidence,
            log_bayes_factor=_difference(evidence, evidences[best], name == best),
            probability=shares[name],
            leave_one_out=None if (loo := loos[name]) is None else loo[0],
            loo_difference=_paired(name, loos),
            verdict=str(draws[name].attributes.get("verdict", "")),
        )
        for name, evidence in evidences.items()
    ]
    return ModelComparison(tuple(sorted(rows, key=lambda row: -row.log_evidence.value)))


def _draws(name: str, model: DiffusionGuide | Draws) -> Draws:
    if isinstance(model, Draws):
        return model
    if model.settings.amortize is not None:
        raise ValueError(
            f"{name!r} is a guide for many data sets: write compare({{{name!r}: guide.at(y).record(4_000), ...}})"
        )
    return model.at().record(NUM_SAMPLES)


def _evidence(name: str, draws: Draws) -> Estimate:
    if draws.log_evidence is None:
        raise ValueError(
            f"{name!r}: draws of {draws.method} have no log evidence; write DiffusionGuide(model).fit(data), or smc.run"
        )
    if draws.attributes.get("verdict") == UNTRUSTED:
        warnings.warn(f"{name!r} is not to be trusted, nor is its log evidence: read guide.diagnose()", stacklevel=3)
    if isinstance(draws.target, ModelTarget) and prior(draws.target, 1) == ({}, {}):
        warnings.warn(
            f"{name!r} has an improper prior, a factor, or a prior that cannot be drawn: its log evidence holds an "
            "arbitrary constant unless that density is normalized; trust the leave-one-out column",
            stacklevel=3,
        )
    return draws.log_evidence


def _check_same_data(draws: Mapping[str, Draws]) -> None:
    """Sites may have other names and shapes in other models, but the numbers are the same."""
    found = {name: _all_data(one.target) for name, one in draws.items() if isinstance(one.target, ModelTarget)}
    names = list(found)
    for name in names[1:]:
        one, other = found[names[0]], found[name]
        if len(one) != len(other) or not np.allclose(one, other, equal_nan=True):
            raise ValueError(
                f"{names[0]!r} has {len(one)} observed values and {name!r} {len(other)}, or others: evidences compare "
                "models of the same data; fit both to the same"
            )


def _all_data(target: ModelTarget) -> np.ndarray:
    values = [value.detach().cpu().double().numpy().reshape(-1) for value in target.observations.values()]
    return np.sort(np.concatenate(values)) if values else np.empty(0)


def _leave_one_out(draws: Draws) -> tuple[LeaveOneOut, Sizes] | None:
    if not isinstance(draws.target, ModelTarget) or draws.states is None:
        return None
    states, chains = draws.states, draws.chains
    if draws.log_weights is not None:
        generator = torch.Generator(states.device).manual_seed(0)
        states, chains = states[systematic(draws.log_weights, len(states), generator)], 1
    with placement(draws.target.device):
        terms = draws.target.pointwise_log_likelihood(states)
    arrays = {name: by_chain(terms[name], chains) for name in sorted(terms)}
    return (leave_one_out(arrays), [(name, array[0, 0].size) for name, array in arrays.items()]) if arrays else None


def _difference(one: Estimate, other: Estimate, same: bool) -> Estimate:
    return Estimate(one.value - other.value, 0.0 if same else math.hypot(one.std_error, other.std_error))


def _paired(name: str, loos: Mapping[str, tuple[LeaveOneOut, Sizes] | None]) -> Estimate | None:
    """``Σ (elpd_i − elpd_i of the best)`` with the error of paired differences; unpaired where sites do not match."""
    there = {other: loo for other, loo in loos.items() if loo is not None}
    if name not in there:
        return None
    (one, sites), (best, its_sites) = there[name], max(there.values(), key=lambda loo: loo[0].value)
    if sites != its_sites:
        return Estimate(one.value - best.value, math.hypot(one.std_error, best.std_error))
    differences = one.each - best.each
    return Estimate(float(differences.sum()), float(math.sqrt(len(differences)) * differences.std()))
