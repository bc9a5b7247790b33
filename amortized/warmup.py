"""What a density alone tells: modes, scale, weights of the modes, log Z, and whether to believe them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.draws import Estimate
from amortized.mcmc import jumps, tempered_smc
from amortized.mcmc.mixture import GaussianMixture, fit, join, safe_cholesky
from amortized.mcmc.optimise import ascend, distinct, joined, sharpened
from amortized.mcmc.resampling import effective_sample_size, pareto_shape, systematic
from amortized.mcmc.state import State
from amortized.targets.base import Target
from amortized.targets.whitening import WhitenedTarget

START_SCALES = (1.0, 3.0, 10.0, 30.0)
UNBOUNDED = 1e12
WIDER = (1.0, 1.5, 3.0), (0.8, 0.15, 0.05)


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


def find_modes(
    target: Target, count: int, generator: Generator | None, stop: Callable[[], bool]
) -> tuple[GaussianMixture, State]:
    """Gaussians at the modes that ``count`` dispersed starts climb to, weighted by tempered evidence; the tops."""
    origin = torch.zeros(target.dim, dtype=torch.float64, device=target.device)
    identity = torch.eye(target.dim, dtype=torch.float64, device=target.device)
    plain = WhitenedTarget(target, origin, identity, dtype=torch.float64).log_prob_and_score
    state, best, passed = ascend(plain, _starts(target, count, generator), generator, stop=stop)
    local = sharpened(plain, best, generator)
    local = joined(local, passed)
    local = local.take(distinct(local))
    if local.elbo.numel() > 0 and float(local.elbo[0]) > UNBOUNDED:
        raise ValueError(
            f"the log density climbs to {float(local.elbo[0]):.2g} and on: the posterior looks improper; "
            "give every site a proper prior, or data that tie it down"
        )
    if local.elbo.numel() == 0:
        top = state.log_prob.argmax()
        return GaussianMixture(torch.ones_like(origin[:1]), state.x[top][None], identity[None]), state
    local = local.take((local.elbo > local.elbo[0] - (15 + 2 * target.dim)).nonzero()[:32, 0])
    weights = (local.elbo / math.sqrt(target.dim)).softmax(0)
    return GaussianMixture(weights, local.mean, local.scale_tril), state


def _wide(mixture: GaussianMixture, scale: float) -> GaussianMixture:
    """One Gaussian with the mixture's mean, its components counted alike, and ``scale`` times its spread."""
    count = mixture.weights.numel()
    equal = GaussianMixture(torch.full_like(mixture.weights, 1 / count), mixture.means, mixture.scale_trils)
    mean, covariance = equal.moments()
    return GaussianMixture(torch.ones_like(mean[:1]), mean[None], scale * safe_cholesky(covariance)[None])


class Weighed(NamedTuple):
    """Importance weights of the final mixture: log Z, k̂ and effective fraction; ``moved``, the probability that they
    shift across the draws' 5, 50 or 95 % quantile in some coordinate, beside the 0.03 plus three standard errors that
    are ``allowed``; how often jumps proposed by that mixture were ``accepted``; ``uncovered``, the largest log weight
    at the tops of the climbs that are higher than half of the draws: far above 0 where density was met that the
    mixture does not cover."""

    evidence: Estimate
    shape: float
    fraction: float
    moved: float
    allowed: float
    accepted: float
    uncovered: float


class _Search:
    """What is known so far, in coordinates in which it has mean 0 and covariance I."""

    def __init__(
        self,
        target: Target,
        modes: GaussianMixture,
        tops: State,
        generator: Generator | None,
        stop: Callable[[], bool],
    ):
        self.tops = tops
        self.generator = generator
        self.stop = stop
        whole = _wide(modes, 1.0)
        self.shift, self.scale_tril = whole.means[0], whole.scale_trils[0]
        self.white = WhitenedTarget(target, self.shift, self.scale_tril, dtype=torch.float64)
        self.modes = self.mixture = modes.inverse_affine(self.shift, self.scale_tril)
        self.runs: list[tempered_smc.Result] = []

    def temper(self, base: GaussianMixture, particles: int) -> tempered_smc.Result:
        run = tempered_smc.run(self.white, base, particles, self.generator, axes=self.scale_tril, stop=self.stop)
        self.runs.append(run)
        return run

    def two_runs(self, particles: int) -> tuple[tempered_smc.Result, tempered_smc.Result]:
        """Tempering from what is known, widened, half mixed with one wide Gaussian; and from that Gaussian alone."""
        wide = _wide(self.modes, 2.0)
        known = join([self.modes, self.mixture], [0.5, 0.5]).widened((1.2,), (1.0,))
        return self.temper(join([wide, known], [0.5, 0.5]), particles), self.temper(wide, particles)

    def pool(self, draws: int) -> State:
        """Particles of all finished runs, drawn in proportion to each run's estimate of Z."""
        runs = [run for run in self.runs if run.finished] or self.runs
        share = [torch.full_like(run.state.log_prob, run.log_evidence.value) for run in runs]
        rows = systematic(torch.cat(share), draws, self.generator)
        return State(*(torch.cat(field)[rows] for field in zip(*(run.state for run in runs), strict=True)))

    def polish(self, state: State, max_rounds: int = 6) -> tuple[State, Weighed]:
        """Two or more rounds of HMC and jumps at β = 1, until importance weights confirm the draws or are useless."""
        mover = tempered_smc.Mover(self.scale_tril, self.generator)
        self.mixture = self.modes
        state, weighed = self._round(state, mover, glide=True)
        for _ in range(max_rounds - 1):
            if self.stop():
                break
            state, weighed = self._round(state, mover, glide=weighed.fraction < 0.3)
            if weighed.moved < weighed.allowed or weighed.fraction < 0.02:
                break
        return state, weighed

    def _round(self, state: State, mover: tempered_smc.Mover, glide: bool) -> tuple[State, Weighed]:
        density = self.white.log_prob_and_score
        if glide:
            equal = torch.zeros_like(state.log_prob)
            state, _ = mover.moves(density, state, tempered_smc.metrics(state.x, state.score, equal))
        self.mixture = fit(state.x, self.generator, initial=self.mixture)
        accepted = 0.0
        for _ in range(4):
            state, info = jumps.independence(density, state, self.mixture.widened(*WIDER), self.generator)
            accepted = float(info.acceptance.mean())
        return state, self.weigh(state, accepted)

    def weigh(self, state: State, accepted: float, count: int = 4096) -> Weighed:
        """Importance weights of fresh draws of the widened mixture, and how far they move the draws' quantiles."""
        proposal = self.mixture.widened(*WIDER)
        x = proposal.sample(count, self.generator)
        log_weights = self.white.log_prob(x).double() - proposal.log_prob(x)
        fraction = float(effective_sample_size(log_weights)) / count if bool(log_weights.isfinite().any()) else 0.0
        error = math.sqrt((1 / fraction - 1) / count) if fraction > 0 else math.inf
        evidence = Estimate(float(log_weights.logsumexp(0)) - math.log(count), error)
        levels = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64, device=x.device)
        below = (x[:, None] <= state.x.quantile(levels, dim=0)).double()
        moved = (torch.einsum("n,nld->ld", log_weights.softmax(0), below) - levels[:, None]).abs().max()
        allowed = 0.03 + 3 * math.sqrt(0.25 * (1 / len(state.x) + 1 / max(fraction * count, 1)))
        high = self.tops.log_prob >= state.log_prob.median() - self.white.log_det
        tops = self.tops.log_prob + self.white.log_det - proposal.log_prob(self.white.whiten(self.tops.x))
        uncovered = float(torch.where(high, tops, -torch.inf).max()) - evidence.value
        return Weighed(evidence, pareto_shape(log_weights), fraction, float(moved), allowed, accepted, uncovered)


def _verdict(narrow: tempered_smc.Result, wide: tempered_smc.Result, weighed: Weighed) -> tuple[bool, Estimate, str]:
    """Whether the checks agree, the log Z that they favour, and what they were, in plain words."""
    first, second = narrow.log_evidence, wide.log_evidence
    finished = narrow.finished and wide.finished
    gap, joint = abs(first.value - second.value), math.hypot(first.std_error, second.std_error)
    runs_agree = finished and gap < max(0.3, min(3 * joint, 1.0))
    precision = [1 / max(run.std_error, 0.02) ** 2 for run in (first, second)]
    between = (precision[0] * first.value + precision[1] * second.value) / sum(precision)
    tempered = Estimate(between, sum(precision) ** -0.5) if runs_agree else max(first, second)
    tolerance = max(0.1, min(3 * math.hypot(tempered.std_error, weighed.evidence.std_error), 0.5))
    tails_seen = weighed.shape < 0.7 and abs(weighed.evidence.value - tempered.value) < tolerance
    draws_confirmed = weighed.moved < weighed.allowed
    covered = weighed.uncovered < 10
    said = [
        "" if finished else "the budget ended before the tempering did: raise max_calls or max_seconds",
        f"log Z tempered from the modes {first}, from a wide Gaussian {second}"
        + ("" if runs_agree else " (these disagree: modes or their weights may be wrong)"),
        f"by importance weights {weighed.evidence} with k-hat {weighed.shape:.2f} and effective fraction "
        f"{weighed.fraction:.0%}"
        + (
            ""
            if tails_seen
            else f" (k-hat should be below 0.7 and log Z within {tolerance:.2f} of {tempered.value:.2f})"
        ),
        f"these move a draws' quantile by {weighed.moved:.2f}"
        + ("" if draws_confirmed else f" (should be below {weighed.allowed:.2f}: the tails are not confirmed)"),
        ""
        if covered
        else f"the climbs met density {weighed.uncovered:.0f} nats above what the draws explain: a funnel's neck or a "
        "spike may hold mass (a non-centred parametrization often helps)",
        f"mode jumps accepted {weighed.accepted:.0%}; a mode that no start reached is invisible to these checks",
    ]
    evidence = weighed.evidence if tails_seen else tempered
    return runs_agree and tails_seen and draws_confirmed and covered, evidence, "; ".join(text for text in said if text)


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
    while ``max_calls`` and ``max_seconds`` last. The same seed gives the same draws unless it is the clock that ends
    the work; ``progress`` prints a line a stage. Raises ValueError when the density is -inf or NaN at every start.

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

    modes, tops = find_modes(target, 48, generator, lambda: spent() > 0.4)
    say(f"{modes.weights.numel()} modes")
    search = _Search(target, modes, tops, generator, lambda: spent() > 0.8)
    particles = 512
    while True:
        before = spent()
        narrow, wide = search.two_runs(particles)
        tempering = spent() - before
        state, weighed = search.polish(search.pool(draws))
        trustworthy, evidence, status = _verdict(narrow, wide, weighed)
        say(status)
        if trustworthy or particles >= 2048 or 2 * spent() - before + tempering > 1.0:
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
