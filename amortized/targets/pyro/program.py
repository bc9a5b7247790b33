"""A Pyro model as pure functions of one particle: its density, its sites, and the inverse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyro.poutine as poutine
import torch

from amortized._torch import placement
from amortized._types import Sites, Tensor
from amortized.targets.pyro.enumeration import Enumerator
from amortized.targets.pyro.inverting import Inverting
from amortized.targets.pyro.missing import SECOND
from amortized.targets.pyro.stopping import Complete, Stopping
from amortized.targets.pyro.structure import Structure
from amortized.targets.pyro.trace import LatentMessenger, Message, Placing, unmasked


class Program:
    """A model with its arguments. Each method is a function of one particle ``x: (D,)``; ``Batching`` batches it."""

    def __init__(self, model: Callable, args: Sequence, kwargs: Mapping[str, Any], structure: Structure):
        self.model = model
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.structure = structure
        self.enumerator = Enumerator(structure.plate_depth) if structure.discrete else None

    def _trace(self, messenger: LatentMessenger) -> poutine.Trace:
        model = self.enumerator.wrap(self.model) if self.enumerator else self.model
        with messenger, placement(self.structure.device):
            return poutine.trace(model).get_trace(*self.args, **self.kwargs)

    def _place(self, x: Tensor) -> Placing:
        return self.placing(self.structure.pieces(x))

    def placing(self, pieces: Sites) -> Placing:
        """The latents of one particle at the coordinates ``{latent: (size,)}``."""
        return Placing(self.structure.parameters, self.structure.latents, pieces)

    def log_prob(self, x: Tensor) -> Tensor:
        """``log p(latents, data) + Σ log |det d value / d x|`` at ``x: (D,)``, a scalar in nats."""
        return self._log_prob(self._place(x))

    def log_prob_of_pieces(self, pieces: Sites) -> Tensor:
        """``log_prob`` at the coordinates ``{latent: (size,)}``."""
        return self._log_prob(self.placing(pieces))

    def _log_prob(self, placing: Placing) -> Tensor:
        trace = self._trace(placing)
        placing.standardize(trace)
        log_joint = self.enumerator.log_prob(trace) if self.enumerator else trace.log_prob_sum()
        for log_det in placing.log_dets.values():
            log_joint = log_joint + log_det
        return torch.as_tensor(log_joint, dtype=self.structure.dtype, device=self.structure.device)

    def sites(self, x: Tensor) -> Sites:
        """Values of the latent and deterministic sites, without those that depend on a summed-out latent."""
        if not self.structure.deterministic and self.enumerator is None:
            return self._latents(x)
        placing = self._place(x)
        trace = self._trace(placing)
        values: Sites = dict(placing.values)
        for name, shape in self.structure.deterministic.items():
            # Pyro repeats a partly observed site for each state of a discrete latent; its unobserved half stands once
            half, site = name + SECOND, Message(trace.nodes[name])
            value = placing.values[half] if half in placing.values else site["value"]
            if value.shape == shape:
                values[name] = value
        return values

    def _latents(self, x: Tensor) -> Sites:
        """Values of the latent sites. The model runs to the last of them, which spares what a simulator does then."""
        placing = Stopping(self.structure.parameters, self.structure.latents, self.structure.pieces(x))
        with suppress(Complete):
            self._trace(placing)
        return dict(placing.values)

    def unpack(self, x: Tensor) -> tuple[Sites, Sites]:
        """Values of the latent sites, and ``log |det d value / dx|`` of each."""
        placing = self._place(x)
        self._trace(placing)
        return placing.values, placing.log_dets

    def unconstrain(self, values: Sites) -> Tensor:
        """The ``x: (D,)`` at which the latent sites have these values."""
        inverting = Inverting(self.structure.parameters, values, self.structure.latents)
        self._trace(inverting)
        return torch.cat([latent.gather(inverting.found[name]) for name, latent in self.structure.latents.items()])

    def terms(self, x: Tensor) -> Sites:
        """The log probability of every sample site, summed over its plates."""
        placing = self._place(x)
        trace = self._trace(placing)
        placing.standardize(trace)
        trace.compute_log_prob()
        return {name: site["log_prob_sum"] for name, site in trace.nodes.items() if "log_prob_sum" in site}

    def guilty(self, x: Tensor) -> list[str]:
        """Names of the sample sites whose log probability, or its gradient, is not finite at ``x: (D,)``."""
        x = x.detach().requires_grad_()
        found = []
        for name, term in self.terms(x).items():
            parts = [term.detach()]
            if term.requires_grad:
                parts.extend(torch.autograd.grad(term, x, retain_graph=True, materialize_grads=True))
            if not all(part.isfinite().all() for part in parts):
                found.append(name)
        return found

    def pointwise(self, x: Tensor) -> Sites:
        """``ModelTarget.pointwise_log_likelihood`` of one particle."""
        trace = self._trace(self._place(x))
        shapes = self.structure.observed
        trace.compute_log_prob(lambda name, site: name in shapes)
        sites = {name: Message(trace.nodes[name]) for name in shapes}
        return {
            name: torch.where(_counted(site), site["log_prob"], torch.nan)
            for name, site in sites.items()
            if site["log_prob"].shape == shapes[name]
        }


def _counted(site: Message) -> Tensor:
    """Which elements of an observed site's batch have at least one entry that no mask leaves out."""
    entries = unmasked(site)
    batch_shape = entries.shape[: entries.ndim - site["fn"].event_dim]
    return entries.reshape(*batch_shape, -1).any(-1).expand(site["log_prob"].shape)
