"""A whole guide as a method of the benchmark: ``DiffusionGuide(model).fit()``, as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amortized._types import Tensor
from amortized.benchmark.budget import CLOCKS, Budget
from amortized.benchmark.trained import Trained
from amortized.guide.guide import DiffusionGuide
from amortized.guide.single import Single
from amortized.targets.base import Target
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.transformed import from_origin, to_origin


@dataclass(frozen=True)
class GuideMethod:
    """The guide that ``kind`` makes, fitted in ``budget.seconds`` of wall clock, its own verdict included.

    It chooses its own coordinates, so it calls a density of its own: the energy calls are of that one. Training ends
    before the budget does where it has converged, or where it does not pay.

    Args:
        kind: Makes the guide, as in ``kind(model, seed=0)``.

    Raises:
        TypeError: A target that is no Pyro model.
        ValueError: A budget that is not in seconds: the guide plans by the clock.
    """

    kind: Callable[..., DiffusionGuide] = DiffusionGuide

    def __call__(self, target: Target, scale: float, budget: Budget, seed: int) -> Trained:
        if budget.seconds is None:
            raise ValueError("a whole guide plans by the clock, not by steps or energy calls: write --seconds 120")
        if not isinstance(target, PyroTarget):
            raise TypeError(f"{type(target).__name__}: a whole guide needs a file with def model(...):")
        clock = CLOCKS[budget.clock]
        began = clock()
        program = target.program
        guide = self.kind(program.model, seed=seed, max_seconds=budget.seconds, progress=False, device=target.device)
        fit = guide.fit(*program.args, **program.kwargs).fitted
        seconds = clock() - began
        record = guide.training_record
        assert isinstance(fit, Single) and record is not None
        white, own = fit.prepared.white, fit.target

        def unwhiten(u: Tensor) -> Tensor:
            return target.unconstrain(own.constrain(to_origin(white, u)[0]))

        def whiten(x: Tensor) -> Tensor:
            return from_origin(white, own.unconstrain(target.constrain(x)))

        losses = record.bridge_losses + record.losses
        return Trained(
            sampler=fit.trained,
            target=white,
            unwhiten=unwhiten,
            whiten=whiten,
            losses=losses,
            steps=len(losses),
            seconds=seconds,
            energy_calls=own.calls,
        )
