"""What a model predicts: its observed sites drawn anew, at draws of the latents or from the prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine

from amortized._types import Sites, Tensor
from amortized.targets.batching import drawn_together
from amortized.targets.model_target import ModelTarget
from amortized.targets.tracing import LatentMessenger, Message, is_factor, sample_sites, undisturbed


class _Drawing(LatentMessenger):
    """Latents at the values given, where any are; what was observed is drawn."""

    def __init__(self, target: ModelTarget, given: Sites):
        super().__init__(target.parameters)
        self.given = given
        self.observed = set(target.observations)

    def _pyro_sample(self, message: Message) -> None:
        name = message["name"]
        if name in self.given:
            message["value"], message["is_observed"] = self.given[name], True
        elif name in self.observed:
            message["value"], message["is_observed"] = None, False


def posterior_predictive(target: ModelTarget, sites: Sites, seed: int = 0) -> Sites:
    """``y ~ p(y | z)``: observed sites ``{name: (B, *shape)}`` drawn anew at latents ``{name: (B, *shape)}``.

    Summed-out discrete latents are drawn anew too. Empty where a site's distribution cannot draw.

    >>> import pyro, pyro.distributions as dist
    >>> from amortized.targets.pyro_model import PyroTarget
    >>> def model(y):
    ...     mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
    >>> target = PyroTarget(model, (torch.tensor(1.0),))
    >>> round(float(posterior_predictive(target, {"mean": torch.full((10_000,), 5.0)})["y"].mean()), 1)
    5.0
    """
    names = list(target.observations)

    def replicate(given: Sites) -> Sites:
        sampled = sample_sites(_trace(target, given))
        return {name: sampled[name]["value"] for name in names}

    given = {name: sites[name] for name in target.latents}
    return (_drawn(replicate, given, target.device, seed) or {}) if names else {}


def prior(target: ModelTarget, count: int, seed: int = 0) -> tuple[Sites, Sites]:
    """``z ~ p(z), y ~ p(y | z)``: latent and deterministic sites, and observed ones, each ``{name: (count, *shape)}``.

    Both are empty where a site's distribution cannot draw, or where the model has a factor, which no draw obeys.
    """
    names = [*target.latents, *target.deterministic]

    def simulate(_: Tensor) -> tuple[Sites, Sites]:
        sampled = sample_sites(_trace(target, {}))
        if any(is_factor(site) for site in sampled.values()):
            raise NotImplementedError("a factor is no distribution")
        return tuple({name: sampled[name]["value"] for name in wanted} for wanted in (names, target.observations))  # type: ignore[return-value]

    return _drawn(simulate, torch.zeros(count, device=target.device), target.device, seed) or ({}, {})


def _trace(target: ModelTarget, given: Sites) -> poutine.Trace:
    with _Drawing(target, given):
        return poutine.trace(target.run).get_trace()


def _drawn(function: Callable[[Any], Any], inputs: Any, device: torch.device, seed: int) -> Any:
    """Draws for every element of the inputs; None where a distribution has no method to draw."""
    with undisturbed(device), torch.no_grad():
        torch.manual_seed(seed)
        try:
            return drawn_together(function, inputs)
        except NotImplementedError:
            return None
