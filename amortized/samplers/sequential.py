"""Sequential Monte Carlo along the paths of a trained sampler: particles that lose are replaced on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.objectives.flows import StateFlow
from amortized.path import kernel, read, with_log_targets
from amortized.processes.base import Process
from amortized.processes.transitions import log_normal
from amortized.samplers.base import DiffusionSampler
from amortized.simulation import rollout
from amortized.targets.base import Target
from amortized.weights import Estimate, effective_sample_size, log_evidence, log_mean_exp, systematic

MIN_PILOT = 256
"""Paths that choose the powers: each regression has two numbers to learn, and an error of 6 % then."""


class SequentialDraws(NamedTuple):
    """Ends ``(R·N, D)`` of R runs of N particles and their log weights ``(R·N,)`` in nats, whose mean weight is Ẑ.

    ``log_evidence``: log Ẑ with its standard error; ``resampled``: how often a run resampled, on average.
    """

    ends: Tensor
    log_weights: Tensor
    log_evidence: Estimate
    resampled: float


@torch.no_grad()
def sample_sequentially(
    sampler: DiffusionSampler,
    target: Target,
    count: int,
    threshold: float = 0.5,
    generator: Generator | None = None,
    runs: int = 8,
    flow: StateFlow | None = None,
) -> SequentialDraws:
    """``runs`` independent populations of ``count`` particles, steered by the policy and resampled on the way.

    Intermediate densities ``γ_0 = p₀, …, γ_K = R`` weigh the particles. A step multiplies the weight by

        γ_{k+1}(x_{k+1}) P_B(x_k | x_{k+1}) / (γ_k(x_k) P_F(x_{k+1} | x_k))

    By default ``γ_k = m_k^(1−a_k) R^a_k`` with the reference's marginal m_k, at one target call a step and particle. A
    regression on a pilot of plain paths chooses the powers a_k. Ẑ is unbiased for any γ and any threshold.
    Del Moral, Doucet and Jasra (2006), JRSS B 68.

    Args:
        sampler: a trained sampler; any will do.
        target: of a single context.
        count: N, particles of each run.
        threshold: a run is resampled when its effective sample size falls below ``threshold · count``. With 0 nothing
            is resampled, and the weights are those of ``sampler.sample``.
        generator: of all draws.
        runs: R. The standard error is that between runs; of a single run, that of its families (Lee and Whiteley,
            arXiv 1509.00394).
        flow: γ is this state flow, ``objective.flow``; it calls the target only if it looks forward.

    Raises:
        ValueError: a threshold outside [0, 1], no run, or several contexts.

    >>> from amortized.samplers import GFlowNet
    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * (x - 1).square().sum(-1), dim=2)
    >>> draws = sample_sequentially(GFlowNet(2, steps=8), normal, 256, generator=torch.Generator().manual_seed(0))
    >>> abs(draws.log_evidence.value - 1.8379) < 4 * draws.log_evidence.std_error
    True
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold}: it is a share of the particles; write threshold=0.5")
    if target.contexts > 1:
        raise ValueError(
            f"particles of {target.contexts} contexts would replace each other: give one at a time, "
            "[guide.sample(n, y, correction='sequential') for y in data]"
        )
    if runs < 1:
        raise ValueError(f"runs={runs}: at least one population is needed; write runs=8")
    powers = _powers(sampler, target, max(count, MIN_PILOT), generator) if threshold > 0 and flow is None else None
    densities = _Intermediates(sampler.process, runs, target.context, flow, powers)
    return _walk(sampler, target, densities, count, threshold, generator)


@dataclass(frozen=True)
class _Intermediates:
    """The densities ``γ_k`` by which particles are weighed on their way."""

    process: Process
    runs: int
    context: Tensor | None
    flow: StateFlow | None
    powers: Tensor | None

    @property
    def read_target(self) -> bool:
        return self.flow is None or self.flow.forward_looking

    def log_density(self, k: int, x: Tensor, log_target: Tensor | None) -> Tensor:
        """``log γ_k: (B,)`` float64. A state outside the support counts as the least likely of its run's others."""
        power = self.process.times[k].double() if self.powers is None else self.powers[k]
        log_marginal = self.process.log_marginal(k, x).double()
        value = log_marginal
        if log_target is not None:
            # With density zero, a path that comes back into the support would be gone. Any positive function of a
            # run's present particles keeps Ẑ unbiased.
            by_run = log_target.double().reshape(self.runs, -1)
            least = torch.where(by_run > -torch.inf, by_run, torch.inf).amin(1, keepdim=True)
            floored = by_run.maximum(torch.where(least.isfinite(), least, 0.0)).flatten()
            carried = self.process.layout.log_carried(x).double() if self.flow is None else 0.0
            value = (1 - power) * log_marginal + power * (floored + carried)
        if self.flow is not None:
            features, times = self.process.features(k, x)[None], self.process.times[k : k + 1]
            value = value + self.flow.correction(features, times, self.context)[0]
        return value


def _walk(
    sampler: DiffusionSampler,
    target: Target,
    densities: _Intermediates,
    count: int,
    threshold: float,
    generator: Generator | None,
) -> SequentialDraws:
    """All runs side by side. ``counted`` is the part of a particle's log density that resampling has used up."""
    process, policy, layout, runs = sampler.process, sampler.policy, sampler.process.layout, densities.runs
    x = process.sample_prior(runs * count, target.dim, generator)
    log_ratio = -process.log_prior(x).double()
    counted = torch.zeros_like(log_ratio)
    context = read(policy, target.context, runs * count)
    noise = process.transition.noise(x.new_empty(process.steps, runs * count, target.dim), generator)
    families, resampled = torch.arange(runs * count, device=x.device), 0
    for k in range(process.steps):
        log_target, score = None, None
        weighs = threshold > 0 and k > 0
        if policy.needs_score:
            log_target, score = target.log_prob_and_score(layout.visited(k, x))
        elif weighs and densities.read_target:
            log_target = target.log_prob(layout.visited(k, x))
        if weighs:
            read_target = log_target if densities.read_target else None
            log_density = log_ratio + densities.log_density(k, x, read_target)
            log_weights = (log_density - counted).reshape(runs, count)
            chosen, common = _resampled(log_weights, threshold, generator)
            resampled += int(common.isfinite().sum())
            counted = torch.where(common.isfinite(), log_density[chosen] - common, counted)
            x, log_ratio, families = x[chosen], log_ratio[chosen], families[chosen]
            score = score if score is None else score[chosen]
        mean, std = kernel(process, policy, k, x, score, context)
        moved = torch.addcmul(mean, std, noise[k])
        y = layout.advance(k, x, moved)
        log_ratio = log_ratio + log_normal(layout.retraced(k, x), *process.backward(k, y)).double()
        log_ratio = log_ratio - process.transition.log_prob(moved, mean, std).double()
        x = y
    ends = x[..., : target.dim]
    log_weights = log_ratio + target.log_prob(ends).double() + layout.log_carried(x).double() - counted
    estimate = _estimate(log_weights.reshape(runs, count), families)
    return SequentialDraws(ends, log_weights, estimate, resampled / (runs * count))


def _resampled(log_weights: Tensor, threshold: float, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """Ancestors of all particles, and for every particle of a resampled run the log mean weight it goes on with."""
    runs, count = log_weights.shape
    chosen = torch.arange(runs * count, device=log_weights.device).reshape(runs, count)
    common = torch.full_like(log_weights, torch.nan)
    thin = effective_sample_size(log_weights.mT) < threshold * count
    for run in thin.nonzero()[:, 0].tolist():
        chosen[run] = chosen[run][systematic(log_weights[run], count, generator)]
        common[run] = log_mean_exp(log_weights[run])
    return chosen.flatten(), common.flatten()


def _estimate(log_weights: Tensor, families: Tensor) -> Estimate:
    """log Ẑ of weights ``(R, N)``; the standard error between runs or, of one run, between its families."""
    runs, count = log_weights.shape
    if runs > 1:
        return log_evidence(log_mean_exp(log_weights))
    shares = torch.zeros(count).to(log_weights).index_add(0, families, log_weights[0].softmax(0))
    spread = float((shares.square().sum() - 1 / count).clamp(min=0).sqrt())
    return Estimate(float(log_mean_exp(log_weights[0])), spread)


def _powers(sampler: DiffusionSampler, target: Target, count: int, generator: Generator | None) -> Tensor:
    """``a: (K,)`` such that ``m_k^(1−a_k) R^a_k`` predicts the log weight still to come best; least squares on paths.

    Early, where the target's density at a noised state says nothing of the end, a is near 0; late it nears 1.
    """
    process = sampler.process
    path = with_log_targets(process, target, rollout(process, sampler.policy, target, count, generator))
    assert path.log_targets is not None
    steps = (path.log_backward - path.log_forward).double().flip(0).cumsum(0).flip(0)
    to_come = steps + path.log_target + process.layout.log_carried(path.states[-1]).double()
    carried = process.layout.log_carried(path.states[:-1]).double()
    log_marginal = path.log_marginal.double()
    lift, response = path.log_targets + carried - log_marginal, to_come - log_marginal
    powers = to_come.new_zeros(process.steps)
    for k in range(process.steps):
        rows = lift[k].isfinite() & response[k].isfinite()
        if rows.sum() > 1:
            both = torch.cov(torch.stack([lift[k][rows], response[k][rows]]))
            powers[k] = (both[0, 1] / both[0, 0].clamp(min=1e-12)).clamp(0.0, 1.0)
    return powers
