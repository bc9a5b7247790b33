"""The choice of a batching: the first that agrees with the plain loop at ordinary points and beside extreme ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from amortized._types import Tensor
from amortized.targets.base import or_zero
from amortized.targets.pyro.batching import Batching, Loop, Plate, Vmap, isolated
from amortized.targets.pyro.checks.loop_values import LoopValues, loop_values
from amortized.targets.pyro.failures import tell
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.trace import ModelError
from amortized.targets.troubles import first_line

ADVICE = (
    "Replace Python branches on tensor values by torch.where, and float(x) or x.item() by tensor operations, to make "
    "it fast"
)


def choose(program: Program, seed: int) -> tuple[Batching, LoopValues]:
    """The fastest batching that agrees with the loop; if that is not vmap, one warning names the cause and the cost."""
    truth = loop_values(program, seed)
    candidates: list[Batching] = [Vmap(program), Vmap(program, own_memory=True)]
    if not program.structure.discrete:
        candidates.append(Plate(program))
    chosen, causes = _first_agreeing(candidates, truth)
    if isinstance(chosen, Plate):
        _warn(f"is batched by an outer plate instead of vmap ({'; '.join(causes)})")
    if chosen is None:
        _warn(f"{_one_by_one(truth)} ({'; '.join(causes)}). {ADVICE}")
    return chosen or Loop(program), truth


def still_agreeing(batching: Batching, fallbacks: Sequence[Batching], truth: LoopValues) -> Batching:
    """The first of ``batching``, the fallbacks and the loop that agrees with the loop at points found later.

    If it is not ``batching``, one warning says what differed.
    """
    chosen, causes = _first_agreeing([batching, *fallbacks], truth)
    if chosen is None:
        _warn(f"{_one_by_one(truth)} (at draws of the posterior: {'; '.join(causes)}). {ADVICE}")
    elif chosen is not batching:
        _warn(f"is batched by {chosen.name} from now on (at draws of the posterior: {'; '.join(causes)})")
    return chosen or Loop(batching.program)


def _one_by_one(truth: LoopValues) -> str:
    return (
        f"runs one particle after the other, {truth.milliseconds:.1f} ms for each gradient, a hundred times slower "
        "than a batch"
    )


def _first_agreeing(candidates: Sequence[Batching], truth: LoopValues) -> tuple[Batching | None, list[str]]:
    """The first candidate that agrees with the loop, None if none does; and why those before it do not."""
    causes: list[str] = []
    for candidate in candidates:
        try:
            differs = disagreement(candidate, truth)
        except ModelError:
            raise
        except Exception as error:
            differs = _raised(error)
        if differs is None:
            return candidate, causes
        cause = f"{candidate.name}: {differs}"
        causes.extend([] if causes and causes[-1] == cause else [cause])
    return None, causes


def _raised(error: Exception) -> str:
    """What a candidate raised, in one clause: torch's text on vmap has 80 words and asks for a report to torch."""
    if "data-dependent control flow" in str(error):
        return "it reads the value of a tensor, as .item(), float() and if do"
    return f"it raises {type(error).__name__}: {first_line(error)}"


def disagreement(candidate: Batching, truth: LoopValues) -> str | None:
    """How a batch differs from the loop's points one by one, in words; None if it does not.

    The points are evaluated together first, then beside the extreme ones: a model that asks ``(rate > 1e6).any()`` must
    not change one particle because of another. At an extreme point rounding has no bound. So its value may differ from
    the loop's if it is the candidate's own value for that point alone.
    """
    differs = truth.differs(*candidate.log_prob_and_score(truth.x))
    if differs is not None:
        return differs

    def evaluated(x: Tensor) -> tuple[Tensor, Tensor]:
        failed = x.new_full((1,), torch.nan), torch.full_like(x[:1], torch.nan)
        return isolated(candidate.log_prob_and_score, x, lambda _: failed)

    value, score = evaluated(torch.cat([truth.x, truth.extremes]))
    count = len(truth.x)
    differs = truth.differs(value[:count], score[:count])
    if differs is not None:
        return f"beside an extreme point {differs}"
    beside = or_zero(value[count:])
    for row in (~_close(beside, truth.extreme_value)).nonzero()[:, 0]:
        alone = or_zero(evaluated(truth.extremes[row][None])[0])
        if not _close(beside[row], alone[0]):
            got = f"{beside[row].item():.6g} beside other points and {alone.item():.6g} alone"
            return f"its log density at an extreme point is {got}"
    return None


def _close(one: Tensor, other: Tensor) -> Tensor:
    """Whether log densities are equal up to a thousandth, which may be the rounding of extreme values."""
    return (one == other) | ((one - other).abs() <= 1e-3 * other.abs().clamp(min=1))


def _warn(what: str) -> None:
    tell(f"the log density of this model {what}")
