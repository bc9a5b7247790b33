"""What the plain loop gives at a few points, densities and scores: every batching is compared with it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch

from amortized._types import Tensor
from amortized.targets.base import or_zero
from amortized.targets.pyro.batching import FAILURES, Loop, isolated
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.trace import ModelError, undisturbed

MOST_POINTS = 64
"""Points tried before a density counts as finite nowhere: its support may be a small part of the space."""
COMPARED = 4
"""Points compared; each costs a gradient by the loop, which may take a tenth of a second."""
STDS = (0.0, 0.3, 1.0, 2.0, 0.1, 3.0, 0.01, 10.0)
"""Standard deviations of the points, in turn: scales of ten orders after ``exp``; the first point is 0."""
FAR = (10.0, 30.0, 100.0)
"""Distances of extreme points: exp(10) and exp(30) are extreme scales, exp(100) is beyond float32."""
EXTREMES_WITHIN = 0.5
"""Seconds for the extreme points, which the loop takes one by one."""
NOISE_FACTOR = 20
"""Times the change under a few units in the last place of x that counts as rounding: batched sums differ in order."""


@dataclass(frozen=True)
class LoopValues:
    """Densities and scores by the plain loop at N points, and how far rounding moves them.

    Args:
        x: The points, ``(N, D)``.
        value: Their log densities, ``(N,)``, in nats.
        score: Their scores, ``(N, D)``.
        value_noise: What counts as rounding of each log density, ``(N,)``.
        score_noise: What counts as rounding of each largest component of a score, ``(N,)``.
        milliseconds: Time of one gradient.
        extremes: Extreme points, ``(E, D)``; values at x must not depend on whether these are in the same batch.
        extreme_value: Their log densities, ``(E,)``; -inf if not finite.
    """

    x: Tensor
    value: Tensor
    score: Tensor
    value_noise: Tensor
    score_noise: Tensor
    milliseconds: float
    extremes: Tensor
    extreme_value: Tensor

    def at_most(self, milliseconds: float) -> LoopValues:
        """All points or, if a gradient takes longer, the last alone: the first may be 0, where slopes vanish."""
        if self.milliseconds <= milliseconds:
            return self
        names = ("x", "value", "score", "value_noise", "score_noise")
        return replace(self, **{name: getattr(self, name)[-1:] for name in names})

    def differs(self, value: Tensor, score: Tensor) -> str | None:
        """What differs beyond rounding, in words; None if nothing does."""
        if not len(value):
            return None
        tolerance = 1e-4 if value.dtype == torch.float32 else 1e-8
        finite = value.isfinite() & score.isfinite().all(-1)
        if not finite.all():
            return f"its log density {value[~finite][0].item():g}, or its gradient, is not finite where the loop's is"
        size = self.score.abs().amax(-1)
        value_gap = (value - self.value).abs() - (tolerance * self.value.abs().clamp(min=1) + self.value_noise)
        score_gap = (score - self.score).abs().amax(-1) - (tolerance * size.clamp(min=1) + self.score_noise)
        for gap, name, got, want in (
            (value_gap, "log density", value, self.value),
            (score_gap, "largest gradient", score.abs().amax(-1), size),
        ):
            if gap.max() > 0:
                worst = int(gap.argmax())
                return f"its {name} is {got[worst].item():.6g} where the loop gives {want[worst].item():.6g}"
        return None


def points_at_many_scales(count: int, dim: int, dtype: torch.dtype, device: torch.device, seed: int) -> Tensor:
    """``(count, dim)`` normal draws whose standard deviations cycle through ``STDS``; the first point is 0."""
    generator = torch.Generator("cpu").manual_seed(seed)
    stds = torch.tensor(STDS, device="cpu").repeat(count // len(STDS) + 1)[:count, None]
    return (torch.randn(count, dim, generator=generator, device="cpu") * stds).to(device, dtype)


def extreme_points(dim: int, dtype: torch.dtype, device: torch.device, seed: int) -> Tensor:
    """Points far out on either side in all coordinates, and in random directions."""
    generator = torch.Generator("cpu").manual_seed(seed)
    far = torch.tensor(FAR, device="cpu")[:, None] * torch.ones(dim, device="cpu")
    random = torch.randn(2, dim, generator=generator, device="cpu") * far[:1]
    return torch.cat([far, -far, random]).to(device, dtype)


def loop_values(program: Program, seed: int) -> LoopValues:
    """The loop's values at the first few points, of many scales, with a finite density and score.

    Raises:
        ModelError: They are finite at no point, with the site at fault; or the density is random.
    """
    structure, loop = program.structure, Loop(program)
    points = points_at_many_scales(MOST_POINTS, structure.dim, structure.dtype, structure.device, seed)
    rows, seconds, failure = [], [], None
    for point in points.split(1):
        began = time.perf_counter()
        try:
            value, score = loop.log_prob_and_score(point)
        except ModelError:
            raise
        except FAILURES as error:
            failure = error
            continue
        if value.isfinite().all() and score.isfinite().all():
            seconds.append(time.perf_counter() - began)
            rows.append((point, value, score))
        if len(rows) == COMPARED:
            break
    if not rows:
        raise nowhere_finite(program, points, failure)
    extremes = extreme_points(structure.dim, structure.dtype, structure.device, seed)
    x, value, score = _columns(rows)
    return _with_extremes(loop, x, value, score, extremes, min(seconds))


def far_draws(x: Tensor) -> tuple[Tensor, Tensor]:
    """Four of the draws ``x: (N, D)``, from the central to the outermost, and points ten times as far out."""
    away = (x - x.mean(0)) / x.std(0, correction=0).clamp(min=torch.finfo(x.dtype).tiny)
    order = away.square().nanmean(-1).argsort()  # a data set lacks what is NaN in it
    chosen = x[torch.stack([order[0], order[len(x) // 3], order[(2 * len(x)) // 3], order[-1]])]
    return chosen, x.mean(0) + 10 * (chosen - x.mean(0))


def loop_values_at(program: Program, points: Tensor, extremes: Tensor, milliseconds: float) -> LoopValues:
    """The loop's values at these points; those without a finite density and score count as extreme points."""
    loop = Loop(program)
    nothing = points.new_full((1,), torch.nan), torch.full_like(points[:1], torch.nan)
    rows = [(point, *isolated(loop.log_prob_and_score, point, lambda _: nothing)) for point in points.split(1)]
    x, value, score = _columns(rows)
    usable = value.isfinite() & score.isfinite().all(-1)
    extremes = torch.cat([x[~usable], extremes])
    return _with_extremes(loop, x[usable], value[usable], score[usable], extremes, milliseconds / 1e3)


def _columns(rows: list[tuple[Tensor, ...]]) -> list[Tensor]:
    return [torch.cat(column) for column in zip(*rows, strict=True)]


def _with_extremes(loop: Loop, x: Tensor, value: Tensor, score: Tensor, extremes: Tensor, seconds: float) -> LoopValues:
    """The record with the loop's densities at the extreme points, as many as there is time for."""
    noise = _rounding_noise(loop, x, value, score)
    deadline, far = time.perf_counter() + EXTREMES_WITHIN, []
    for point in extremes.split(1):
        with torch.no_grad():
            far.append(isolated(loop.log_prob, point, lambda _: x.new_full((1,), -torch.inf)))
        if time.perf_counter() > deadline:
            break
    return LoopValues(x, value, score, *noise, 1e3 * seconds, extremes[: len(far)], or_zero(torch.cat(far)))


def _rounding_noise(loop: Loop, x: Tensor, value: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Twenty times the change under a few units in the last place of x; raises ``ModelError`` on one at equal x."""
    if not len(x):
        return value, value
    with undisturbed(x.device):
        torch.manual_seed(1)
        again, _ = loop.log_prob_and_score(x)
    if not torch.equal(again, value):
        row = int((again - value).abs().nan_to_num(torch.inf).argmax())
        raise ModelError(
            f"the model's log density is random: {value[row].item():.8g} and then {again[row].item():.8g} at the same "
            "point. Draw random numbers outside the model, or make them a latent: noise = pyro.sample('noise', ...)"
        )
    step = 4 * torch.finfo(x.dtype).eps
    nearby = x * (1 + step) + step * 1e-3
    near_value, near_score = isolated(loop.log_prob_and_score, nearby, lambda _: (value[:1], score[:1]))
    value_change, score_change = (near_value - value).abs(), (near_score - score).abs().amax(-1)
    value_noise, score_noise = (torch.nan_to_num(change, 0.0, 0.0, 0.0) for change in (value_change, score_change))
    return NOISE_FACTOR * value_noise, NOISE_FACTOR * score_noise


def nowhere_finite(program: Program, starts: Tensor, failure: Exception | None) -> ModelError:
    """The error for a model whose density is finite at no start; it names the sites at fault."""
    for name, value in program.structure.observations.items():
        if count := int(value.isnan().sum()):
            return ModelError(
                f"observed site {name!r}: {count} of its {value.numel()} values are NaN, so the log density is NaN; "
                "drop these rows, or fill them (torch.nan_to_num) under poutine.mask(mask=known)"
            )
    try:
        with undisturbed(starts.device), torch.no_grad():
            terms = program.terms(starts[0])
    except ModelError as error:
        return error
    except FAILURES as error:
        terms, failure = {}, failure or error
    guilty = ", ".join(f"{name!r} ({term.item():g})" for name, term in terms.items() if not term.isfinite())
    cause = f"it raises {type(failure).__name__}: {failure}" if failure else "its gradient is not finite"
    if failure and "Can't call numpy()" in str(failure):  # torch advises detach(), which would lose the gradient
        return ModelError("the model hands a latent to numpy: write torch's function instead, torch.exp for np.exp")
    return ModelError(
        f"log density and gradient are finite at none of {len(starts)} dispersed starts; at 0 in unconstrained space "
        + (f"the log probability is not finite at site {guilty}" if guilty else cause)
        + ". Check that the data lie in the support of the likelihood and that no scale is 0"
    )
