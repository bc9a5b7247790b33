"""The record that every method hands back: draws in the model's own space, beside their weights."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amortized._torch import placement
from amortized.results import arviz
from amortized.targets.base import Target
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.predictive import posterior_predictive, prior_predictive, unmasked_elements
from amortized.weights import Estimate

PRIOR_DRAWS = 1_000


@dataclass(frozen=True)
class Draws:
    """N draws of every site, with what it cost to get them.

    ``sites``: site name to ``(N, *event)``, constrained. Draws of several chains lie one chain after the other.
    ``target``: the density that they are of, and ``states``: where they lie in its unconstrained space, ``(N, D)``.
    ``log_weights``: ``(N,)`` float64 in nats, or ``None`` where all draws count alike.
    ``target_calls``: evaluations of the log density, with or without its gradient, one per particle.
    """

    sites: dict[str, Tensor]
    method: str
    states: Tensor | None = None
    target: Target | None = None
    log_weights: Tensor | None = None
    log_evidence: Estimate | None = None
    chains: int = 1
    seconds: float = 0.0
    target_calls: int = 0
    attributes: dict[str, float | int | str] = field(default_factory=dict)

    def __len__(self) -> int:
        return next(iter(self.sites.values())).shape[0]

    def arrays(self) -> dict[str, np.ndarray]:
        """Sites as numpy arrays ``{site: (chains, draws, *event)}``, ArviZ's order."""
        return {name: by_chain(value, self.chains) for name, value in self.sites.items()}

    def to_arviz(self) -> Any:
        """ArviZ's record, InferenceData or DataTree: the draws, what the model predicts from them, and how they came.

        ``posterior``; ``sample_stats``: ``lp``, the log density in unconstrained space, and ``log_weight`` where draws
        have weights; and from a model: ``log_likelihood`` and ``observed_data``, ``posterior_predictive``, ``prior``
        and ``prior_predictive`` (not where the prior is improper, a site cannot draw, or there is a factor). Data that
        the model masks are NaN, and ``log_likelihood`` leaves them out: ``az.loo`` of a NaN is NaN.
        """
        groups: dict[str, dict[str, Tensor]] = {"posterior": self.sites, "sample_stats": {}}
        observed: dict[str, Tensor] = {}
        if self.target is not None and self.states is not None:
            with placement(self.target.device), torch.no_grad():
                groups["sample_stats"]["lp"] = self.target.log_prob(self.states)
                if isinstance(self.target, ModelTarget):
                    groups |= _of_the_model(self.target, self.states, self.sites, int(self.attributes.get("seed", 0)))
                    observed = _known_data(self.target, self.sites)
        if self.log_weights is not None:
            groups["sample_stats"]["log_weight"] = self.log_weights
        arrays = {
            group: {
                name: by_chain(value, 1 if group.startswith("prior") else self.chains) for name, value in of.items()
            }
            for group, of in groups.items()
        }
        arrays["observed_data"] = {name: value.detach().cpu().numpy() for name, value in observed.items()}
        return arviz.inference_data(arrays, self._record())

    def _record(self) -> dict[str, float | int | str]:
        known: dict[str, float | int | str] = {
            "method": self.method,
            "seconds": self.seconds,
            "target_calls": self.target_calls,
            **self.attributes,
            "inference_library": "amortized",
            "inference_library_version": version("amortized"),
            "torch_version": version("torch"),
            "pyro_version": version("pyro-ppl"),
            "python_version": platform.python_version(),
        }
        if self.log_evidence is not None:
            known |= {
                "log_evidence": self.log_evidence.value,
                "log_evidence_std_error": self.log_evidence.std_error,
            }
        return known


def _known_data(target: ModelTarget, sites: dict[str, Tensor]) -> dict[str, Tensor]:
    """The data; NaN where a mask leaves a number out."""
    there = unmasked_elements(target, sites)
    return {
        name: value.masked_fill(~there[name], torch.nan) if value.is_floating_point() else value
        for name, value in target.observations.items()
    }


def _of_the_model(target: ModelTarget, states: Tensor, sites: Mapping[str, Tensor], seed: int) -> dict[str, dict]:
    latent, simulated = prior_predictive(target, PRIOR_DRAWS, seed)
    return {
        "log_likelihood": known_terms(target.pointwise_log_likelihood(states)),
        "posterior_predictive": posterior_predictive(target, dict(sites), seed),
        "prior": latent,
        "prior_predictive": simulated,
    }


def known_terms(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Log likelihoods ``{site: (N, *batch)}`` without the elements that are NaN in every draw, since masked.

    ``(N, known)`` at a site that has such elements; a site of nothing else is left out.

    >>> known_terms({"y": torch.tensor([[0.5, torch.nan], [0.2, torch.nan]])})["y"].shape
    torch.Size([2, 1])
    """
    known = {name: ~term.isnan().all(0) for name, term in terms.items()}
    return {
        name: term if known[name].all() else term[:, known[name]] for name, term in terms.items() if known[name].any()
    }


def by_chain(value: Tensor, chains: int = 1) -> np.ndarray:
    """``(N, *event)`` to a numpy array ``(chains, N / chains, *event)``.

    >>> by_chain(torch.zeros(6, 2), chains=3).shape
    (3, 2, 2)
    """
    array = value.detach().cpu().numpy()
    return array.reshape(chains, -1, *array.shape[1:])
