"""What is seen at the ends of a sampler's fresh paths: chains that drift, points without a density, rounding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch.distributions.constraints import Constraint

from amortized._types import Generator
from amortized.diagnostics.drift import CALLS, Drift, drift
from amortized.diagnostics.mode_search import ModeSearch, Unbounded
from amortized.targets.affine import WhitenedTarget
from amortized.targets.cost import seconds_a_particle
from amortized.targets.pyro.checks.precision import POINTS, rounding_rms
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import LatentSite
from amortized.targets.transformed import origin, to_origin
from amortized.training.record import FreshPaths
from amortized.weights import Estimate, systematic

EVALUATED = 1_000
"""Ends at which density and gradient are evaluated: the limit, a share of 0.5 %, is five of them."""
EVALUATING = 0.1
"""Part of the seconds of a check that these ends may take."""
LEAST_COST = 1e-9
"""Least cost of a density in seconds, where the clock is too coarse to see any."""


@dataclass(frozen=True)
class Look:
    """What was seen at the ends of the fresh paths.

    Args:
        drift: Whether chains drift away from there, or a word on why nobody looked.
        rounding: Rounding of the log density in nats, or a word; None for a density without a model.
        troubled: Share of the ends at which the density or its gradient is not finite.
    """

    drift: Drift | str
    rounding: float | str | None
    troubled: float


@dataclass(frozen=True)
class Searches:
    """What the two independent searches found, or a word on why they did not run."""

    elsewhere: ModeSearch | Unbounded | str
    beyond: Estimate | str


def look(white: WhitenedTarget, fresh: FreshPaths, seconds: float, seed: int) -> Look:
    """Look at the ends of the fresh paths.

    Args:
        white: The whitened density.
        fresh: The paths.
        seconds: What chains may take before they are left out; the density is evaluated for a tenth of it.
        seed: One that no fit has used: looking changes no draw.
    """

    def generator() -> Generator:
        return torch.Generator(white.device).manual_seed(seed)

    cost = seconds_a_particle(white, fresh.ends)
    found = _drift(white, fresh, seconds, CALLS * cost, generator())
    ends, before = fresh.ends[: min(EVALUATED, 1 + int(EVALUATING * seconds / max(cost, LEAST_COST)))], white.nonfinite
    white.log_prob_and_score(ends)
    troubled = (white.nonfinite - before) / len(ends)
    nats = None
    if isinstance(model := origin(white), PyroTarget):
        chosen = fresh.ends[systematic(fresh.log_weights, POINTS, generator())]
        nats = rounding_rms(model, to_origin(white, chosen)[0])
    return Look(found, nats, troubled)


def _drift(
    white: WhitenedTarget, fresh: FreshPaths, seconds: float, needed: float, generator: Generator
) -> Drift | str:
    """Chains from the ends of the fresh paths; a word where the ``needed`` seconds are more than there are."""
    if needed > seconds:
        return f"not looked at: it would take {needed:.0f} s"
    coordinates = names(cast(ModelTarget, origin(white)).latents)
    found = drift(white, fresh.ends, fresh.log_weights, generator, lambda u: to_origin(white, u)[0], coordinates)
    return found or "not looked at: too few draws count"


def names(latents: Mapping[str, LatentSite]) -> list[str]:
    """A name for every coordinate of the unconstrained space, in order."""
    return [
        site if latent.size == 1 else f"{site}[{index}]"
        for site, latent in latents.items()
        for index in range(latent.size)
    ]


def scales(latents: Mapping[str, LatentSite]) -> tuple[str, ...]:
    """Those of ``names`` whose sites are positive numbers."""
    positive = {name: site for name, site in latents.items() if is_positive(site.support)}
    return tuple(names(positive))


def is_positive(support: Constraint) -> bool:
    """Whether a site's values are positive numbers, not bounded by 1 as probabilities are."""
    support = getattr(support, "base_constraint", support)
    lower, upper = getattr(support, "lower_bound", math.nan), getattr(support, "upper_bound", math.inf)
    return bool((torch.as_tensor(lower) == 0).all()) and not bool((torch.as_tensor(upper) == 1).all())
