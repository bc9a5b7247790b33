"""Comparison of several models of the same data: log evidences, Bayes factors and leave-one-out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from amortized._torch import placement
from amortized.diagnostics.comparison import aligned
from amortized.diagnostics.verdict import UNTRUSTED
from amortized.display import html
from amortized.display.text import cut
from amortized.guide.guide import DiffusionGuide
from amortized.results.arviz import LeaveOneOut, leave_one_out
from amortized.results.draws import Draws, by_chain, known_terms
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.predictive import prior_predictive, unmasked_elements
from amortized.weights import Estimate, systematic

Sizes = list[tuple[str, int]]
"""Observed sites with the number of their data."""
HEAD = ["", "log evidence", "log Bayes factor", "probability", "LOO", "difference", "largest k-hat", "verdict"]
"""Of the table."""
HEAVY = 0.7
"""Largest k-hat of a datum at which its leave-one-out term is sound (arXiv 1507.04544)."""


@dataclass(frozen=True)
class Compared:
    """One of the compared models; all figures in nats.

    Args:
        name: As the user called it.
        log_evidence: log Z.
        log_bayes_factor: ``log Z − log Z_best``, at most 0.
        probability: Of the model given the data, if all models were equally likely before.
        leave_one_out: None where a datum has no likelihood of its own.
        loo_difference: To the best of that column; None also where the best has another number of data.
        verdict: Of the guide; "" for draws of other methods.
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
    """Models in the order of their log evidences, the highest first; prints as a table."""

    models: tuple[Compared, ...]

    def __str__(self) -> str:
        return aligned([HEAD, *self.table()]) + (f"\n{self._unsound}" if self._unsound else "")

    def __repr__(self) -> str:
        return cut(str(self))

    def _repr_html_(self) -> str:
        return html.table(HEAD, self.table(), words=(0, 7)) + html.paragraph(self._unsound)

    def table(self) -> list[list[str]]:
        """One row a model, as printed."""
        rows = []
        for one in self.models:
            loo = one.leave_one_out
            cells = ["", "", ""]
            if loo is not None:
                cells = [f"{loo.value:.2f}", str(one.loo_difference or "other data"), f"{loo.khat:.2f}"]
            evidence = [str(one.log_evidence), str(one.log_bayes_factor), f"{one.probability:.3f}"]
            rows.append([one.name, *evidence, *cells, one.verdict])
        return rows

    @property
    def _unsound(self) -> str:
        loos = {one.name: one.leave_one_out for one in self.models if one.leave_one_out is not None}
        unsound = [name for name, loo in loos.items() if not loo.khat < HEAVY]
        note = f"leave-one-out of {', '.join(unsound)} is unsound: k-hat above {HEAVY}, a datum too far from the others"
        return note if unsound else ""

    def __getitem__(self, name: str) -> Compared:
        return next(one for one in self.models if one.name == name)


def compare(models: Mapping[str, DiffusionGuide | Draws]) -> ModelComparison:
    """Compare several models of the same data.

    ``log BF = log Z_a − log Z_b``, with the error of independent estimates. Leave-one-out is by Pareto-smoothed
    importance sampling (arXiv 1507.04544). Its differences are paired datum by datum, if two models have the same data
    sites. Warns of a guide that is not to be trusted, and of an improper prior or a factor, which put a constant into
    the log evidence.

    Args:
        models: Fitted guides, or draws with a log evidence, by name.

    Raises:
        TypeError: No dictionary.
        ValueError: Fewer than two models, draws without a log evidence, or models of different data.

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
    if not isinstance(models, Mapping):
        raise TypeError(f"compare got a {type(models).__name__}: write compare({{'one': guide_1, 'other': guide_2}})")
    if len(models) < 2:
        raise ValueError(f"{len(models)} model: compare two or more, compare({{'one': guide_1, 'other': guide_2}})")
    draws = {name: _draws(name, one) for name, one in models.items()}
    _check_same_data(draws)
    evidences = {name: _evidence(name, one) for name, one in draws.items()}
    loos = {name: _leave_one_out(name, one) for name, one in draws.items()}
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
    if model.options.amortize is not None:
        raise ValueError(f"{name!r} is a guide for many data sets: write compare({{{name!r}: guide.draws(y=y), ...}})")
    return model.draws()


def _evidence(name: str, draws: Draws) -> Estimate:
    if draws.log_evidence is None:
        raise ValueError(
            f"{name!r}: draws of {draws.method} have no log evidence; write DiffusionGuide(model).fit(data), or smc.run"
        )
    if draws.attributes.get("evidence_verdict", draws.attributes.get("verdict")) == UNTRUSTED:
        warnings.warn(f"{name!r}: its log evidence is not to be trusted: read guide.diagnose()", stacklevel=3)
    if isinstance(draws.target, ModelTarget) and prior_predictive(draws.target, 1) == ({}, {}):
        warnings.warn(
            f"{name!r} has an improper prior, a factor, or a prior that cannot be drawn: its log evidence holds an "
            "arbitrary constant unless that density is normalized; trust the leave-one-out column",
            stacklevel=3,
        )
    return draws.log_evidence


def _check_same_data(draws: Mapping[str, Draws]) -> None:
    """Sites of one name hold the same numbers in the same order; sites of other names hold the same numbers."""
    found = {name: _data(one) for name, one in draws.items() if isinstance(one.target, ModelTarget)}
    (first, ours), *others = found.items() if found else [("", {})]
    for name, theirs in others:
        shared = set(ours) == set(theirs)
        pairs = [(ours[site], theirs[site]) for site in ours] if shared else [(_sorted(ours), _sorted(theirs))]
        if not all(len(one) == len(other) and np.allclose(one, other) for one, other in pairs):
            raise ValueError(
                f"{first!r} observes {_counts(ours)} and {name!r} {_counts(theirs)}, or other values of them: "
                "evidences compare models of the same data; fit both to the same, and write a constraint of one of "
                "them as pyro.factor instead of obs="
            )


def _data(draws: Draws) -> dict[str, np.ndarray]:
    """The numbers of every observed site that no mask leaves out, flat."""
    assert isinstance(draws.target, ModelTarget)
    there = unmasked_elements(draws.target, draws.sites)
    values = draws.target.observations
    return {name: value[there[name]].reshape(-1).cpu().double().numpy() for name, value in values.items()}


def _sorted(data: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.sort(np.concatenate([*data.values(), np.empty(0)]))


def _counts(data: Mapping[str, np.ndarray]) -> str:
    return ", ".join(f"{len(values)} values at {name!r}" for name, values in data.items()) or "nothing"


def _leave_one_out(name: str, draws: Draws) -> tuple[LeaveOneOut, Sizes] | None:
    """Leave-one-out; None, with a warning, where a summed-out latent leaves a datum no likelihood of its own."""
    if not isinstance(draws.target, ModelTarget) or draws.states is None:
        return None
    states, chains = draws.states, draws.chains
    if draws.log_weights is not None:
        generator = torch.Generator(states.device).manual_seed(0)
        states, chains = states[systematic(draws.log_weights, len(states), generator)], 1
    with placement(draws.target.device):
        terms = draws.target.pointwise_log_likelihood(states)
    data = draws.target.observations
    if missing := [site for site in data if site not in terms]:
        warnings.warn(
            f"{name!r}: no leave-one-out, site {missing[0]!r} has no likelihood of each datum, only that of all after "
            "a discrete latent is summed out; write the sum as a mixture, dist.MixtureSameFamily, to have one",
            stacklevel=3,
        )
        return None
    known = known_terms({site: terms[site].reshape(len(states), -1) for site in sorted(data)})
    arrays = {site: by_chain(term, chains) for site, term in known.items()}
    return (leave_one_out(arrays), [(site, array.shape[-1]) for site, array in arrays.items()]) if arrays else None


def _difference(one: Estimate, other: Estimate, same: bool) -> Estimate:
    return Estimate(one.value - other.value, 0.0 if same else math.hypot(one.std_error, other.std_error))


def _paired(name: str, loos: Mapping[str, tuple[LeaveOneOut, Sizes] | None]) -> Estimate | None:
    """``Σ (elpd_i − elpd_i of the best)``, its error that of paired differences if sites match.

    None if the numbers of data differ.
    """
    there = {other: loo for other, loo in loos.items() if loo is not None}
    if name not in there:
        return None
    (one, sites), (best, its_sites) = there[name], max(there.values(), key=lambda loo: loo[0].value)
    if len(one.each) != len(best.each):
        return None
    if sites != its_sites:
        return Estimate(one.value - best.value, math.hypot(one.std_error, best.std_error))
    differences = one.each - best.each
    return Estimate(float(differences.sum()), float(math.sqrt(len(differences)) * differences.std()))
