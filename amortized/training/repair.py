"""The default where weights are poor: a fine grid, and rounds of bridges that repair its draws."""

from __future__ import annotations

from amortized._torch import own_randomness
from amortized._types import Generator, Tensor
from amortized.samplers import DiffusionSampler, GFlowNet
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.training.candidates import POOR
from amortized.training.proximal import proximal_rounds
from amortized.training.record import Training

STEPS = 64
"""Of the fine grid: bridges cost the same for any number of steps."""

LEAST = 3.0
"""Seconds below which no round of bridges comes to an end."""


def needs_repair(record: Training) -> bool:
    """Whether under a fifth of the paths of the last evaluation count."""
    return record.evaluations[-1][1].ess_fraction < POOR


def fine_sampler(target: Target, seed: int) -> DiffusionSampler:
    """The untrained sampler that bridges train; the seed fixes its first weights."""
    with own_randomness(target.device, seed):
        return GFlowNet(target.dim, steps=STEPS, langevin=False).to(target.device)


def repaired(
    record: Training,
    target: WhitenedTarget,
    draws: Tensor,
    seconds: float,
    exact: bool,
    generator: Generator | None = None,
    progress: bool = False,
) -> DiffusionSampler | None:
    """A sampler that bridges repair; None where the one of the record stays better.

    Args:
        record: of the run so far; it says what came out.
        target: of D variables.
        draws: whitened draws ``(N, D)`` in random order.
        seconds: of wall clock.
        exact: whether the draws are those of chains that agree.
        generator: of all draws.
        progress: prints that it starts, and how long it may take.
    """
    before = record.evaluations[-1][1]
    if seconds < LEAST:
        return None
    if progress:
        print(f"training: rounds of bridges start, for at most {seconds:.0f} s")
    sampler = fine_sampler(target, 0 if generator is None else generator.initial_seed())
    found = proximal_rounds(sampler, target, draws, seconds, generator, exact)
    if found.evaluation.overlap <= before.overlap:
        record.outcome = f"{record.outcome}; {found.status}, which is no better"
        return None
    done = len(record.bridge_losses) + len(record.losses)
    record.evaluations += [(done + each.steps, each.evaluation) for each in found.rounds[: found.best + 1]]
    record.kept, record.sampling, record.source = None, sampler.process, "trained sampler"
    record.fresh = None
    record.outcome = found.status
    return sampler
