"""The record that every method returns: draws in the model's own space, with their weights and their cost."""

from __future__ import annotations

import platform
import warnings
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
"""Draws of ``prior`` and ``prior_predictive``: enough for ArviZ's plots, and cheap beside a fit."""
GROUP_BYTES = 2**28
"""Bytes of a group with a value for every datum of every draw. Three such groups, and their copies, stay under 2 GB."""


@dataclass(frozen=True)
class Draws:
    """N draws of every site, and what they cost.

    Args:
        sites: ``{site: (N, *event)}`` in the model's own space; the draws of one chain lie together.
        method: the method's name.
        states: the draws in the target's unconstrained space, ``(N, D)``.
        target: the density that they were drawn from.
        log_weights: ``(N,)`` float64 in nats; None if all draws count alike.
        log_evidence: log Z in nats; None if the method has none.
        chains: number of chains.
        seconds: of wall clock, for everything that led to the draws.
        target_calls: evaluations of the log density, with or without its gradient, one a particle.
        attributes: what else the method says of its draws.
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
        """The draws as ArviZ's record (InferenceData, or DataTree from ArviZ 1.0).

        It has the groups ``posterior`` and ``sample_stats``: ``lp`` is the log density in unconstrained space, and
        ``log_weight`` is there if the draws have weights. From a model it also has ``log_likelihood``,
        ``observed_data``, ``posterior_predictive``, ``prior`` and ``prior_predictive``. The last two are left out if
        the prior is improper, a site cannot be drawn, or the model has a factor. Masked data are NaN, but
        ``log_likelihood`` leaves them out, because ``az.loo`` of a NaN is NaN.

        A group with a value for every datum holds 256 MB at most. Where all draws would take more, it has every second
        draw, or every third, and so on; a warning says so.
        """
        groups: dict[str, dict[str, Tensor]] = {"posterior": self.sites, "sample_stats": {}}
        observed: dict[str, Tensor] = {}
        if self.target is not None and self.states is not None:
            with placement(self.target.device), torch.no_grad():
                groups["sample_stats"]["lp"] = self.target.log_prob(self.states)
                if isinstance(self.target, ModelTarget):
                    groups |= self._of_the_model(self.target, self.states)
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

    def _of_the_model(self, target: ModelTarget, states: Tensor) -> dict[str, dict]:
        seed, most = int(self.attributes.get("seed", 0)), _draws_within(target)
        step = -(-len(self) // max(most, self.chains))
        rows = torch.arange(len(self), device=states.device).reshape(self.chains, -1)[:, ::step].flatten()
        if step > 1:
            warnings.warn(
                f"log_likelihood and posterior_predictive have {len(rows):,} of {len(self):,} draws, one of {step}: "
                f"{most:,} draws of these data take {GROUP_BYTES / 1e6:.0f} MB; for all groups of one length write "
                f"to_arviz of {len(rows):,} draws",
                stacklevel=3,
            )
            states = states[rows]
        latent, simulated = prior_predictive(target, min(PRIOR_DRAWS, most), seed)
        kept = self.sites if step == 1 else {name: value[rows] for name, value in self.sites.items()}
        return {
            "log_likelihood": known_terms(target.pointwise_log_likelihood(states)),
            "posterior_predictive": posterior_predictive(target, dict(kept), seed),
            "prior": latent,
            "prior_predictive": simulated,
        }

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
    """The data, with NaN for those that a mask leaves out."""
    there = unmasked_elements(target, sites)
    return {
        name: value.masked_fill(~there[name], torch.nan) if value.is_floating_point() else value
        for name, value in target.observations.items()
    }


def _draws_within(target: ModelTarget) -> int:
    """How many draws of all observations take ``GROUP_BYTES``; at least one."""
    size = sum(value.numel() * value.element_size() for value in target.observations.values())
    return max(1, GROUP_BYTES // max(size, 1))


def known_terms(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Log likelihoods ``{site: (N, *batch)}`` without masked elements, which are NaN in every draw.

    A site with masked elements becomes ``(N, number of others)``. A site of nothing else is left out.

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
