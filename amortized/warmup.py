"""What a density alone tells: modes, scale, weights of the modes, log Z, and whether to believe them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.draws import Estimate
from amortized.mcmc import jumps, tempered_smc
from amortized.mcmc.mixture import GaussianMixture, fit, join, safe_cholesky
from amortized.mcmc.optimise import ascend, sharpened
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


def find_modes(target: Target, count: int, generator: Generator | None, stop: Callable[[], bool]) -> GaussianMixture:
    """Gaussians at the modes that ``count`` dispersed starts climb to, weighted by their tempered evidence."""
    origin = torch.zeros(target.dim, dtype=torch.float64, device=target.device)
    identity = torch.eye(target.dim, dtype=torch.float64, device=target.device)
    plain = WhitenedTarget(target, origin, identity, dtype=torch.float64).log_prob_and_score
    state, _, best = ascend(plain, _starts(target, count, generator), generator, stop=stop)
    local = sharpened(plain, best, generator)
    if local.elbo.numel() == 0:
        top = state.log_prob.argmax()
        return GaussianMixture(torch.ones_like(origin[:1]), state.x[top][None], identity[None])
    local = local.take((local.elbo > local.elbo[0] - (15 + 2 * target.dim)).nonzero()[:32, 0])
    return GaussianMixture((local.elbo / math.sqrt(target.dim)).softmax(0), local.mean, local.scale_tril)


def _wide(mixture: GaussianMixture, scale: float) -> GaussianMixture:
    """One Gaussian with the mixture's mean, its components counted alike, and ``scale`` times its spread."""
    count = mixture.weights.numel()
    equal = GaussianMixture(torch.full_like(mixture.weights, 1 / count), mixture.means, mixture.scale_trils)
    mean, covariance = equal.moments()
    return GaussianMixture(torch.ones_like(mean[:1]), mean[None], scale * safe_cholesky(covariance)[None])


class _Search:
    """What is known so far, in coordinates in which it has mean 0 and covariance I."""

    def __init__(self, target: Target, modes: GaussianMixture, generator: Generator | None, stop: Callable[[], bool]):
        self.generator = generator
        self.stop = stop
        whole = _wide(modes, 1.0)
        self.shift, self.scale_tril = whole.means[0], whole.scale_trils[0]
        self.white = WhitenedTarget(target, self.shift, self.scale_tril, dtype=torch.float64)
        self.modes = self.mixture = modes.inverse_affine(self.shift, self.scale_tril)
        self.runs: list[tempered_smc.Result] = []

    def temper(self, base: GaussianMixture, particles: int) -> tempered_smc.Result:
        run = tempered_smc.run(
            self.white, base, particles, self.generator, axes=self.scale_tril, stop=self.stop
        )
        self.runs.append(run)
        return run

    def two_runs(self, particles: int) -> tuple[tempered_smc.Result, tempered_smc.Result]:
        """Tempering from what is known, widened, half mixed with one wide Gaussian; and from that Gaussian alone."""
        wide = _wide(self.modes, 2.0)
        known = join([self.modes, self.mixture], [0.5, 0.5]).widened((1.2,), (1.0,))
        return self.temper(join([wide, known], [0.5, 0.5]), particles), self.temper(wide, particles)

    def pool(self, draws: int) -> State:
        """Particles of all runs, drawn in proportion to each run's estimate of Z."""
        share = [torch.full_like(run.state.log_prob, run.log_evidence.value) for run in self.runs]
        rows = systematic(torch.cat(share), draws, self.generator)
        return State(*(torch.cat(field)[rows] for field in zip(*(run.state for run in self.runs), strict=True)))

    def polish(self, state: State, max_rounds: int = 4) -> tuple[State, float]:
        """HMC at β = 1 and jumps proposed by a mixture fitted to the draws, until these are accepted half of the time."""
        density, accepted = self.white.log_prob_and_score, 0.0
        mover = tempered_smc.Mover(self.scale_tril, self.generator)
        equal = torch.zeros_like(state.log_prob)
        self.mixture = fit(state.x, self.generator, initial=self.modes)
        for done in range(max_rounds):
            state, _ = mover.moves(density, state, tempered_smc.metrics(state.x, state.score, equal))
            for _ in range(4):
                state, info = jumps.independence(density, state, self.mixture, self.generator)
            accepted = float(info.acceptance.mean())
            self.mixture = fit(state.x, self.generator, initial=self.mixture)
            if (accepted > 0.5 and done > 0) or self.stop():
                break
        return state, accepted

    def weigh(self, count: int = 4096) -> tuple[Estimate, float, float]:
        """log Z, k̂ and effective fraction of importance weights of fresh draws from the widened mixture."""
        proposal = self.mixture.widened((1.0, 1.5, 3.0), (0.8, 0.15, 0.05))
        x = proposal.sample(count, self.generator)
        log_weights = self.white.log_prob(x).double() - proposal.log_prob(x)
        fraction = float(effective_sample_size(log_weights)) / count
        value = float(log_weights.logsumexp(0)) - math.log(count)
        error = math.sqrt(max(1 / fraction - 1, 0.0) / count) if fraction > 0 else math.inf
        return Estimate(value, error), pareto_shape(log_weights), fraction


def _verdict(
    narrow: tempered_smc.Result, wide: tempered_smc.Result, weighed: tuple[Estimate, float, float], accepted: float
) -> tuple[bool, Estimate, str]:
    """Whether the checks agree, the log Z that they favour, and what they were, in plain words."""
    importance, shape, fraction = weighed
    first, second = narrow.log_evidence, wide.log_evidence
    better = first if first.value > second.value else second
    runs_agree = narrow.finished and wide.finished and abs(first.value - second.value) < 0.5
    error = math.hypot(better.std_error, importance.std_error)
    weights_agree = shape < 0.7 and abs(importance.value - better.value) < max(0.3, min(3 * error, 0.6))
    evidence = importance if weights_agree else better
    said = [
        f"log Z tempered from the modes {first}, from a wide Gaussian {second}"
        + ("" if runs_agree else " (these should agree within 0.5: modes or their weights may be wrong)"),
        f"by importance weights {importance} with k-hat {shape:.2f} and effective fraction {fraction:.0%}"
        + ("" if weights_agree else " (k-hat should be below 0.7 and log Z agree: the tails are not confirmed)"),
        f"mode jumps accepted {accepted:.0%}",
        "a mode that no start reached is invisible to these checks",
    ]
    if not (narrow.finished and wide.finished):
        said.insert(0, "the budget ended before the tempering did: raise max_calls or max_seconds")
    return runs_agree and weights_agree, evidence, "; ".join(said)


@torch.no_grad()
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

    Dispersed starts climb to the modes (BFGS, with the best Gaussian on the way); two tempered SMC runs, from these
    Gaussians and from one wide Gaussian, weigh them; HMC and jumps proposed by a fitted mixture polish the draws;
    importance weights from that mixture give log Z again. Runs that disagree are repeated with twice the particles
    while ``max_calls`` and ``max_seconds`` last. Raises ValueError when the density is -inf or NaN at every start.

    >>> from amortized.targets.density import DensityTarget
    >>> target = DensityTarget(lambda x: -0.5 * ((x - 5.0) / 0.1).square().sum(-1), dim=2)
    >>> found = warm_up(target, draws=512, generator=torch.Generator().manual_seed(0))
    >>> found.draws.shape, found.trustworthy, bool((found.draws.mean(0) - 5.0).abs().max() < 0.02)
    (torch.Size([512, 2]), True, True)
    """
    began, calls_before = time.perf_counter(), target.calls

    def spent() -> float:
        return max((target.calls - calls_before) / max_calls, (time.perf_counter() - began) / max_seconds)

    def say(text: str) -> None:
        if progress:
            print(f"warm-up: {text} ({target.calls - calls_before} calls, {time.perf_counter() - began:.1f} s)")

    modes = find_modes(target, 48, generator, lambda: spent() > 0.4)
    say(f"{modes.weights.numel()} modes")
    search = _Search(target, modes, generator, lambda: spent() > 0.8)
    particles = 512
    while True:
        before = spent()
        narrow, wide = search.two_runs(particles)
        state, accepted = search.polish(search.pool(draws))
        trustworthy, evidence, status = _verdict(narrow, wide, search.weigh(), accepted)
        say(status)
        if trustworthy or particles >= 2048 or spent() + 2 * (spent() - before) > 0.9:
            break
        particles *= 2
    x = search.white.unwhiten(state.x)
    covariance = torch.cov(x.double().T).reshape(target.dim, target.dim)
    return WarmUp(
        draws=x,
        log_prob=state.log_prob - search.white.log_det,
        shift=x.double().mean(0),
        scale_tril=safe_cholesky(covariance),
        mixture=search.mixture.affine(search.shift, search.scale_tril),
        log_evidence=evidence,
        trustworthy=trustworthy,
        status=status,
        target_calls=target.calls - calls_before,
        seconds=time.perf_counter() - began,
    )
