"""The record that every method returns: draws in the model's own space, with their weights and their cost."""

from __future__ import annotations

import math
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amortized._torch import placement
from amortized.diagnostics.finding import TONES
from amortized.diagnostics.summary import Summary
from amortized.display import html
from amortized.display.text import shapes
from amortized.results import arviz
from amortized.results.labels import constants, labels_of
from amortized.results.summaries import Origin, interval_heads, note, repeats_merged, scalar_summaries
from amortized.targets.base import Target
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.predictive import posterior_predictive, prior_predictive, unmasked_elements
from amortized.weights import Estimate

PRIOR_DRAWS = 1_000
"""Draws of ``prior`` and ``prior_predictive``: enough for ArviZ's plots, and cheap beside a fit."""
MOVED = ("mcmc", "sequential")
"""Corrections after which a path is no copy of another, although they have one ancestor: their error is not known."""
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

    def __repr__(self) -> str:
        return f"<{self.title}: {shapes(self._shapes)}; .summary() describes them>"

    @property
    def title(self) -> str:
        """Number, method, evidence and verdict in a line."""
        chains = f" in {self.chains} chains" if self.chains > 1 else ""
        evidence = "" if self.log_evidence is None else f", log evidence {self.log_evidence}"
        verdict = f", {self.attributes['verdict']}" if "verdict" in self.attributes else ""
        return f"{len(self):,} draws of {self.method}{chains}{evidence}{verdict}"

    def _repr_html_(self) -> str:
        tone = TONES.get(str(self.attributes.get("verdict")), "")
        return html.card(self.title, self.summary()._repr_html_(), tone=tone)

    @property
    def _shapes(self) -> dict[str, Sequence[int]]:
        return {name: value.shape[1:] for name, value in self.sites.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Sites as numpy arrays ``{site: (chains, draws, *event)}``, ArviZ's order."""
        return {name: by_chain(value, self.chains) for name, value in self.sites.items()}

    def summary(self, interval: str = "hdi", mass: float = 0.9) -> Summary:
        """Mean, sd, interval, Monte Carlo error, ESS and R-hat of every scalar.

        Draws with weights count by them. The error of independent paths is ``sd √Σ w²``, where all copies of one path
        count once. That of chains is ``sd / √ESS`` (arXiv 1903.08008). R-hat compares chains, or the fits of a guide
        with ``replicas``; a single fit has none.

        Args:
            interval: ``"hdi"``, the narrowest, or ``"quantiles"``, with equal tails.
            mass: Of the interval.
        """
        origin = self._origin()
        return Summary(
            rows=scalar_summaries(self.arrays(), origin, interval, mass),
            interval=interval_heads(interval, mass),
            note=note(len(self), self.chains, origin),
            deterministic=tuple(self.target.deterministic) if isinstance(self.target, ModelTarget) else (),
        )

    def _origin(self) -> Origin:
        """How the draws depend on each other."""
        if self.log_weights is not None:
            return Origin(self.log_weights.detach().cpu().double().softmax(0).numpy())
        of_paths = self.attributes.get("source") == "paths"
        compares = self.chains > 1
        if of_paths and self.attributes.get("correction") in MOVED:
            return Origin(known=False)
        if of_paths:
            states = next(iter(self.sites.values())) if self.states is None else self.states
            return Origin(repeats_merged(states.reshape(len(self), -1)), compares)
        most = math.inf if compares else float(self.attributes.get("ess", math.inf))
        return Origin(None, compares, most)

    def to_arviz(
        self,
        coords: Mapping[str, Sequence[Any]] | None = None,
        dims: Mapping[str, Sequence[str]] | None = None,
    ) -> Any:
        """The draws as ArviZ's record (InferenceData, or DataTree from ArviZ 1.0).

        It has the groups ``posterior`` and ``sample_stats``: ``lp`` is the log density in unconstrained space, and
        ``log_weight`` is there if the draws have weights. From a model it also has ``log_likelihood``,
        ``observed_data``, ``constant_data``, ``posterior_predictive``, ``prior`` and ``prior_predictive``. The last two
        are left out if the prior is improper, a site cannot be drawn, or the model has a factor. Masked data are NaN,
        but ``log_likelihood`` leaves them out, because ``az.loo`` of a NaN is NaN. Plates are dimensions.

        A group with a value for every datum holds 256 MB at most. Where all draws would take more, it has every second
        draw, or every third, and so on; a warning says so.

        Args:
            coords: ``{dimension: names of its places}``, such as ``{"schools": ["A", "B"]}``.
            dims: ``{site: names of its dimensions}``, in the place of the plates' names.

        Raises:
            ValueError: Names that fit no site or no dimension.
        """
        groups, labels = self.groups()
        return arviz.inference_data(groups, self.record(), labels.with_own(dims or {}, coords or {}))

    def groups(self) -> tuple[dict[str, dict[str, np.ndarray]], arviz.Labels]:
        """Arrays of every group of ``to_arviz``, and the names of their dimensions."""
        groups: dict[str, dict[str, Tensor]] = {"posterior": self.sites, "sample_stats": {}}
        data: dict[str, dict[str, Tensor]] = {}
        dims = {name: (None,) * (value.ndim - 1) for name, value in self.sites.items()}
        labels = arviz.Labels(dims)
        if self.target is not None and self.states is not None:
            with placement(self.target.device), torch.no_grad():
                groups["sample_stats"]["lp"] = self.target.log_prob(self.states)
                if isinstance(self.target, ModelTarget):
                    groups |= self._of_the_model(self.target, self.states)
                    constant = constants(self.target)
                    data = {"observed_data": _known_data(self.target, self.sites), "constant_data": constant}
                    labels = labels_of(self.target, self.sites, constant)
        if self.log_weights is not None:
            groups["sample_stats"]["log_weight"] = self.log_weights
        arrays = {
            group: {
                name: by_chain(value, 1 if group.startswith("prior") else self.chains) for name, value in of.items()
            }
            for group, of in groups.items()
        }
        arrays |= {
            group: {name: value.detach().cpu().numpy() for name, value in of.items()} for group, of in data.items()
        }
        return arrays, labels

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

    def record(self) -> dict[str, float | int | str]:
        """What the record of ``to_arviz`` says of the draws: method, cost, evidence, verdicts and versions."""
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


def batch_to_arviz(
    of_sets: Sequence[Draws],
    coords: Mapping[str, Sequence[Any]] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """Draws of several data sets as one record of ArviZ, with the dimension ``data_set`` behind chain and draw.

    Args:
        of_sets: Equally many draws of each.
        coords: As in ``Draws.to_arviz``.
        dims: As in ``Draws.to_arviz``.
    """
    found = [draws.groups() for draws in of_sets]
    own = found[0][1].with_own(dims or {}, {})
    groups, attributes, labels = arviz.stacked([one for one, _ in found], [one.record() for one in of_sets], own)
    return arviz.inference_data(groups, attributes, labels.with_own({}, coords or {}))


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
