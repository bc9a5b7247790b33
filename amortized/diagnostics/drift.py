"""Whether short chains that start from weighted draws stay there, as chains that start from the target do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import hmc
from amortized.mcmc.state import State
from amortized.targets.base import Target
from amortized.weights import effective_sample_size

CHAINS, MOVES, NUM_STEPS = 1_000, 8, 5
"""Of the chains that are compared: a thousand see a shift of a tenth of a std at three standard errors."""

TUNING_CHAINS, TUNING_MOVES = 200, 20
"""Other chains choose the step size and are not compared: a step size that knew the draws would bias the test."""

CALLS = CHAINS * (1 + MOVES * NUM_STEPS) + TUNING_CHAINS * (1 + TUNING_MOVES * NUM_STEPS)
"""Density calls of both, 61,200."""

LEVEL = 1e-3
"""Probability of an alarm at a right sampler, over all tests together (measured: docs/diagnosis.md)."""

FEWEST = 50
"""Effective draws below which the z of a weighted mean is not normal enough to judge."""

CLIP = 4.0
"""Standard deviations at which values are clipped, so that their means have finite errors in heavy tails."""


@dataclass(frozen=True)
class Drift:
    """The largest of several standardized drifts.

    Args:
        z: the drift over its standard error.
        name: the function whose mean drifts most.
        tests: how many means were compared.
    """

    z: float
    name: str
    tests: int

    @property
    def allowed(self) -> float:
        """The |z| that the largest of the tests exceeds with probability 0.001 if nothing drifts (Bonferroni)."""
        return math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - LEVEL / self.tests, dtype=torch.float64)))

    @property
    def stays(self) -> bool:
        """Whether no drift is larger than chance explains."""
        return not abs(self.z) > self.allowed

    def __str__(self) -> str:
        return (
            f"z {self.z:+.1f} at most, of {self.name}; by chance under {self.allowed:.1f} ({self.tests} means compared)"
        )


@torch.no_grad()
def drift(
    target: Target,
    ends: Tensor,
    log_weights: Tensor,
    generator: Generator | None,
    coordinates: Callable[[Tensor], Tensor] = lambda x: x,
    names: Sequence[str] = (),
) -> Drift | None:
    """The largest ``z = E_w[f(x_n) − f(x_0)] / std error`` over 2 D + 1 functions f; small if the draws are right.

    1,000 chains of 8 HMC moves start from the draws with their weights. f is each coordinate, its square, and the log
    density. A chain does not leave a mode, so this test cannot see that a far mode was missed.

    Args:
        target: the density.
        ends: draws ``(N, D)``.
        log_weights: their log weights ``(N,)`` in nats.
        generator: the source of randomness.
        coordinates: the functions to compare, ``(B, D) -> (B, D)``; by default the target's own coordinates.
        names: the coordinates' names.

    Returns:
        The worst drift; None if under 50 draws are effective. It takes about 61,000 density calls.

    >>> from amortized.targets.callable import DensityTarget
    >>> target, generator = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2), torch.Generator().manual_seed(0)
    >>> narrow = 0.6 * torch.randn(2_000, 2, generator=generator)
    >>> drift(target, narrow, torch.zeros(2_000), generator).stays
    False
    """
    usable = log_weights > -torch.inf
    ends, log_weights = ends[usable], log_weights[usable].double()
    tuning, chains = ends[:TUNING_CHAINS], ends[TUNING_CHAINS:][:CHAINS]
    log_weights = log_weights[TUNING_CHAINS:][:CHAINS]
    if len(chains) < FEWEST or float(effective_sample_size(log_weights)) < FEWEST:
        return None
    before, after = _moved(target, tuning, chains, generator)
    weights = log_weights.softmax(0)
    start, stop = coordinates(before.x).double(), coordinates(after.x).double()
    labels = [*(names or [f"x[{i}]" for i in range(start.shape[1])]), "the log density"]
    start = torch.cat([start, before.log_prob[:, None].double()], 1)
    stop = torch.cat([stop, after.log_prob[:, None].double()], 1)
    centre, scale = _moments(start, weights)
    start, stop = ((x - centre).div(scale).clamp(-CLIP, CLIP) for x in (start, stop))
    changes = torch.cat([stop - start, stop[:, :-1].square() - start[:, :-1].square()], 1)
    labels += [f"{label}²" for label in labels[:-1]]
    z = _standardized(changes, weights)
    worst = int(z.abs().argmax())
    return Drift(float(z[worst]), labels[worst], len(labels))


def _moved(target: Target, tuning: Tensor, chains: Tensor, generator: Generator | None) -> tuple[State, State]:
    """The chains before and after their moves, with a step size that the tuning chains choose."""
    density, identity = target.log_prob_and_score, torch.ones_like(chains[0])
    first = torch.tensor(0.3, dtype=chains.dtype, device=chains.device)
    state = hmc.init(density, tuning)
    _, step_size, _ = hmc.run(density, state, TUNING_MOVES, first, identity, NUM_STEPS, generator)
    before = state = hmc.init(density, chains)
    for _ in range(MOVES):
        # trajectories of one length can come back to where they started; random lengths cannot
        jitter = torch.rand(len(chains), generator=generator, dtype=chains.dtype, device=chains.device)
        state, _ = hmc.step(density, state, step_size * (0.4 + 0.8 * jitter), identity, NUM_STEPS, generator)
    return before, state


def _moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and std of every column."""
    mean = weights @ x
    return mean, (weights @ (x - mean).square()).sqrt().clamp(min=1e-12)


def _standardized(changes: Tensor, weights: Tensor) -> Tensor:
    """``Σ w d / √(Σ w² (d − Σ w d)²)`` of every column of d ``(N, F)``, by the delta method; the weights sum to one."""
    mean = weights @ changes
    error = (weights.square() @ (changes - mean).square()).sqrt()
    return mean / error.clamp(min=1e-12)
