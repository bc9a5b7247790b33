"""From the records of a fit to what a report tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from amortized.diagnostics.verdict import Diagnosis
from amortized.report.contents import Contents, source, surroundings
from amortized.results.draws import Draws, by_chain
from amortized.results.posterior import Posterior
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.predictive import posterior_predictive, unmasked_elements
from amortized.training.recipe import Recipe, Training

REPLICATED = 500


def gather(
    posterior: Posterior,
    draws: Draws,
    model: Callable,
    *,
    title: str | None = None,
    diagnosis: Diagnosis | None = None,
    training: Training | None = None,
    recipe: Recipe | None = None,
    baselines: Sequence[Draws] = (),
    failed: Mapping[str, str] | None = None,
    truth: float | None = None,
    code: str = "",
    command: str = "",
) -> Contents:
    """What to tell of ``draws`` of ``posterior``, given ``model``; data are replicated at 500 of the draws.

    ``diagnosis``: the posterior's, where it has been made before. ``training``: the fit's record, where it was for
    these data alone.
    """
    return Contents(
        title=title or getattr(model, "__name__", type(model).__name__),
        draws=draws,
        diagnosis=diagnosis or posterior.diagnose(),
        log_weights=posterior.weights().detach().cpu().numpy(),
        training=training,
        enough=None if recipe is None else recipe.enough,
        baselines=tuple(baselines),
        failed=dict(failed or {}),
        **replications(draws),
        truth=truth,
        deterministic=list(getattr(draws.target, "deterministic", ())),
        code=code,
        command=command,
        model=source(model),
        facts={"seed": str(draws.attributes.get("seed", "not known")), **surroundings()},
    )


def replications(draws: Draws) -> dict[str, dict[str, np.ndarray]]:
    """Observed sites and as many data sets as are replicated of them; nothing where the density is no model's.

    Data that the model masks are left out.
    """
    target = draws.target
    if not isinstance(target, ModelTarget):
        return {"observed": {}, "replicated": {}}
    thin = max(1, len(draws) // REPLICATED)
    sites = {name: value[::thin][:REPLICATED] for name, value in draws.sites.items()}
    replicated, there = posterior_predictive(target, sites, seed=0), unmasked_elements(target, sites)
    known = {name: value for name, value in target.observations.items() if name in replicated and there[name].any()}
    observed = {name: (value if there[name].all() else value[there[name]]) for name, value in known.items()}
    cut = {name: (replicated[name] if there[name].all() else replicated[name][:, there[name]]) for name in known}
    return {
        "observed": {name: value.detach().cpu().numpy() for name, value in observed.items()},
        "replicated": {name: by_chain(value)[0] for name, value in cut.items()},
    }
