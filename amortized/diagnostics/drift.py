"""Whether short chains started from weighted draws stay where they are, as chains started from the target do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import hmc
from amortized.targets.base import Target
from amortized.weights import effective_sample_size

CHAINS, MOVES, LEAPFROGS = 1_000, 8, 5
THROWAWAY, TUNING = 200, 20
CALLS = CHAINS * (1 + MOVES * LEAPFROGS) + THROWAWAY * (1 + TUNING * LEAPFROGS)
LEVEL = 1e-3
FEWEST = 50
CLIPPED = 4.0


@dataclass(frozen=True)
class Drift:
    """The largest of ``tests`` standardized drifts: ``z``, of the function ``name``.

    ``allowed``: the z that the largest one exceeds with probability .001 where nothing drifts (Bonferroni).
    """

    z: float
    name: str
    tests: int

    @property
    def allowed(self) -> float:
        return math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - LEVEL / self.tests, dtype=torch.float64)))

    @property
    def stays(self) -> bool:
        """Whether nothing drifts more than chance explains."""
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
    """How ``E_w[f(x_n) − f(x_0)]``, 0 under a right sampler, compares with its error, for the worst of 2 D + 1 f.

    Chains of 8 HMC moves start from draws ``ends: (N, D)``, 1,000 of them, with their log weights ``(N,)``; another
    200 choose the step size and are thrown away. f is each of the ``coordinates``, standardized, its square, and the
    log density, all clipped at 4 deviations so that their means have errors. None where under 50 draws count. About
    61,000 target calls. A chain does not leave a far mode: that one was lost cannot be seen here.

    >>> from amortized.targets.callable import DensityTarget
    >>> target, generator = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2), torch.Generator().manual_seed(0)
    >>> narrow = 0.6 * torch.randn(2_000, 2, generator=generator)
    >>> drift(target, narrow, torch.zeros(2_000), generator).stays
    False
    """
    usable = log_weights > -torch.inf
    ends, log_weights = ends[usable], log_weights[usable].double()
    rest, chains = ends[:THROWAWAY], ends[THROWAWAY:][:CHAINS]
    log_weights = log_weights[THROWAWAY:][:CHAINS]
    if len(chains) < FEWEST or float(effective_sample_size(log_weights)) < FEWEST:
        return None
    density = target.log_prob_and_score
    identity = torch.ones_like(chains[0])
    first = torch.tensor(0.3, dtype=chains.dtype, device=chains.device)
    state = hmc.init(density, rest)
    _, step_size, _ = hmc.run(density, state, TUNING, first, identity, LEAPFROGS, generator)
    before = state = hmc.init(density, chains)
    for _ in range(MOVES):
        jitter = torch.rand(len(chains), generator=generator, dtype=chains.dtype, device=chains.device)
        state, _ = hmc.step(density, state, step_size * (0.4 + 0.8 * jitter), identity, LEAPFROGS, generator)
    weights = log_weights.softmax(0)
    start, stop = coordinates(before.x).double(), coordinates(state.x).double()
    labels = [*(names or [f"x[{i}]" for i in range(start.shape[1])]), "the log density"]
    start = torch.cat([start, before.log_prob[:, None].double()], 1)
    stop = torch.cat([stop, state.log_prob[:, None].double()], 1)
    centre, scale = _moments(start, weights)
    start, stop = ((x - centre).div(scale).clamp(-CLIPPED, CLIPPED) for x in (start, stop))
    changes = torch.cat([stop - start, stop[:, :-1].square() - start[:, :-1].square()], 1)
    labels += [f"{label}²" for label in labels[:-1]]
    z = _standardized(changes, weights)
    worst = int(z.abs().argmax())
    return Drift(float(z[worst]), labels[worst], len(labels))


def _moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation of every column."""
    mean = weights @ x
    return mean, (weights @ (x - mean).square()).sqrt().clamp(min=1e-12)


def _standardized(changes: Tensor, weights: Tensor) -> Tensor:
    """``Σ w d / √(Σ w² (d − Σ w d)²)`` of every column of d ``(N, F)``, weights summing to one: the delta method."""
    mean = weights @ changes
    error = (weights.square() @ (changes - mean).square()).sqrt()
    return mean / error.clamp(min=1e-12)
