"""From the records of a fit to what a report shows of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from amortized.diagnostics.verdict import Diagnosis
from amortized.report.contents import Contents, source, surroundings
from amortized.results.draws import Draws, by_chain
from amortized.results.posterior import Posterior
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.predictive import posterior_predictive, unmasked_elements
from amortized.training.recipe import Recipe

REPLICATED = 500
"""Data sets of the predictive check: they give 5 and 95 % quantiles to a tenth of a standard deviation."""


def contents_of(posterior: Posterior, draws: Draws, model: Callable, diagnosis: Diagnosis | None = None) -> Contents:
    """What a report shows of ``draws`` of ``posterior``; ``dataclasses.replace`` adds the rest, such as baselines.

    Args:
        posterior: whose draws they are.
        draws: of the posterior.
        model: the Pyro model, whose name is the title and whose source is shown.
        diagnosis: the posterior's, if it was made before.
    """
    observed, replicated = replications(draws)
    return Contents(
        title=getattr(model, "__name__", type(model).__name__),
        draws=draws,
        diagnosis=diagnosis or posterior.diagnose(),
        log_weights=posterior.weights().detach().cpu().numpy(),
        observed=observed,
        replicated=replicated,
        deterministic=list(getattr(draws.target, "deterministic", ())),
        model=source(model),
        environment={"seed": str(draws.attributes.get("seed", "not known")), **surroundings()},
    )


def gather(
    posterior: Posterior,
    draws: Draws,
    model: Callable,
    *,
    diagnosis: Diagnosis | None = None,
    recipe: Recipe | None = None,
    **changes: Any,
) -> Contents:
    """Deprecated: ``dataclasses.replace(contents_of(posterior, draws, model), ...)``."""
    warnings.warn("report.gather is now replace(report.contents_of(...), ...)", DeprecationWarning, stacklevel=2)
    given = {name: value for name, value in changes.items() if value is not None}
    enough = None if recipe is None else recipe.enough
    return replace(contents_of(posterior, draws, model, diagnosis), enough=enough, **given)


def replications(draws: Draws) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Observed and replicated data by site, without masked data; both empty if the density is not a model's."""
    target = draws.target
    if not isinstance(target, ModelTarget):
        return {}, {}
    thin = max(1, len(draws) // REPLICATED)
    sites = {name: value[::thin][:REPLICATED] for name, value in draws.sites.items()}
    replicated, there = posterior_predictive(target, sites, seed=0), unmasked_elements(target, sites)
    known = {name: value for name, value in target.observations.items() if name in replicated and there[name].any()}
    observed = {name: (value if there[name].all() else value[there[name]]) for name, value in known.items()}
    unmasked = {name: (replicated[name] if there[name].all() else replicated[name][:, there[name]]) for name in known}
    return (
        {name: value.detach().cpu().numpy() for name, value in observed.items()},
        {name: by_chain(value)[0] for name, value in unmasked.items()},
    )
