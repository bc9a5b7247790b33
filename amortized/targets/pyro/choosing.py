"""The choice of coordinates: c of every element whose prior moves with other latents, in about a second.

1. The density is recorded once with logit c as more inputs, so that nothing is recorded twice while c is learned.
2. A mean-field Gaussian and c are fitted together, then a full-rank one up to ``FULL_RANK`` dimensions.
3. At its draws, k is the curvature of the likelihood along each element standardized by its prior: 0 where the data say
   nothing, large where they say much. c is the mean of k / (1 + k).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch

from amortized._types import Sites, Tensor
from amortized.targets.pyro.batching import FAILURES, Batching, Vmap
from amortized.targets.pyro.captured import Captured, capture
from amortized.targets.pyro.checks.loop_values import loop_values
from amortized.targets.pyro.frames import Frames, frames
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.structure import Structure
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError, Placing

STEPS, PARTICLES = 400, 64
"""Of each fit: two seeds then agree to .08 in c on eight models, and the fits take half a second."""
FULL_RANK = 100
"""Dimensions up to which the second fit is full rank: 5,000 numbers to learn from 64 particles."""
DRAWS = 64
"""At which the curvature is averaged."""
STEP = 1e-2
"""Of the finite difference of scores: a hundredth of a prior's standard deviation, far above rounding in float32."""
ALMOST_WRITTEN = 0.95
"""c above which nothing moves: two seeds of the choice agree to .08, so that 1 is as likely."""
LOGIT = "logit c of "
RATES = (0.1, 0.03)
"""Learning rates of the mean-field and the full-rank fit; they fall to a twentieth."""
AS_STANDARD = -30.0
"""A logit at which c is 0 in float32 and in float64 to 1e-13."""


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Args:
        centring: c by site; empty if nothing is moved.
        reasons: Why, for each latent site.
    """

    centring: Sites
    reasons: dict[str, str]


class _WithLogits(Program):
    """The density of ``(x, logits of c)``; sites with a constant frame are standardized, which is an affine change."""

    def __init__(self, program: Program, found: Frames):
        plain = program.structure
        zeros = {name: torch.zeros(plain.latents[name].unconstrained_shape) for name in found.constant}
        self.plain, self.names = plain.moved(zeros), found.moving
        latents, at = dict(plain.latents), plain.dim
        for name in found.moving:
            size = plain.latents[name].size
            place = slice(at, at + size)
            latents[LOGIT + name] = replace(plain.latents[name], name=LOGIT + name, slice=place)
            at += size
        super().__init__(program.model, program.args, program.kwargs, replace(plain, latents=latents, dim=at))

    def placing(self, pieces: Sites) -> Placing:
        centring = {name: pieces[LOGIT + name].sigmoid() for name in self.names}
        latents = dict(self.plain.latents)
        for name, c in centring.items():
            latents[name] = replace(latents[name], centring=c.reshape(latents[name].unconstrained_shape))
        return Placing(self.plain.parameters, latents, {name: pieces[name] for name in latents})

    def standardized(self, x: Tensor) -> Tensor:
        """The coordinates at c = 0 of the point that ``x`` with its logits is: ``(D,)``."""
        pieces = self.structure.pieces(x)
        placing = self.placing(pieces)
        self._trace(placing)
        z = {name: fn.placed.z.reshape(-1) for name, fn in placing.standardized.items()}
        return torch.cat([z.get(name, pieces[name]) for name in self.plain.latents])


@dataclass
class _Gaussian:
    """A Gaussian ``m + s (e + A e)``, A strictly lower triangular, and the logits of c beside it."""

    mean: Tensor
    log_scale: Tensor
    lower: Tensor
    logits: Tensor

    def at(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        r = noise + noise @ self.lower.T
        return self.mean + self.log_scale.exp() * r, r


def _fitted(batch: Batching, start: _Gaussian, generator: torch.Generator, full: bool) -> _Gaussian:
    """Adam on the evidence lower bound, with antithetic particles; a particle without a finite score is left out."""
    parts = [start.mean, start.log_scale, start.lower, start.logits]
    first, second = [torch.zeros_like(p) for p in parts], [torch.zeros_like(p) for p in parts]
    for step in range(STEPS):
        half = torch.randn(PARTICLES // 2, len(start.mean), generator=generator).to(start.mean)
        noise = torch.cat([half, -half])
        x, r = start.at(noise)
        value, score = batch.log_prob_and_score(torch.cat([x, start.logits.expand(PARTICLES, -1)], 1))
        fine = value.isfinite() & score.isfinite().all(1)
        if not fine.any():
            start.log_scale -= 0.5
            continue
        own, logit_score = score[fine].split([len(start.mean), len(start.logits)], 1)
        scaled = own * start.log_scale.exp()
        lower = (scaled.T @ noise[fine] / int(fine.sum())).tril(-1) if full else torch.zeros_like(start.lower)
        slopes = [own.mean(0), (scaled * r[fine]).mean(0) + 1, lower, logit_score.mean(0)]
        rate = RATES[full] * 0.05 ** (max(0.0, step / STEPS - 0.3) / 0.7)
        for place, part in enumerate(parts):
            first[place].mul_(0.9).add_(0.1 * slopes[place])
            second[place].mul_(0.99).add_(0.01 * slopes[place] ** 2)
            away = (second[place] / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8
            part += (2 if place == 3 else 1) * rate * first[place] / (1 - 0.9 ** (step + 1)) / away
        start.log_scale.clamp_(-12, 5)
        start.logits.clamp_(-8, 8)
    return start


def _curvatures(batch: Batching, x: Tensor, dim: int) -> Tensor:
    """Mean of k / (1 + k) for the elements from ``dim`` on: ``x`` is standardized, with logits at ``AS_STANDARD``."""
    shares = []
    for place in range(dim):
        step = torch.zeros_like(x[0])
        step[place] = STEP
        up, down = batch.log_prob_and_score(x + step)[1], batch.log_prob_and_score(x - step)[1]
        k = (-(up - down)[:, place] / (2 * STEP) - 1).clamp(min=0)
        k = k[k.isfinite()]
        shares.append((k / (1 + k)).mean() if len(k) else x.new_tensor(torch.nan))
    return torch.stack(shares)


@torch.no_grad()
def choose_coordinates(target: PyroTarget, seed: int, capture_seconds: float) -> Choice:
    """c of every element whose frame moves.

    Args:
        target: As the model is written.
        seed: Of the fits.
        capture_seconds: Time limit for recording the density with c as an input.

    Returns:
        The choice. Its ``centring`` is empty if no frame moves, or if the density cannot be recorded.
    """
    program, found = target.program, frames(target.program)
    reasons = dict.fromkeys(found.without, "as written: its prior has no location and scale")
    reasons |= dict.fromkeys(found.constant, "as written: its prior is constant")
    if not found.moving:
        return Choice({}, reasons)
    wide = _WithLogits(program, found)
    batch = _recorded(target, wide, seed, capture_seconds)
    if batch is None:
        return Choice({}, reasons | dict.fromkeys(found.moving, "as written: the density was not recorded"))
    shares = _shares(wide, batch, seed)
    centring = {}
    for name in found.moving:
        latent = wide.plain.latents[name]
        c = shares[latent.slice]
        if not c.isfinite().all():
            reasons[name] = "as written: the curvature was not finite"
            continue
        if c.min() > ALMOST_WRITTEN:
            reasons[name] = f"as written: the data say almost all of it (c = {_range(c)})"
            continue
        centring[name] = c.reshape(latent.unconstrained_shape)
        reasons[name] = f"c = {_range(c)}: 0 is known from the prior alone, 1 from the data alone"
    return Choice(centring, reasons)


def in_chosen_coordinates(target: PyroTarget, seed: int, capture_seconds: float) -> tuple[PyroTarget, dict[str, str]]:
    """The target in the coordinates that were chosen for it, or itself, and why for each latent site.

    Args:
        target: As the model is written.
        seed: Of the choice and of the new target's checks.
        capture_seconds: Time limit for each recording.
    """
    choice = choose_coordinates(target, seed, capture_seconds)
    if not choice.centring:
        return target, choice.reasons
    program = target.program
    named: dict[str, Any] = {"seed": seed, "capture_seconds": capture_seconds, "centring": choice.centring}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the target as written has said it all
            moved = PyroTarget(program.model, program.args, program.kwargs, **named)
    except (ModelError, *FAILURES):
        moved = None
    if moved is None or moved.batching != target.batching:
        return target, choice.reasons | dict.fromkeys(choice.centring, "as written: moved, it could not be recorded")
    return moved, choice.reasons


def _recorded(target: PyroTarget, program: Program, seed: int, seconds: float) -> Captured | None:
    if not target.batching.startswith("vmap") or not seconds:
        return None
    try:
        return capture(Vmap(program), loop_values(program, seed), seconds)
    except (ModelError, *FAILURES):  # a model that cannot be moved stays as it is written
        return None


def _shares(program: _WithLogits, batch: Batching, seed: int) -> Tensor:
    structure: Structure = program.plain
    dim, extra = structure.dim, program.structure.dim - structure.dim
    like = torch.zeros(dim, dtype=structure.dtype, device=structure.device)
    generator = torch.Generator().manual_seed(seed)
    start = _Gaussian(like.clone(), like - 1, like.new_zeros(dim, dim), like.new_zeros(extra))
    fit = _fitted(batch, start, generator, full=False)
    if dim <= FULL_RANK:
        fit = _fitted(batch, fit, generator, full=True)
    x, _ = fit.at(torch.randn(DRAWS, dim, generator=generator).to(like))
    standard = Vmap(program).map(program.standardized, torch.cat([x, fit.logits.expand(DRAWS, -1)], 1))
    logits = standard.new_full((DRAWS, extra), AS_STANDARD)
    return _curvatures(batch, torch.cat([standard, logits], 1), dim)


def _range(c: Tensor) -> str:
    low, high = float(c.min()), float(c.max())
    return f"{low:.2f}" if math.isclose(low, high, abs_tol=5e-3) else f"{low:.2f} to {high:.2f}"
