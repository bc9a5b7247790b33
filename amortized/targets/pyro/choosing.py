"""The choice of coordinates: c of every element whose prior moves with other latents, in about a second.

1. The density is recorded once with logit c as more inputs, so that nothing is recorded twice while c is learned.
2. A mean-field Gaussian and c are fitted together, then a full-rank one up to ``FULL_RANK`` dimensions.
3. At its draws, k is the curvature of the likelihood along each element standardized by its prior: 0 where the data say
   nothing, large where they say much. c is the lower decile of k / (I + k). I is the prior's own curvature, 1 for a
   normal one.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, replace

import torch

from amortized._types import Sites, Tensor
from amortized.targets.pyro.batching import FAILURES, Batching, Vmap
from amortized.targets.pyro.captured import Captured, capture
from amortized.targets.pyro.checks.loop_values import loop_values
from amortized.targets.pyro.fitting import Gaussian, effort_within, fitted
from amortized.targets.pyro.frames import Frames, frames
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.structure import Structure
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError, Placing

FULL_RANK = 100
"""Dimensions up to which the second fit is full rank: 5,000 numbers to learn from 64 particles."""
RECORDING, FITS = 0.5, 0.8
"""Part of the time for recording, and of what is left for the fits: the rest is for the curvature."""
DECILE = 0.1
"""Where k differs from draw to draw, a funnel's neck decides: mass is lost there, and no weight tells. With the mean
instead, four groups under flat scales had .016 for P(scale < .22), .030 in truth. On ten groups of 1,000 rows that
hardly differ log Z was .04 too low."""
LEAST = 0.5
"""Of a prior's mean curvature: a Cauchy's; a Laplace's is 0 everywhere but at its centre."""
STEP = 1e-2
"""Of the finite difference of scores: a hundredth of a prior's standard deviation, far above rounding in float32."""
ALMOST_WRITTEN = 0.9
"""c above which nothing moves: two seeds of the choice agree to .08, so that 1 is as likely."""
LOGIT = "logit c of "
AS_STANDARD, AS_WRITTEN = -30.0, 30.0
"""Logits at which c is 0, and 1, in float32 and in float64 to 1e-13."""


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Args:
        centring: c by site; empty if nothing is moved.
        reasons: Why, for each latent site.
    """

    centring: Sites
    reasons: dict[str, str]


class WithLogits(Program):
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

    @property
    def places(self) -> list[int]:
        """Those of the moving sites in ``x``."""
        slices = [self.plain.latents[name].slice for name in self.names]
        return [place for one in slices for place in range(one.start, one.stop)]

    def at(self, x: Tensor, logit: float) -> Tensor:
        """``x: (B, D)`` with the same logit for every element, ``(B, D + E)``."""
        return torch.cat([x, x.new_full((len(x), self.structure.dim - self.plain.dim), logit)], 1)

    def placing(self, pieces: Sites) -> Placing:
        centring = {name: pieces[LOGIT + name].sigmoid() for name in self.names}
        latents = dict(self.plain.latents)
        for name, c in centring.items():
            latents[name] = replace(latents[name], centring=latents[name].spread(c))
        return Placing(self.plain.parameters, latents, {name: pieces[name] for name in latents})

    def standardized(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of the point that ``x`` with its logits is: its coordinates at c = 0, and the prior's curvature along each.

        Both are ``(D,)``; the curvature is that of a normal one, 1, where the site does not move.
        """
        pieces = self.structure.pieces(x)
        placing = self.placing(pieces)
        self._trace(placing)
        z, curvature = [], []
        for name, latent in self.plain.latents.items():
            moved = placing.standardized.get(name)
            z.append(pieces[name] if moved is None else latent.gather(moved.placed.z))
            curvature.append(torch.ones_like(z[-1]) if moved is None else latent.gather(moved.curvature()))
        return torch.cat(z), torch.cat(curvature)


def deciles(program: WithLogits, batch: Batching, x: Tensor, own: Tensor) -> Tensor:
    """The lower decile of k / (I + k) for each of D elements; NaN if k is finite nowhere, or if the site does not move.

    Args:
        program: Says which elements move.
        batch: Its densities.
        x: Standardized points, ``(B, D)``.
        own: Curvature of the prior there, ``(B, D)``. I is its mean, at least ``LEAST``.
    """
    wide, shares = program.at(x, AS_STANDARD), x.new_full((x.shape[1],), torch.nan)
    for place in program.places:
        step = torch.zeros_like(wide[0])
        step[place] = STEP
        up, down = batch.log_prob_and_score(wide + step)[1], batch.log_prob_and_score(wide - step)[1]
        k = (-(up - down)[:, place] / (2 * STEP) - own[:, place]).clamp(min=0)
        fine = k.isfinite()
        if fine.any():
            prior = own[fine, place].mean().clamp(min=LEAST)
            shares[place] = (k[fine] / (prior + k[fine])).quantile(DECILE)
    return shares


@torch.no_grad()
def choose_coordinates(target: PyroTarget, seed: int, seconds: float) -> Choice:
    """c of every element whose frame moves.

    Args:
        target: As the model is written.
        seed: Of the fits.
        seconds: Limit, of which recording the density with c as an input may take half.

    Returns:
        The choice. Its ``centring`` is empty if no frame moves, or if there is no time.
    """
    ends = time.perf_counter() + seconds
    program, found = target.program, frames(target.program)
    reasons = reasons_to_stay(found)
    if not found.moving:
        return Choice({}, reasons)
    wide = WithLogits(program, found)
    batch = _recorded(target, wide, seed, RECORDING * seconds)
    if batch is None:
        why = f"as written: the density was not recorded within {RECORDING * seconds:.2g} s"
        return Choice({}, reasons | dict.fromkeys(found.moving, why))
    shares = _shares(wide, batch, seed, ends - time.perf_counter())
    if shares is None:
        return Choice({}, reasons | dict.fromkeys(found.moving, "as written: the time was too short to choose"))
    return chosen(wide, shares, reasons)


def reasons_to_stay(found: Frames) -> dict[str, str]:
    """Why the sites whose frame does not move stay as they are written."""
    reasons = dict.fromkeys(found.without, "as written: its prior has no location and scale")
    reasons |= dict.fromkeys(found.differing, "as written: its prior differs between states of a summed-out latent")
    return reasons | dict.fromkeys(found.constant, "as written: its prior is constant")


def chosen(program: WithLogits, shares: Tensor, reasons: dict[str, str]) -> Choice:
    """The choice at c of each coordinate, ``shares: (D,)``, beside the reasons of the sites that do not move."""
    centring, reasons = {}, dict(reasons)
    for name in program.names:
        latent = program.plain.latents[name]
        c = shares[latent.slice]
        if not c.isfinite().all():
            reasons[name] = "as written: the curvature was not finite"
            continue
        if c.min() > ALMOST_WRITTEN:
            reasons[name] = f"as written: the data say almost all of it (c = {_range(c)})"
            continue
        centring[name] = latent.spread(c)
        reasons[name] = f"c = {_range(c)}: 0 is known from the prior alone, 1 from the data alone"
    return Choice(centring, reasons)


def in_chosen_coordinates(target: PyroTarget, seed: int, seconds: float) -> tuple[PyroTarget, dict[str, str]]:
    """The target in the coordinates that were chosen for it, or itself, and why for each latent site.

    Args:
        target: As the model is written.
        seed: Of the choice and of the new target's checks.
        seconds: Limit of the choice; the new target may take as long again to be recorded.
    """
    return moved_by(choose_coordinates(target, seed, seconds), target, seed, seconds)


def moved_by(choice: Choice, target: PyroTarget, seed: int, seconds: float) -> tuple[PyroTarget, dict[str, str]]:
    """The target moved by a choice, or itself where it cannot be moved, and why for each latent site."""
    if not choice.centring:
        return target, choice.reasons
    moved = moved_to(target, choice.centring, seed, seconds)
    if moved is None:
        return target, choice.reasons | dict.fromkeys(choice.centring, "as written: moved, it could not be recorded")
    return moved, choice.reasons


def moved_to(target: PyroTarget, centring: Sites, seed: int, seconds: float) -> PyroTarget | None:
    """The target at these c, by site; None if it cannot be batched as before."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the target as written has said it all
            moved = target.moved_to(centring, seed, seconds)
    except (ModelError, *FAILURES):
        return None
    return moved if moved.batching == target.batching else None


def _recorded(target: PyroTarget, program: Program, seed: int, seconds: float) -> Captured | None:
    if not target.batching.startswith("vmap") or not seconds:
        return None
    try:
        return capture(Vmap(program), loop_values(program, seed), seconds)
    except (ModelError, *FAILURES):  # a model that cannot be moved stays as it is written
        return None


def _shares(program: WithLogits, batch: Batching, seed: int, seconds: float) -> Tensor | None:
    """c of each coordinate; None if the seconds are too few."""
    structure: Structure = program.plain
    dim, extra = structure.dim, program.structure.dim - structure.dim
    like = torch.zeros(dim, dtype=structure.dtype, device=structure.device)
    generator = torch.Generator().manual_seed(seed)
    fit = Gaussian(like.clone(), like - 1, like.new_zeros(dim, dim), like.new_zeros(extra))
    stages = [False, True] if dim <= FULL_RANK else [False]
    effort = effort_within(batch, fit, len(stages), FITS * seconds)
    if effort is None:
        return None
    for full in stages:
        fit = fitted(batch, fit, effort, generator, full)
    x, _ = fit.at(torch.randn(effort.particles, dim, generator=generator).to(like))
    wide = torch.cat([x, fit.logits.expand(len(x), -1)], 1)
    standard, own = Vmap(program).map(program.standardized, wide)
    return deciles(program, batch, standard, own)


def _range(c: Tensor) -> str:
    low, high = float(c.min()), float(c.max())
    return f"{low:.2f}" if math.isclose(low, high, abs_tol=5e-3) else f"{low:.2f} to {high:.2f}"
