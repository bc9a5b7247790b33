"""Does training pay? Untrained samplers on finer and finer grids, weighed on fresh paths.

An untrained sampler draws its reference: the mixture, the product or the Gaussian of the warm-up. On a fine grid its
weights are those of importance sampling from the reference. Where these are even, training adds nothing but time.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from amortized._types import Generator, Tensor
from amortized.policies.base import Policy
from amortized.policies.uncontrolled import Uncontrolled
from amortized.processes.base import Process
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.product_reference import ProductReference
from amortized.samplers import DiffusionSampler
from amortized.targets.base import Target
from amortized.targets.cost import timed
from amortized.training.evaluation import Evaluation, evaluate, resized
from amortized.training.record import Training

PATHS = 2_000
"""Fresh paths that weigh a candidate: an effective share of a half is then known to .02."""

OVERLAP = 0.7
"""Least overlap of an even candidate. Backward paths from held-out draws are in it: they see a missing mode."""

POOR = 0.2
"""Effective share of paths under which VarGrad has too few good ones to learn from (docs/results/repair.md)."""

GOOD = 0.8
"""Effective share from which no finer grid is tried. 25 Gaussians: .55 on 16 steps, by weights that cannot be trusted,
and .77 on 32, which can (docs/results/effort.md)."""

WORTH = 0.02
"""Overlap by which training or a finer grid must win, twice the noise of an evaluation; else the faster one stays."""


@dataclass(frozen=True)
class Candidate:
    """An untrained sampler, and how even its weights are.

    Args:
        sampler: the reference process, without a network.
        evaluation: on fresh paths.
    """

    sampler: DiffusionSampler
    evaluation: Evaluation

    def is_even(self, least: float) -> bool:
        """Whether the effective share is ``least``, and the overlap 0.2 more, or 0.7 if that is less."""
        return self.evaluation.ess_fraction >= least and self.evaluation.overlap >= min(OVERLAP, least + 0.2)

    @property
    def source(self) -> str:
        """What it draws."""
        reference = getattr(self.sampler.process, "reference", None)
        return {MixtureReference: "mixture", ProductReference: "product"}.get(type(reference), "Gaussian")

    def record(self, why: str) -> Training:
        """The record of a run that trained nothing."""
        found, steps = self.evaluation, self.sampler.process.steps
        text = f"{found.ess_fraction:.0%} of the untrained {self.source}'s paths on {steps} steps are effective: {why}"
        judged = [(0, found)]
        return Training(self.sampler.process, evaluations=judged, kept=self.sampler, source=self.source, outcome=text)


def candidate(
    process: Process,
    target: Target,
    held_out: tuple[Tensor, Tensor],
    factors: tuple[float, ...],
    least: float,
    generator: Generator | None = None,
    seconds: float = math.inf,
) -> Candidate:
    """The untrained sampler on the coarsest grid whose overlap is within 0.02 of the best.

    Finer grids are tried until the effective share is 80 %, or ``least`` if that is more.

    Args:
        process: the reference process on the coarsest grid.
        target: of D variables.
        held_out: draws ``(N, D)`` that judge, and their log R.
        factors: times the steps of ``process``.
        least: effective share that counts as even.
        generator: of all draws.
        seconds: of wall clock; a finer grid that would pass them, by the pace of the one before, is not tried.
    """
    policy = Uncontrolled(target.dim).to(target.device)
    tried: list[Candidate] = []
    began, pace = time.perf_counter(), 0.0
    for factor in sorted(factors):
        if time.perf_counter() - began + pace * factor > seconds:
            break
        grid = resized(process, factor)
        evaluation, took = timed(lambda grid=grid: evaluate(grid, policy, target, held_out, PATHS, generator))
        pace = took / factor
        tried.append(Candidate(DiffusionSampler(grid, policy), evaluation))
        if tried[-1].is_even(max(least, GOOD)):
            break
    best = max(each.evaluation.overlap for each in tried)
    return next(each for each in tried if each.evaluation.overlap >= best - WORTH)


def better(
    record: Training,
    policy: Policy,
    untrained: Candidate,
    target: Target,
    held_out: tuple[Tensor, Tensor],
    generator: Generator | None,
) -> Training:
    """The record of the trained sampler, or of the untrained one if fresh paths show that training won nothing."""
    trained = evaluate(record.sampling, policy, target, held_out, PATHS, generator)
    was, found = f"{untrained.evaluation.ess_fraction:.0%}", f"{trained.ess_fraction:.0%}"
    if trained.overlap > untrained.evaluation.overlap + WORTH:
        return replace(record, outcome=f"training took the effective share from {was} to {found}")
    text = f"training left the effective share at {found} of {was}: the untrained {untrained.source} is kept"
    kept = {"sampling": untrained.sampler.process, "kept": untrained.sampler, "source": untrained.source}
    return replace(record, outcome=text, **kept)
