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
    """Latents at the values given, where any are; what was observed is drawn, or kept as it is."""

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
    """The distribution with a batch for data of this shape: it may stand once for all of them, without a plate."""
    rows = shape[: len(shape) - len(fn.event_shape)]
    alike = all(own in (1, data) for own, data in zip(reversed(fn.batch_shape), reversed(rows), strict=False))
    more = len(rows) >= len(fn.batch_shape) and rows != fn.batch_shape
    return fn.expand(rows) if alike and more else fn


def posterior_predictive(target: ModelTarget, sites: Sites, seed: int = 0) -> Sites:
    """``y ~ p(y | z)``: observed sites ``{name: (B, *shape)}`` drawn anew at latents ``{name: (B, *shape)}``.

    A summed-out discrete latent of each datum, a label, is drawn anew too. One that several data share is not known
    from draws of the others, so sites outside its plates are left out. Empty where a site's distribution cannot draw.

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
    """``z ~ p(z), y ~ p(y | z)``: latent and deterministic sites, and observed ones, each ``{name: (count, *shape)}``.

    Both are empty where a site's distribution cannot draw, or where the model has a factor, or a site that observes a
    function of the latents, which no draw obeys.
    """
    names, data = [*target.latents, *target.deterministic], target.observations

    def simulate(_: Tensor) -> tuple[Sites, Sites]:
        sampled = sample_sites(_trace(target, {}))
        if any(is_factor(site) for site in sampled.values()):
            raise NotImplementedError("a factor is no distribution")
        return tuple({name: sampled[name]["value"] for name in wanted} for wanted in (names, data))  # type: ignore[return-value]

    if set(target.observed) - set(data):
        return {}, {}
    latent, observed = _draw_each(simulate, torch.zeros(count, device=target.device), target.device, seed) or ({}, {})
    return latent, _without_padding(observed, data)


def unmasked_elements(target: ModelTarget, sites: Sites) -> Sites:
    """Which elements of every observation count, ``{name: bool (*shape)}``: all but those that the model masks.

    The mask is the one at the first of the draws ``{name: (B, *shape)}``.
    """
    sampled, data = _at_the_first(target, sites), target.observations
    marks = _without_padding({name: unmasked(sampled[name])[None] for name in data}, data)
    return {name: mark[0] for name, mark in marks.items()}


def _without_padding(values: Sites, data: Sites) -> Sites:
    """``{name: (B, rows, ...)}`` with as many rows as the data have: of a set, those behind them are padding."""
    return {name: value[:, : len(data[name])] if data[name].ndim else value for name, value in values.items()}


def _predictable(target: ModelTarget, given: Sites) -> list[str]:
    """Observed sites whose every datum has summed-out latents of its own."""
    if not target.discrete:
        return list(target.observations)
    sampled = _at_the_first(target, given)
    plates = {name: {frame.name for frame in site["cond_indep_stack"]} for name, site in sampled.items()}
    shared = [plates[name] for name in target.discrete if name in plates]
    return [name for name in target.observations if all(plates[name] <= around for around in shared)]


def _at_the_first(target: ModelTarget, sites: Sites) -> dict[str, Message]:
    with undisturbed(target.device), torch.no_grad(), placement(target.device):
        return sample_sites(_trace(target, {name: sites[name][0] for name in target.latents}, keep=True))


def _trace(target: ModelTarget, given: Sites, keep: bool = False) -> poutine.Trace:
    with _Redrawing(target, given, keep):
        return poutine.trace(target.run).get_trace()


def _draw_each(function: Callable[[Any], Any], inputs: Any, device: torch.device, seed: int) -> Any:
    """Draws for every element of the inputs; None where a distribution has no method to draw."""
    with undisturbed(device), torch.no_grad(), placement(device):
        torch.manual_seed(seed)
        try:
            return drawn_together(function, inputs)
        except NotImplementedError:
            return None
