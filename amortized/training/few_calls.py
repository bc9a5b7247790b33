"""Where few calls of the density fit into the time: the untrained sampler on its finest grid, weighed once."""

from __future__ import annotations

from dataclasses import replace

from amortized._types import Generator
from amortized.policies.uncontrolled import Uncontrolled
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.cost import timed
from amortized.training.candidates import Candidate
from amortized.training.evaluation import evaluation_of, resized, reverse_log_weights
from amortized.training.recipe import Recipe
from amortized.training.record import FreshPaths, Material, Training

PATHS, LEAST = 2_000, 500
"""Paths that are weighed: an effective share of a half is then known to .02. And the fewest where time is short."""

SHARE, ALWAYS = 0.5, 1.0
"""Part of the time that they may take; draws and checks come after them. And seconds that they may take in any case: a
warm-up that overran leaves no time, but 2,000 paths of a cheap density take a tenth of a second."""


def weighed_once(
    sampler: DiffusionSampler,
    material: Material,
    recipe: Recipe,
    seconds: float,
    seconds_a_call: float,
    generator: Generator | None = None,
) -> Training:
    """The record of a run that trains nothing; its paths are the fresh ones of the verdict too.

    A path of an untrained sampler costs one call on any grid, so the finest one is taken at once. As no choice is made
    among several samplers, the weights that judge this one have no bias of selection and need no second batch.

    Args:
        sampler: whose process is taken.
        material: what judges it.
        recipe: names the grids, and the effective share that is even.
        seconds: of wall clock that are left.
        seconds_a_call: what a particle's density takes.
        generator: of all draws.
    """
    target, process = material.judged, sampler.process
    assert isinstance(target, WhitenedTarget)
    grid = resized(process, max(recipe.refinements))
    policy = Uncontrolled(target.dim).to(target.device)
    untrained = DiffusionSampler(grid, policy)
    count = max(LEAST, min(PATHS, int(max(SHARE * seconds, ALWAYS) / seconds_a_call)))
    (ends, log_weights), took = timed(lambda: untrained.sample(target, count, generator))
    backward = reverse_log_weights(grid, policy, target, material.held_out, generator)
    found = Candidate(untrained, evaluation_of(log_weights, backward))
    fresh = FreshPaths(ends, log_weights, took / count)
    if found.is_even(recipe.even):
        return replace(found.record("training would bring little"), fresh=fresh)
    why = f"no time to train at {1e3 * seconds_a_call:.2g} ms a call"
    return replace(found.record(why), fresh=fresh, cut_short=f"the training: {why}")
