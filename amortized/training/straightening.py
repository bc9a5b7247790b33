"""The default where weights are uneven: coordinates in which bends and funnels are straight."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from amortized._types import Generator, Tensor
from amortized.samplers import DiffusionSampler
from amortized.targets.base import Target
from amortized.targets.transformed import from_origin, to_origin
from amortized.training.candidates import PATHS, WORTH, Candidate, candidate
from amortized.training.evaluation import Evaluation, evaluate
from amortized.training.preparation import Prepared, warm_up_checked
from amortized.training.recipe import Recipe
from amortized.warmup import WarmUp
from amortized.warmup.straighten import straightened

CHAINS, WARM_UP = 0.5, 0.8
"""Parts of the time for the chains that find the map, and of the rest for the warm-up in its coordinates."""
LEAST = 3.0
"""Seconds below which chains, a warm-up and fresh paths do not come to an end."""
MOST_DIMENSIONS = 20
"""Below it: the map of 42 dimensions takes 8 s and brought a horseshoe nothing, and chains come first from here on."""


def in_straight_coordinates(
    made: Prepared,
    untrained: Candidate,
    prepared: Callable[[Target, WarmUp], Prepared],
    recipe: Recipe,
    seconds: float,
    generator: Generator,
    progress: bool = False,
) -> tuple[Prepared, Candidate, str]:
    """The better preparation and its untrained sampler, of the given one and one in coordinates that straighten bends.

    The sentence that comes with them is empty where no other coordinates were tried.

    Both untrained samplers are weighed on fresh paths, and on backward paths from the held-out draws of both
    preparations. So each one is asked for the mass that only the other has found.

    Args:
        made: in the first coordinates.
        untrained: the sampler there.
        prepared: whitens a target by its warm-up, and builds a sampler.
        recipe: of the training.
        seconds: of wall clock.
        generator: of all draws.
        progress: prints that it starts, and how long it may take.
    """
    began, target = time.perf_counter(), made.white.target
    if target.dim >= MOST_DIMENSIONS or seconds < LEAST:
        return made, untrained, ""
    if progress:
        print(f"training: straight coordinates are tried, for at most {seconds:.0f} s")
    found = straightened(target, made.warm.draws, CHAINS * seconds, generator)
    if found is None:
        return made, untrained, ""
    left = max(1.0, seconds - (time.perf_counter() - began))
    straight = prepared(found.target, warm_up_checked(found.target, generator, WARM_UP * left))
    held_out = straight.ends[: recipe.held_out], straight.log_ends[: recipe.held_out]
    factors, process = recipe.refinements, straight.sampler.process
    again = candidate(process, straight.white, held_out, factors, recipe.even, generator)
    there, here = _both(made, straight, recipe.held_out)
    before = _weighed(untrained.sampler, made.white, there, generator)
    after = _weighed(again.sampler, straight.white, here, generator)
    text = f"straightened coordinates took the overlap from {before.overlap:.2f} to {after.overlap:.2f}"
    if after.overlap <= before.overlap + WORTH:
        return made, untrained, f"{text} and were left"
    return straight, replace(again, evaluation=after), text


def _both(made: Prepared, straight: Prepared, count: int) -> tuple[Tensor, Tensor]:
    """The held-out draws of both preparations, in the white coordinates of each."""
    old, new = made.ends[:count], straight.ends[:count]
    there = from_origin(made.white, to_origin(straight.white, new)[0])
    here = from_origin(straight.white, to_origin(made.white, old)[0])
    return torch.cat([old, there]), torch.cat([here, new])


def _weighed(sampler: DiffusionSampler, white: Target, draws: Tensor, generator: Generator) -> Evaluation:
    """The evaluation on fresh paths, and on backward paths from draws ``(N, D)``."""
    held_out = draws, white.log_prob(draws).double()
    return evaluate(sampler.process, sampler.policy, white, held_out, PATHS, generator)
