"""Adam as every stage of training takes it: a rate that rises and falls, clipped gradients, averaged weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from amortized._types import Tensor
from amortized.objectives.base import Objective

EMA_DECAY = 0.99
"""Averages the weights of about 100 steps, which takes the noise of single batches out of the final policy."""
MAX_GRADIENT_NORM = 1.0
"""A batch with a few extreme weights then moves the policy no further than any other."""
WARM_STEPS = 0.05
"""Part of a run over which the learning rate rises: Adam's second moments are noisy until then."""


def rate(step: float, steps: int) -> float:
    """Factor of the learning rate: it rises on a line over the first steps, and falls on a cosine over the rest.

    >>> [round(rate(step, 100), 2) for step in (0, 5, 52, 100)]
    [0.17, 1.0, 0.51, 0.0]
    """
    rise = max(1.0, WARM_STEPS * steps)
    fall = min(1.0, step / max(steps, 1))
    cosine = math.cos(math.pi * max(0.0, fall - WARM_STEPS) / (1 - WARM_STEPS))
    return min(1.0, (step + 1) / (rise + 1)) * 0.5 * (1 + cosine)


class AveragingAdam:
    """Moves the parts and the objective by their gradients, and averages the weights of the parts.

    Args:
        parts: trained in place.
        objective: whose log Z and flow are trained too, at rates of their own.
        learning_rate: of the parts at its peak.
        factor: of every rate after so many steps.
    """

    def __init__(
        self, parts: nn.ModuleDict, objective: Objective | None, learning_rate: float, factor: Callable[[int], float]
    ):
        self.parts, self.flows = parts, [] if objective is None else list(objective.parameters())
        groups = [{"params": list(parts.parameters()), "lr": learning_rate}]
        if objective is not None:
            named = dict(objective.named_parameters())
            log_partition = [named.pop("log_partition")] if "log_partition" in named else []
            groups.append({"params": log_partition, "lr": objective.partition_rate})
            groups.append({"params": list(named.values()), "lr": objective.learning_rate})
        groups = [group for group in groups if group["params"]]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)
        self.decay = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)
        self.averaged = averaged = copy.deepcopy(parts).eval()
        moving = list(zip(averaged.parameters(), parts.parameters(), strict=True))
        self._moving = [mean.detach() for mean, _ in moving], [weight.detach() for _, weight in moving]
        trained = [name for name in parts if name != "process"]  # whose tables are those of one grid
        pairs = (zip(averaged[name].buffers(), parts[name].buffers(), strict=True) for name in trained)
        self._buffers = [pair for each in pairs for pair in each]
        self.skipped: Tensor | int = 0

    @property
    def parameters(self) -> list[Tensor]:
        """All whose gradients a step reads."""
        return [*self.parts.parameters(), *self.flows]

    def step(self, first: bool) -> None:
        """Move along the gradients, clipped to norm 1; a step whose gradient is not finite is skipped and counted.

        Args:
            first: of the stage: the average begins with its weights.
        """
        norm = torch.nn.utils.clip_grad_norm_(self.parts.parameters(), MAX_GRADIENT_NORM)
        norms = [norm, *(flow.grad.norm() for flow in self.flows if flow.grad is not None)]
        broken = ~torch.stack([each.double() for each in norms]).isfinite().all()
        self.skipped = self.skipped + broken
        # the fused step reads it on the device, and then leaves all weights alone; torch does not declare it
        setattr(self.optimizer, "found_inf", broken.float())  # noqa: B010
        self.optimizer.step()
        self.decay.step()
        averages, weights = self._moving
        if weights:
            torch.ops.aten._foreach_lerp_.Scalar(averages, weights, 1.0 if first else 1 - EMA_DECAY)
        for kept, own in self._buffers:  # an embedding may count or normalize
            kept.copy_(own)

    def finish(self) -> None:
        """Give the parts their averaged weights, in evaluation mode."""
        self.parts.load_state_dict(self.averaged.state_dict())
        self.parts.eval()

    def state_dict(self) -> dict[str, Any]:
        """Weights, averages, flows, moments and rates."""
        state = self.optimizer.state_dict()
        return {
            "parts": self.parts.state_dict(),
            "averaged": self.averaged.state_dict(),
            "flows": [flow.detach() for flow in self.flows],
            "moments": {str(place): moments for place, moments in state["state"].items()},
            "rates": [group["lr"] for group in state["param_groups"]],
            "steps": self.decay.last_epoch,
            "skipped": int(self.skipped),
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.parts.load_state_dict(state["parts"])
        self.averaged.load_state_dict(state["averaged"])
        for flow, value in zip(self.flows, state["flows"], strict=True):
            flow.copy_(value)
        groups = self.optimizer.state_dict()["param_groups"]
        for group, rate in zip(groups, state["rates"], strict=True):
            group["lr"] = rate
        moments = {int(place): copy.deepcopy(value) for place, value in state["moments"].items()}
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.decay.last_epoch, self.skipped = state["steps"], state["skipped"]
