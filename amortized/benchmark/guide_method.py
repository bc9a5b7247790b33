"""The default pipeline of ``DiffusionGuide`` as a method of the benchmark: warm-up, whitening, mixture, training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from amortized.benchmark.budget import Budget, Meter, NetworkCalls
from amortized.benchmark.trained import Trained
from amortized.samplers import DiffusionSampler, GFlowNet
from amortized.targets.base import Target
from amortized.training.preparation import prepare, warm_up_checked
from amortized.training.recipe import Recipe, train_on
from amortized.training.record import material_of

UNLIMITED_SECONDS = 1e9
"""For a budget of energy calls, whose meter stops the training."""

WARM_UP_CALLS = 300_000
"""The warm-up's own default, for a budget of seconds."""


@dataclass(frozen=True)
class GuideMethod:
    """What ``DiffusionGuide(model, recipe=recipe).fit()`` does. The warm-up may take half of the budget.

    Training may end before the budget does, when it has converged. The warm-up looks at its limit between its stages,
    so a very small budget is overspent; the result shows by how much.

    Args:
        recipe: Of the training.
        preset: Makes the sampler.
        components: Gaussians that natural gradients fit to the target, in half of the warm-up's time again.

    Raises:
        ValueError: A budget of steps, which a warm-up does not have.
    """

    recipe: Recipe = Recipe()
    preset: Callable[..., DiffusionSampler] = GFlowNet
    components: int | None = None

    def __call__(self, target: Target, scale: float, budget: Budget, seed: int) -> Trained:
        if budget.steps is not None:
            raise ValueError("the guide's warm-up has no gradient steps: write --seconds or --energy-calls")
        generator = torch.Generator(target.device).manual_seed(seed)
        meter = Meter(budget, target)
        seconds = UNLIMITED_SECONDS if budget.seconds is None else budget.seconds
        calls = WARM_UP_CALLS if budget.energy_calls is None else max(1, budget.energy_calls // 2)
        warm = warm_up_checked(target, generator, 0.5 * seconds, calls, self.components)
        parts = prepare(target, warm, self._maker, generator, seed)
        network_calls = NetworkCalls(parts.sampler.policy)
        draws = parts.ends, parts.log_ends
        material = material_of(parts.white, draws, self.recipe.held_out)
        record = train_on(material, parts.sampler, self.recipe, seconds, generator, callbacks=[meter])
        return Trained(
            sampler=record.sampler(parts.sampler.policy),
            target=parts.white,
            unwhiten=parts.white.unwhiten,
            whiten=parts.white.whiten,
            losses=record.bridge_losses + record.losses,
            steps=len(record.bridge_losses) + len(record.losses),
            seconds=meter.seconds,
            energy_calls=meter.energy_calls,
            network_calls=network_calls.count,
        )

    def _maker(self, expensive: bool) -> Callable[..., DiffusionSampler]:
        return partial(self.preset, langevin=not expensive)
