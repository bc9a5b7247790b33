"""What a model predicts: its observed sites drawn anew, at draws of the latents or from the prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine

from amortized._torch import placement
from amortized._types import Sites, Tensor
from amortized.targets.pyro.batching import drawn_together
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.trace import LatentMessenger, Message, is_factor, sample_sites, undisturbed, unmasked


class _Redrawing(LatentMessenger):
    """Fixes latents at given values; draws observed sites anew unless ``keep``."""

    def __init__(self, target: ModelTarget, given: Sites, keep: bool):
        super().__init__(target.parameters)
        self.given = given
        self.observed = {} if keep else {name: value.shape for name, value in target.observations.items()}

    def _pyro_sample(self, message: Message) -> None:
        name = message["name"]
        if name in self.given:
            message["value"], message["is_observed"] = self.given[name], True
        elif name in self.observed:
            message["fn"] = _as_many(message["fn"], self.observed[name])
            message["value"], message["is_observed"] = None, False


def _as_many(fn: Any, shape: torch.Size) -> Any:
    """The distribution expanded to data of this shape: without a plate it may stand once for all of them."""
    batch = shape[: len(shape) - len(fn.event_shape)]
    broadcasts = all(own in (1, data) for own, data in zip(reversed(fn.batch_shape), reversed(batch), strict=False))
    is_larger = len(batch) >= len(fn.batch_shape) and batch != fn.batch_shape
    return fn.expand(batch) if broadcasts and is_larger else fn


def posterior_predictive(target: ModelTarget, sites: Sites, seed: int = 0) -> Sites:
    """``y ~ p(y | z)``: observed sites drawn anew at draws of the latents.

    A summed-out discrete latent of each datum, such as a label, is drawn from its prior. If several data share one, the
    other latents do not tell its value, and observed sites outside its plates are left out.

    Args:
        target: The density with the model behind it.
        sites: Draws of the latents, ``{name: (B, *shape)}``.
        seed: Of the draws.

    Returns:
        ``{observed site: (B, *shape)}``; empty if a distribution of the model has no method to draw.

    >>> import pyro, pyro.distributions as dist
    >>> from amortized.targets.pyro.target import PyroTarget
    >>> def model(y):
    ...     mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
    >>> target = PyroTarget(model, (torch.tensor(1.0),))
    >>> round(float(posterior_predictive(target, {"mean": torch.full((10_000,), 5.0)})["y"].mean()), 1)
    5.0
    """
    given = {name: sites[name] for name in target.latents}
    names = _predictable(target, given)

    def replicate(given: Sites) -> Sites:
        sampled = sample_sites(_trace(target, given))
        return {name: sampled[name]["value"] for name in names}

    drawn = (_draw_each(replicate, given, target.device, seed) or {}) if names else {}
    return _without_padding(drawn, target.observations)


def prior_predictive(target: ModelTarget, count: int, seed: int = 0) -> tuple[Sites, Sites]:
    """``z ~ p(z), y ~ p(y | z)``: draws of the whole model.

    Args:
        target: The density with the model behind it.
        count: How many draws.
        seed: Of the draws.

    Returns:
        Latent and deterministic sites, and observed sites, each ``{name: (count, *shape)}``. Both are empty if a
        distribution cannot draw. They are empty too for a model with a factor, or with a site that observes a
        function of the latents: no draw obeys these.
    """
    names, data = [*target.latents, *target.deterministic], target.observations

    def simulate(_: Tensor) -> tuple[Sites, Sites]:
        sampled = sample_sites(_trace(target, {}))
        if any(is_factor(site) for site in sampled.values()):
            raise NotImplementedError("a factor cannot be drawn")
        return tuple({name: sampled[name]["value"] for name in wanted} for wanted in (names, data))  # type: ignore[return-value]

    if set(target.observed) - set(data):
        return {}, {}
    latent, observed = _draw_each(simulate, torch.zeros(count, device=target.device), target.device, seed) or ({}, {})
    return latent, _without_padding(observed, data)


def unmasked_elements(target: ModelTarget, sites: Sites) -> Sites:
    """Which elements of every observation the model does not mask, ``{name: bool (*shape)}``.

    The mask is that at the first of the draws ``sites: {name: (B, *shape)}``.
    """
    sampled, data = at_the_first(target, sites), target.observations
    marks = _without_padding({name: unmasked(sampled[name])[None] for name in data}, data)
    return {name: mark[0] for name, mark in marks.items()}


def _without_padding(values: Sites, data: Sites) -> Sites:
    """``{name: (B, rows, ...)}`` with as many rows as the data have: a data set may have padding behind them."""
    return {name: value[:, : len(data[name])] if data[name].ndim else value for name, value in values.items()}


def _predictable(target: ModelTarget, given: Sites) -> list[str]:
    """Observed sites inside the plates of every summed-out latent."""
    if not target.discrete:
        return list(target.observations)
    sampled = at_the_first(target, given)
    plates = {name: {frame.name for frame in site["cond_indep_stack"]} for name, site in sampled.items()}
    shared = [plates[name] for name in target.discrete if name in plates]
    return [name for name in target.observations if all(plates[name] <= around for around in shared)]


def at_the_first(target: ModelTarget, sites: Sites) -> dict[str, Message]:
    """The sample statements of a run at the first of the draws ``sites: {name: (B, *shape)}``, by name."""
    with undisturbed(target.device), torch.no_grad(), placement(target.device):
        return sample_sites(_trace(target, {name: sites[name][0] for name in target.latents}, keep=True))


def _trace(target: ModelTarget, given: Sites, keep: bool = False) -> poutine.Trace:
    with _Redrawing(target, given, keep):
        return poutine.trace(target.run).get_trace()


def _draw_each(function: Callable[[Any], Any], inputs: Any, device: torch.device, seed: int) -> Any:
    """Draws of ``function`` for every element of the inputs; None if a distribution has no method to draw."""
    with undisturbed(device), torch.no_grad(), placement(device):
        torch.manual_seed(seed)
        try:
            return drawn_together(function, inputs)
        except NotImplementedError:
            return None
