"""Parallel chains of the Metropolis-adjusted Langevin algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amortized.baselines.chains import run_chains
from amortized.baselines.targets import as_target
from amortized.mcmc import mala
from amortized.results.draws import Draws
from amortized.targets.base import Target


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
    """``chains`` chains as one batch, each of ``draws`` states that lie ``thin`` moves apart.

    ``x' = x + h C ∇log R(x) + √(2h) C^½ ξ``: the warm-up adapts the step h to the acceptance, and the metric C to the
    covariance of all chains, or to its diagonal without ``full_mass``. ``attributes``: ``rhat``, ``ess``,
    ``acceptance``, ``step_size``. Raises ``ValueError`` for under four draws a chain, and where no start with a finite
    density is found. Roberts and Tweedie (1996), Bernoulli 2(4).

    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> found = run(normal, chains=8, warmup=40, draws=20)
    >>> found.sites["x"].shape, found.chains
    (torch.Size([160, 2]), 8)
    """
    return run_chains(
        "mala",
        as_target(target, args, kwargs),
        mala.step,
        target_acceptance_rate,
        chains=chains,
        warmup=warmup,
        draws=draws,
        thin=thin,
        full_mass=full_mass,
        seed=seed,
        progress=progress,
    )
