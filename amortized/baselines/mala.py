"""Parallel chains of the Metropolis-adjusted Langevin algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amortized.baselines.chains import ChainOptions, sample_chains
from amortized.baselines.record import Run
from amortized.baselines.renamed import renamed_arguments
from amortized.mcmc import mala
from amortized.results.draws import Draws
from amortized.targets.base import Target


@renamed_arguments(target_acceptance="target_acceptance_rate")
def run(
    target: Target | Callable,
    args: Sequence = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    chains: int = 64,
    warmup: int = 1_000,
    draws: int = 250,
    thin: int = 8,
    full_mass: bool = True,
    target_acceptance_rate: float = 0.574,
    seed: int = 0,
    progress: bool = False,
) -> Draws:
    """Chains of MALA as one batch: ``x' = x + h C ∇log R(x) + √(2h) C^½ ξ``, ξ ~ N(0, I).

    Roberts and Tweedie (1996), Bernoulli 2(4).

    Args:
        target: a density, or a Pyro model, whose arguments are ``args`` and ``kwargs``.
        chains: how many.
        warmup: moves that adapt the step size h and the metric C, and are thrown away.
        draws: states of each chain.
        thin: moves from one draw to the next; 8 cost about as much as a trajectory of HMC.
        full_mass: whether C is the covariance of all chains, or its diagonal.
        target_acceptance_rate: that h is adapted to; 0.574 is best in many dimensions.
        seed: of all randomness.
        progress: whether to show a bar.

    Returns:
        Draws with ``attributes``: ``rhat``, ``ess``, ``acceptance_rate``, ``step_size``.

    Raises:
        ValueError: for fewer than four draws a chain, and where no start has a finite density.

    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> found = run(normal, chains=8, warmup=40, draws=20)
    >>> found.sites["x"].shape, found.chains
    (torch.Size([160, 2]), 8)
    """
    options = ChainOptions(target_acceptance_rate, chains, warmup, draws, thin, full_mass, seed, progress)
    return sample_chains(Run(target, args, kwargs), "mala", mala.step, options)
