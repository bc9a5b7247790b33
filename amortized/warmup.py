"""What a density alone tells: modes, scale, weights of the modes, log Z, and whether to believe them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.draws import Estimate
from amortized.mcmc import hmc, jumps, tempered_smc
from amortized.mcmc.mixture import GaussianMixture, fit, join, safe_cholesky
from amortized.mcmc.optimise import LocalGaussians, ascend, sharpened
from amortized.mcmc.resampling import effective_sample_size, pareto_shape, systematic
from amortized.mcmc.state import State
from amortized.targets.base import Target
from amortized.targets.whitening import WhitenedTarget

START_SCALES = (1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True)
class WarmUp:
    """What `warm_up` hands on; all in the target's unconstrained space.

    ``draws: (N, D)`` in the target's dtype, equally weighted, ``log_prob: (N,)`` their log R; ``shift: (D,)`` and
    lower-triangular ``scale_tril: (D, D)``, float64: the affine map that whitens them; ``mixture``: fitted to them;
    ``log_evidence``: log Z in nats; ``trustworthy`` and ``status``: what was checked, in plain words with numbers;
    ``target_calls``: density calls spent, one a particle; ``seconds``: wall clock.
    """

    draws: Tensor
    log_prob: Tensor
    shift: Tensor
    scale_tril: Tensor
    mixture: GaussianMixture
    log_evidence: Estimate
    trustworthy: bool
    status: str
    target_calls: int
    seconds: float


def _starts(target: Target, count: int, generator: Generator | None) -> Tensor:
    """Points of finite density: N(0, s²) with s from START_SCALES in turn, halved for those that are not finite."""
    scale = torch.tensor(START_SCALES, dtype=torch.float64, device=target.device).repeat(count)[:count, None]
    x = torch.zeros(count, target.dim, dtype=torch.float64, device=target.device)
    missing = torch.arange(count, device=target.device)
    for halving in range(12):
        noise = torch.randn(missing.numel(), target.dim, generator=generator, dtype=torch.float64, device=target.device)
        x[missing] = noise * scale[missing] * 0.5**halving
        finite = target.log_prob(x[missing].to(target.dtype)) > -torch.inf
        missing = missing[~finite]
        if missing.numel() == 0:
            break
    kept = torch.ones(count, dtype=torch.bool, device=target.device)
    kept[missing] = False
    if not bool(kept.any()):
        raise ValueError(
            f"the log density is -inf or NaN at all {12 * count} starting points tried, with standard deviations from "
            f"{START_SCALES[-1]} down to {START_SCALES[0] / 2**11:.0e} around the origin of the unconstrained space. "
            "Check the model at one point by hand: data outside the support of the likelihood, NaN in the data, "
            "or a scale that is zero are the usual causes"
        )
    return x[kept]


def _distinct(local: LocalGaussians) -> LocalGaussians:
    """The best of each group of Gaussians whose means lie within half a standard deviation of a better one."""
    order = local.elbo.argsort(descending=True)
    kept: list[int] = []
    for index in order.tolist():
        if not math.isfinite(float(local.elbo[index])):
            break
        gap = local.mean[index] - local.mean[kept]
        white = torch.linalg.solve_triangular(local.scale_tril[kept], gap[:, :, None], upper=False)[..., 0]
        if not bool((white.square().mean(-1) < 0.25).any()):
            kept.append(index)
    return local.take(torch.tensor(kept, dtype=torch.long, device=local.mean.device))


def find_modes(target: Target, count: int, generator: Generator | None) -> GaussianMixture:
    """Gaussians at the modes that ``count`` dispersed starts climb to, weighted by their evidence, tempered."""
    plain = _in_coordinates(
        target,
        torch.zeros(target.dim, dtype=torch.float64, device=target.device),
        torch.eye(target.dim, dtype=torch.float64, device=target.device),
    )
    state, _, best = ascend(plain.log_prob_and_score, _starts(target, count, generator), generator)
    local = _distinct(best)
    if local.elbo.numel() == 0:
        top = state.log_prob.argmax()
        scale_tril = torch.eye(target.dim, dtype=torch.float64, device=target.device)
        return GaussianMixture(torch.ones(1, dtype=torch.float64), state.x[top][None], scale_tril[None])
    local = local.take(torch.arange(min(local.elbo.numel(), 32)))
    local = _distinct(sharpened(plain.log_prob_and_score, local, generator))
    near = local.elbo > local.elbo.max() - (15 + 2 * target.dim)
    local = local.take(near.nonzero()[:, 0])
    return GaussianMixture((local.elbo / math.sqrt(target.dim)).softmax(0), local.mean, local.scale_tril)


def _in_coordinates(target: Target, shift: Tensor, scale_tril: Tensor) -> WhitenedTarget:
    return WhitenedTarget(target, shift, scale_tril, dtype=torch.float64)


def _wide_base(mixture: GaussianMixture, scale: float = 2.0) -> GaussianMixture:
    equal = GaussianMixture(torch.full_like(mixture.weights, 1 / len(mixture.weights)), mixture.means, mixture.scale_trils)
    mean, covariance = equal.moments()
    one = torch.ones(1, dtype=torch.float64, device=mean.device)
    return GaussianMixture(one, mean[None], scale * safe_cholesky(covariance)[None])


def _polish(target: WhitenedTarget, state: State, rounds: int, generator: Generator | None):
    """HMC at β = 1, and jumps proposed from a mixture fitted to the draws: ``(state, mixture, jump acceptance)``."""
    mixture, jumped = fit(state.x, generator), 0.0
    mover = tempered_smc.Mover(generator)
    equal = torch.zeros_like(state.log_prob)
    for index in range(rounds):
        state, _ = mover.moves(target.log_prob_and_score, state, tempered_smc.metrics(state.x, state.score, equal))
        for _ in range(3):
            state, info = jumps.independence(target.log_prob_and_score, state, mixture, generator)
        jumped = float(info.acceptance.mean())
        mixture = fit(state.x, generator)
    return state, mixture, jumped


def warm_up(
    target: Target,
    *,
    draws: int = 2048,
    generator: Generator | None = None,
    max_calls: int = 300_000,
    max_seconds: float = 40.0,
    progress: bool = False,
) -> WarmUp:
    """Draws, scale, modes, their weights and log Z of ``target``, from its density and score alone.

    Raises ValueError when the density is -inf or NaN at every start.

    >>> from amortized.targets.density import DensityTarget
    >>> target = DensityTarget(lambda x: -0.5 * ((x - 5.0) / 0.1).square().sum(-1), dim=2)
    >>> found = warm_up(target, draws=512, generator=torch.Generator().manual_seed(0))
    >>> found.draws.shape, found.trustworthy, bool((found.draws.mean(0) - 5.0).abs().max() < 0.02)
    (torch.Size([512, 2]), True, True)
    """
    began, calls_before = time.perf_counter(), target.calls
    modes = find_modes(target, 48, generator)
    wide = _wide_base(modes)
    shift, scale_tril = wide.means[0], wide.scale_trils[0]
    white = _in_coordinates(target, shift, scale_tril)
    wide, modes = wide.inverse_affine(shift, scale_tril), modes.inverse_affine(shift, scale_tril)
    both = join([wide, modes.widened((1.2,), (1.0,))], [0.5, 0.5])
    narrow_run = tempered_smc.run(white, both, 512, generator)
    wide_run = tempered_smc.run(white, wide, 1024, generator)
    pooled = torch.cat([narrow_run.state.x, wide_run.state.x])
    log_share = torch.cat(
        [
            torch.full((len(run.state.x),), run.log_evidence.value, dtype=torch.float64, device=target.device)
            for run in (narrow_run, wide_run)
        ]
    )
    chosen = pooled[systematic(log_share, draws, generator)]
    state, mixture, jumped = _polish(white, hmc.init(white, chosen), 2, generator)
    proposal = mixture.widened((1.0, 1.5, 3.0), (0.8, 0.15, 0.05))
    fresh = proposal.sample(4096, generator)
    log_weights = (white.log_prob(fresh) - proposal.log_prob(fresh)).double()
    shape, fraction = pareto_shape(log_weights), float(effective_sample_size(log_weights)) / 4096
    importance = Estimate(
        float(log_weights.logsumexp(0)) - math.log(4096), math.sqrt(max(1 / fraction - 1, 0.0) / 4096)
    )
    estimates = (narrow_run.log_evidence, wide_run.log_evidence, importance)
    spread = max(e.value for e in estimates) - min(e.value for e in estimates)
    status = (
        f"log Z from the modes {estimates[0]}, from a wide start {estimates[1]}, by importance weights {importance}; "
        f"k-hat {shape:.2f}, weight ESS {fraction:.0%}, jumps accepted {jumped:.0%}"
    )
    mixture = mixture.affine(shift, scale_tril)
    x = white.unwhiten(state.x)
    moments = torch.cov(x.double().T).reshape(target.dim, target.dim)
    return WarmUp(
        draws=x,
        log_prob=state.log_prob - white.log_det,
        shift=x.double().mean(0),
        scale_tril=safe_cholesky(moments),
        mixture=mixture,
        log_evidence=importance if shape < 0.7 else wide_run.log_evidence,
        trustworthy=spread < 0.5,
        status=status,
        target_calls=target.calls - calls_before,
        seconds=time.perf_counter() - began,
    )
