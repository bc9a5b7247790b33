"""The choice of a batching: each is compared with the loop at random points, and the first that agrees is taken."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import torch

from amortized._types import Tensor
from amortized.targets.batching import FAILURES, Batching, Loop, Plate, Vmap, isolated
from amortized.targets.program import Program
from amortized.targets.tracing import ModelError, undisturbed

STARTS = 64
COMPARED = 4
SPREADS = (0.0, 0.3, 1.0, 2.0, 0.1, 3.0, 0.01, 10.0)


@dataclass(frozen=True)
class Reference:
    """Densities and scores by the plain loop at a few points, and how far rounding moves them."""

    x: Tensor
    value: Tensor
    score: Tensor
    value_noise: Tensor
    score_noise: Tensor
    milliseconds: float

    def at_most(self, milliseconds: float) -> Reference:
        """The same or, where a gradient takes longer, its last point alone: the first may be 0, where slopes vanish."""
        if self.milliseconds <= milliseconds:
            return self
        parts = (self.x, self.value, self.score, self.value_noise, self.score_noise)
        return Reference(*(part[-1:] for part in parts), self.milliseconds)

    def differs(self, value: Tensor, score: Tensor) -> str | None:
        """What differs beyond rounding, in words; ``None`` where nothing does."""
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


def dispersed_starts(count: int, dim: int, dtype: torch.dtype, device: torch.device, seed: int) -> Tensor:
    """``(count, dim)`` normal draws, their standard deviations cycling through ``SPREADS`` (the first point is 0)."""
    generator = torch.Generator("cpu").manual_seed(seed)
    spreads = torch.tensor(SPREADS, device="cpu").repeat(count // len(SPREADS) + 1)[:count, None]
    return (torch.randn(count, dim, generator=generator, device="cpu") * spreads).to(device, dtype)


def reference(program: Program, seed: int) -> Reference:
    """The loop's densities and scores at the first few of the dispersed starts at which they are finite.

    Raises ``ModelError`` where they are finite at no start, naming the site at fault, or where the density is random.
    """
    structure, loop = program.structure, Loop(program)
    starts = dispersed_starts(STARTS, structure.dim, structure.dtype, structure.device, seed)
    points, values, scores, seconds, failure = [], [], [], [], None
    for start in starts:
        began = time.perf_counter()
        try:
            value, score = loop.log_prob_and_score(start[None])
        except FAILURES as error:
            failure = error
            continue
        seconds.append(time.perf_counter() - began)
        if value.isfinite().all() and score.isfinite().all():
            points.append(start)
            values.append(value[0])
            scores.append(score[0])
        if len(points) == COMPARED:
            break
    if not points:
        raise nowhere_finite(program, starts, failure)
    x, value, score = torch.stack(points), torch.stack(values), torch.stack(scores)
    value_noise, score_noise = _rounding(loop, x, value, score)
    return Reference(x, value, score, value_noise, score_noise, 1e3 * min(seconds))


def _rounding(loop: Loop, x: Tensor, value: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Twenty times the change under a few units in the last place of x; a change at equal x is refused."""
    with undisturbed(x.device):
        torch.manual_seed(1)
        again, _ = loop.log_prob_and_score(x)
    if not torch.equal(again, value):
        raise ModelError(
            f"the model's log density is random: {value[0].item():.6g} and then {again[0].item():.6g} at the same "
            "point; draw random numbers outside of the model, or by pyro.sample at a site that is inferred"
        )
    step = 4 * torch.finfo(x.dtype).eps
    nearby = x * (1 + step) + step * 1e-3
    near_value, near_score = isolated(loop.log_prob_and_score, nearby, lambda _: (value[:1], score[:1]))
    value_change, score_change = (near_value - value).abs(), (near_score - score).abs().amax(-1)
    return 20 * torch.nan_to_num(value_change, 0.0, 0.0, 0.0), 20 * torch.nan_to_num(score_change, 0.0, 0.0, 0.0)


def nowhere_finite(program: Program, starts: Tensor, failure: Exception | None) -> ModelError:
    """The error for a model whose density is finite at no start; it names the sites at fault."""
    missing = {name: int(value.isnan().sum()) for name, value in program.structure.observations.items()}
    for name, count in missing.items():
        if count:
            return ModelError(
                f"observed site {name!r}: {count} of its {program.structure.observations[name].numel()} values are "
                "NaN, so the log density is NaN; drop these rows, or fill them (torch.nan_to_num) under "
                "poutine.mask(mask=known)"
            )
    try:
        with undisturbed(starts.device), torch.no_grad():
            terms = program.terms(starts[0])
    except FAILURES as error:
        terms, failure = {}, failure or error
    guilty = ", ".join(f"{name!r} ({term.item():g})" for name, term in terms.items() if not term.isfinite())
    cause = f"it raises {type(failure).__name__}: {failure}" if failure else "its gradient is not finite"
    return ModelError(
        f"the log density is finite with its gradient at none of {len(starts)} dispersed starts; at 0 in unconstrained "
        + (f"space the log probability is not finite at site {guilty}" if guilty else f"space {cause}")
        + "; check that the data lie in the support of the likelihood and that no scale is 0"
    )


def choose(program: Program, seed: int) -> tuple[Batching, Reference]:
    """The fastest batching that agrees with the loop; one warning names the cause and the cost where it is not vmap."""
    truth = reference(program, seed)
    candidates: list[Batching] = [Vmap(program), Vmap(program, own_memory=True)]
    if not program.structure.discrete:
        candidates.append(Plate(program))
    causes = []
    for candidate in candidates:
        try:
            differs = truth.differs(*candidate.log_prob_and_score(truth.x))
        except Exception as error:
            differs = f"it raises {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
        if differs is None:
            if isinstance(candidate, Plate):
                _warn(f"is batched by an outer plate instead of vmap ({'; '.join(causes)})")
            return candidate, truth
        cause = f"{candidate.name}: {differs}"
        causes.extend([] if causes and causes[-1] == cause else [cause])
    _warn(
        f"runs one particle after the other, {truth.milliseconds:.1f} ms for each gradient, a hundred times slower "
        f"than a batch ({'; '.join(causes)}). Replace Python branches on tensor values by torch.where, and float(x) "
        "or x.item() by tensor operations, to make it fast"
    )
    return Loop(program), truth


def _warn(what: str) -> None:
    warnings.warn(f"the log density of this model {what}", UserWarning, stacklevel=4)
