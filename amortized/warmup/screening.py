"""Where no known mode explains the density: many points, and the best of them to start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore
from amortized.mixtures.gaussian import GaussianMixture
from amortized.optimise.gaussians import LocalGaussians
from amortized.targets.base import Target
from amortized.targets.cost import pace
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

LEAST_PACE = 1e-9
"""Least seconds of a density, where the clock is too coarse to see any."""

TIMED, TIMING = (8, 8, 64, 256, 1024, 1024), 0.1
"""Points of the timed batches, and the part of the seconds of a search that none of them should take."""

ENOUGH, ENOUGH_OF_WANTED = 2**14, 16
"""So many points, or a sixteenth of the wanted if that is more, are a search. At ten dimensions, two modes and 24 s
that allows 55 microseconds a density, enough for a few hundred rows of data."""

SHARE_OF_ONE, SHARE_OF_MORE = 0.02, 0.15
"""Parts of the warm-up's time that the points of one known mode, and of several, may take: a posterior of several modes
is likelier to have others."""

SHARE_OF_FEW = 0.7
"""The same part where only few calls fit into the time. The short plan tempers nothing: these points show that no mode
is missing, and it asks for no more of them than are a search."""


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
    - ``few_calls``: whether only few calls fit into the time. Then a search ends as soon as it finds a mode.

    Args:
        target: the density.
        law: where to look.
        max_seconds: of the warm-up, of which the points may take a small share.
        generator: source of randomness.
    """

    def __init__(self, target: Target, law: RayLaw, max_seconds: float, generator: Generator | None):
        self.target, self.law, self.max_seconds, self.generator = target, law, max_seconds, generator
        self.calls, self.wanted, self.looked, self.few_calls = 0, 0, 0, False
        self.num_modes, self.cost = 0, 0.0

    @property
    def cut(self) -> bool:
        """Whether so few points were looked at that a mode beside the known ones may well be missing."""
        return self.looked < self.enough

    @property
    def enough(self) -> int:
        """So many of the wanted points are a search."""
        return min(self.wanted, max(ENOUGH, self.wanted // ENOUGH_OF_WANTED))

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
        self.wanted = points if num_modes > 1 else 0
        if self.few_calls and num_modes > 1:
            return self._few_points(num_modes, x)
        seconds = self.max_seconds * (SHARE_OF_ONE if num_modes == 1 else SHARE_OF_MORE)
        cost = self._pace(x, seconds)
        while points * cost > seconds:
            points //= 4
        points = points if points >= FEWEST // 4 else 0
        self.looked = points if num_modes > 1 else 0
        return points

    def _few_points(self, num_modes: int, x: Tensor) -> int:
        """2,048 points, and if these find no other mode the rest of a search, if the time allows it.

        Points that led to other modes do not count: only a whole search that finds none shows that none is missing.
        """
        if num_modes != self.num_modes:
            self.looked, self.num_modes = 0, num_modes
        seconds = self.max_seconds * SHARE_OF_FEW
        self.cost = self.cost or self._pace(x, seconds)
        affordable = int(seconds / self.cost) - self.calls
        first = FEWEST // 4
        if self.looked and affordable < self.enough - self.looked:
            return 0  # a part of a search shows nothing, and the weights need the calls
        points = max(0, min(self.enough - self.looked if self.looked else first, affordable)) // RADII * RADII
        self.looked += points
        return points

    def _pace(self, x: Tensor, seconds: float) -> float:
        """Wall-clock seconds of one density, where a search may take ``seconds``."""
        batch = x.repeat(-(-TIMED[-1] // len(x)), 1)[: TIMED[-1]].to(self.target.dtype)
        return max(pace(self._density, batch, TIMED, TIMING * seconds), LEAST_PACE)

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
                self.looked = max(0, self.looked - (points - begin * RADII))
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
