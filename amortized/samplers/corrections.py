"""What can be done to a trained sampler's draws so that they follow the target more closely."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import mala
from amortized.mcmc.resampling import effective_sample_size, systematic, systematic_by_context
from amortized.samplers.base import DiffusionSampler
from amortized.samplers.sequential import sample_sequentially
from amortized.targets.base import Target

CORRECTIONS = ("resample", "none", "mcmc", "sequential")
MAX_POOL = 16
POLISH_STEPS = 50


@torch.no_grad()
def corrected(
    sampler: DiffusionSampler,
    target: Target,
    count: int,
    correction: str,
    log_weights: Tensor,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """``count`` ends ``(count, D)`` of every context, and their log weights where they are not of equal weight.

    ``"none"``: the sampler's own. ``"resample"``: drawn in excess, as earlier ``log_weights`` show is needed (at most
    16 times), and resampled systematically; a context at which no draw has any density keeps the sampler's own.
    ``"mcmc"``: resampled, then 50 MALA moves each. ``"sequential"``: drawn by sequential Monte Carlo along the path,
    twice as many, and resampled. Raises ``ValueError`` for any other word.
    """
    if correction not in CORRECTIONS:
        raise ValueError(f"correction={correction!r}: write one of {', '.join(map(repr, CORRECTIONS))}")
    total = count * target.contexts
    if correction == "none":
        return sampler.sample(target, total, generator)
    if correction == "sequential":
        drawn = sample_sequentially(sampler, target, 2 * count, generator=generator, runs=1)
        rows = systematic(drawn.log_weights, count, generator)
        return drawn.ends[rows[torch.randperm(count, generator=generator, device=rows.device)]], None
    by_context = log_weights.unflatten(0, (-1, target.contexts))
    efficiency = float((effective_sample_size(by_context) / len(by_context)).quantile(0.1))
    spare = min(MAX_POOL, 1.5 / max(efficiency, 1e-9))
    pool, pool_log_weights = sampler.sample(target, (int(spare * count) + 1) * target.contexts, generator)
    by_context = pool_log_weights.unflatten(0, (-1, target.contexts))
    if target.context is not None:
        lost = ~(by_context > -torch.inf).any(0)
        by_context = torch.where(lost, 0.0, by_context)
    rows = systematic_by_context(by_context, count, generator)
    order = torch.randperm(count, generator=generator, device=rows.device)
    ends = pool[rows.unflatten(0, (-1, target.contexts))[order].flatten()]
    if correction == "mcmc":
        density = target.log_prob_and_score
        step_size = torch.full((total,), 0.1, dtype=ends.dtype, device=ends.device)
        ends = mala.run(density, mala.init(density, ends), POLISH_STEPS, step_size, generator)[0].x
    return ends, None
