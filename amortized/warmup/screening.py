"""Where no known mode explains the density: many points, and the best of them to start from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore
from amortized.mixtures.gaussian import GaussianMixture
from amortized.optimise.gaussians import LocalGaussians
from amortized.targets.base import Target
from amortized.warmup.rays import RADII, RayLaw, explained

RAYS_AT_A_TIME = 1024
"""Their 8,192 points stay in a processor's cache."""

KEPT = 32
"""Points that remain of each radius of each kind of ray: enough that some differ in direction."""

CANDIDATES = 12
"""Most points to start from in a round, a quarter of the first starts: modes that they find bring another round."""

UNEXPLAINED = 0.03
"""Share of the fall from the top that the modes must get wrong: widths from curvature are no better than that."""

CONSTANT_FALL = 5.0
"""Nats added to the fall that the modes predict: it is about 0 near the top, where small errors should count little."""

ALIGNED = 0.95
"""Cosine between the score and the way to a known mode from which that mode explains the score, whatever its tails."""

APART = 0.5
"""Distance from a better candidate, over its distance from the nearest mode, within which both share a basin."""

NO_CENTRE = 10.0
"""Nats below the best bound from which a Gaussian is no mode to start from: it has under e⁻¹⁰ of the mass."""

VALLEY = 3.0
"""Nats that the density falls between two Gaussians of different modes: a bend of one mode falls less."""

FEWEST, MOST = 2**13, 2**21
"""Points of a search. The fewest are those of 1,024 rays; where time is short, a quarter of them. The most are what a
density of microseconds has within seconds."""

TIMED, MOST_TIMED = 64, 1024
"""Points of the first timing, and of the last. Of a density that takes 10 ms, the first takes under a second."""

ENOUGH, ENOUGH_OF_WANTED = 2**14, 16
"""So many points, or a sixteenth of the wanted if that is more, are a search. At ten dimensions, two modes and 24 s
that allows 55 microseconds a density, enough for a few hundred rows of data."""

SHARE_OF_ONE, SHARE_OF_MORE = 0.02, 0.15
"""Parts of the warm-up's time that the points of one known mode, and of several, may take: a posterior of several modes
is likelier to have others."""


class Candidates(NamedTuple):
    """Points ``x: (N, D)`` that known modes do not explain, and their distance ``gap: (N,)`` to the nearest mode."""

    x: Tensor
    gap: Tensor


@torch.no_grad()
def best_of_modes(density: LogDensityAndScore, local: LocalGaussians) -> list[int]:
    """Indices of the best Gaussian of each mode, best first.

    Two Gaussians are of one mode where no valley lies between their means. A bent posterior is described by many
    Gaussians, each in touch with the next, and counts as one mode. Gaussians of under e⁻¹⁰ of the best one's mass are
    left out.
    """
    means = local.mean[local.elbo > local.elbo.max() - NO_CENTRE]
    count = len(means)
    one, other = torch.triu_indices(count, count, 1, device=means.device)
    shares = torch.tensor([0.25, 0.5, 0.75], dtype=means.dtype, device=means.device)[:, None, None]
    between = means[one] + shares * (means[other] - means[one])
    value = density(torch.cat([means, between.flatten(0, 1)]))[0]
    low = value[count:].reshape(3, -1).amin(0)
    touching = torch.eye(count, dtype=torch.bool, device=means.device)
    touching[one, other] = touching[other, one] = low > torch.minimum(value[one], value[other]) - VALLEY
    label = torch.arange(count, device=means.device)
    for _ in range(count):
        label = torch.where(touching, label, count).amin(1)
    return label.unique().tolist()


class Screening:
    """A search for points whose density the known modes do not explain.

    It looks at many points without gradients. Of those that look unexplained it takes the score too.

    - ``calls``: target calls without gradients. Calls for scores are not among them.
    - ``wanted``: how many points several known modes last asked for. It is 0 where there was one mode.
    - ``looked``: for how many of the wanted points there was time.

    Args:
        target: the density.
        law: where to look.
        max_seconds: of the warm-up, of which the points may take a small share.
        generator: source of randomness.
    """

    def __init__(self, target: Target, law: RayLaw, max_seconds: float, generator: Generator | None):
        self.target, self.law, self.max_seconds, self.generator = target, law, max_seconds, generator
        self.calls, self.wanted, self.looked = 0, 0, 0

    @property
    def cut(self) -> bool:
        """Whether so few points were looked at that a mode beside the known ones may well be missing."""
        return self.looked < min(self.wanted, max(ENOUGH, self.wanted // ENOUGH_OF_WANTED))

    def __str__(self) -> str:
        """How many points were looked at; empty where that was all of them."""
        if self.looked >= self.wanted:
            return ""
        text = f"looked for more modes at {self.looked:,} of {self.wanted:,} points"
        return f"too little time: {text}, so that one may be missing: raise max_seconds" if self.cut else text

    def points(self, num_modes: int, x: Tensor) -> int:
        """How many points to look at: ``num_modes · 2^(9 + min(D, 10))``, at least 8,192 and at most 2,097,152.

        More dimensions need more points: the share of a shell that a ball covers halves, or worse, with each. The
        number is divided by four until the points take 2 % of ``max_seconds`` at most, 15 % with several modes. Steps
        of four let the same machine come to the same number. Below 2,048 the number is 0.

        Args:
            num_modes: how many modes are known.
            x: points to time the density at, ``(N, D)``.
        """
        points = min(MOST, max(FEWEST, 2 ** (9 + min(self.target.dim, 10)) * num_modes))
        seconds = self.max_seconds * (SHARE_OF_ONE if num_modes == 1 else SHARE_OF_MORE)
        self.wanted = points if num_modes > 1 else 0
        pace = self._pace(x, seconds / 2)
        while points * pace > seconds:
            points //= 4
        points = points if points >= FEWEST // 4 else 0
        self.looked = points if num_modes > 1 else 0
        return points

    def _pace(self, x: Tensor, seconds: float) -> float:
        """Processor seconds of one density, timed at 64 points, then at up to 1,024 if these take under ``seconds``."""
        batch = x.repeat(-(-MOST_TIMED // len(x)), 1)[:MOST_TIMED].to(self.target.dtype)
        pace = math.inf
        for count in (TIMED, 4 * TIMED, MOST_TIMED, MOST_TIMED):
            if count > TIMED and count * pace > seconds:
                break
            began = time.process_time()
            self._density(batch[:count])
            pace = min(pace, (time.process_time() - began) / count)
        return pace

    @torch.no_grad()
    def run(self, local: LocalGaussians, centres: list[int], points: int, stop: Callable[[], bool]) -> Candidates:
        """At most 12 points whose density is not that of the known Gaussians.

        A point's log density falls below the top by some share of the fall that the Gaussians predict. For every kind
        of ray and every radius the points with the smallest shares count. Those whose score leads to a known mode are
        left out: heavy tails are no modes.

        Args:
            local: the known Gaussians, with masses ``exp(elbo)``.
            centres: indices of the Gaussians around which rays start.
            points: how many to look at, a multiple of eight.
            stop: asked between chunks of rays.
        """
        height = local.elbo.max()
        known = GaussianMixture((local.elbo - height).exp(), local.mean, local.scale_tril)
        around = GaussianMixture(known.weights[centres], known.means[centres], known.scale_trils[centres])
        top = known.log_normalizers().max()
        pools: list[tuple[Tensor, Tensor]] = []
        for begin in range(0, points // RADII, RAYS_AT_A_TIME):
            if stop():
                self.looked = min(self.looked, begin * RADII)
                break
            count = min(RAYS_AT_A_TIME, points // RADII - begin)
            for kind, rays in enumerate(self.law(around, count, self.generator)):
                x = rays.points()
                log_q = explained(known, rays)
                excess = (self._density(x.flatten(0, 1)).reshape(log_q.shape) - height - log_q) / (
                    CONSTANT_FALL + top - log_q
                )
                if kind < len(pools):
                    excess, x = torch.cat([pools[kind][0], excess]), torch.cat([pools[kind][1], x])
                best, rows = excess.topk(min(KEPT, len(excess)), dim=0)
                pools[kind : kind + 1] = [(best, x.gather(0, rows[..., None].expand(-1, -1, x.shape[-1])))]
        if not pools:
            return Candidates(known.means[:0], known.means[:0, 0])
        excess, x = (torch.cat([pool[part].flatten(0, 1) for pool in pools]) for part in (0, 1))
        high = excess > UNEXPLAINED
        if not bool(high.any()):
            return Candidates(known.means[:0], known.means[:0, 0])
        return self._chosen(known, x[high], excess[high])

    def _chosen(self, known: GaussianMixture, x: Tensor, excess: Tensor) -> Candidates:
        """Points whose score leads to no known mode, the least explained first, none near a better one."""
        _, score = self.target.log_prob_and_score(x.to(self.target.dtype))
        pull = known.scale_trils.mT @ score.double().mT
        cosine = torch.nn.functional.cosine_similarity(-known.whiten(x), pull, dim=1).amax(0)
        gap = torch.cdist(x, known.means).amin(1)
        merit = torch.where(cosine < ALIGNED, excess * (1 - cosine), 0.0)
        chosen: list[int] = []
        while len(chosen) < CANDIDATES and float(merit.max()) > 0:
            index = int(merit.argmax())
            chosen.append(index)
            merit = torch.where((x - x[index]).norm(dim=1) < APART * gap[index], 0.0, merit)
            merit[index] = 0.0
        return Candidates(x[chosen], gap[chosen])

    def _density(self, x: Tensor) -> Tensor:
        self.calls += len(x)
        return self.target.log_prob(x.to(self.target.dtype)).double()
