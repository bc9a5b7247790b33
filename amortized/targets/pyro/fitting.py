"""The best Gaussian of a density that was recorded with logits of c as further inputs, and c fitted beside it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.targets.pyro.batching import Batching

STEPS, PARTICLES = 400, 64
"""Of each fit: two seeds then agree to .08 in c on eight models, and the fits take half a second."""
FEWEST_STEPS, FEWEST_PARTICLES = 200, 16
"""Where a density is expensive; a choice. With less time than these take nothing is chosen."""
RATES = (0.1, 0.03)
"""Learning rates of the mean-field and the full-rank fit; they fall to a twentieth."""


@dataclass
class Gaussian:
    """A Gaussian ``m + s (e + A e)``, A strictly lower triangular, and the logits of c beside it.

    Args:
        mean: m, ``(D,)``.
        log_scale: log s, ``(D,)``.
        lower: A, ``(D, D)``.
        logits: ``(E,)``.
    """

    mean: Tensor
    log_scale: Tensor
    lower: Tensor
    logits: Tensor

    def at(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The points of ``noise: (B, D)``, and these before m and s."""
        r = noise + noise @ self.lower.T
        return self.mean + self.log_scale.exp() * r, r


@dataclass(frozen=True)
class Effort:
    """What a fit may take.

    Args:
        steps: Of Adam.
        particles: In each step.
    """

    steps: int
    particles: int


def effort_within(batch: Batching, start: Gaussian, fits: int, seconds: float) -> Effort | None:
    """So many steps and particles that ``fits`` fits keep to ``seconds``; None if there is no time for the fewest.

    The density is timed at two batches, once more than is counted.
    """
    point = torch.cat([start.mean, start.logits])
    ended = time.perf_counter() + seconds
    for particles in (PARTICLES, FEWEST_PARTICLES):
        x = point.expand(particles, -1).contiguous()
        batch.log_prob_and_score(x)
        began = time.perf_counter()
        batch.log_prob_and_score(x)
        now = time.perf_counter()
        steps = math.floor((ended - now) / (fits * max(now - began, 1e-6)))
        if steps >= (STEPS if particles == PARTICLES else FEWEST_STEPS):
            return Effort(min(steps, STEPS), particles)
    return None


def fitted(batch: Batching, start: Gaussian, effort: Effort, generator: Generator, full: bool) -> Gaussian:
    """Adam on the evidence lower bound, with antithetic particles; a particle without a finite score is left out.

    Args:
        batch: Densities of ``(B, D + E)``.
        start: Is changed.
        effort: Steps and particles.
        generator: Of the particles.
        full: Whether A is learned.
    """
    parts = [start.mean, start.log_scale, start.lower, start.logits]
    first, second = [torch.zeros_like(p) for p in parts], [torch.zeros_like(p) for p in parts]
    for step in range(effort.steps):
        half = torch.randn(effort.particles // 2, len(start.mean), generator=generator).to(start.mean)
        noise = torch.cat([half, -half])
        x, r = start.at(noise)
        value, score = batch.log_prob_and_score(torch.cat([x, start.logits.expand(effort.particles, -1)], 1))
        fine = value.isfinite() & score.isfinite().all(1)
        if not fine.any():
            start.log_scale -= 0.5
            continue
        own, logit_score = score[fine].split([len(start.mean), len(start.logits)], 1)
        scaled = own * start.log_scale.exp()
        lower = (scaled.T @ noise[fine] / int(fine.sum())).tril(-1) if full else torch.zeros_like(start.lower)
        slopes = [own.mean(0), (scaled * r[fine]).mean(0) + 1, lower, logit_score.mean(0)]
        rate = RATES[full] * 0.05 ** (max(0.0, step / effort.steps - 0.3) / 0.7)
        for place, part in enumerate(parts):
            first[place].mul_(0.9).add_(0.1 * slopes[place])
            second[place].mul_(0.99).add_(0.01 * slopes[place] ** 2)
            away = (second[place] / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8
            part += (2 if place == 3 else 1) * rate * first[place] / (1 - 0.9 ** (step + 1)) / away
        start.log_scale.clamp_(-12, 5)
        start.logits.clamp_(-8, 8)
    return start
