"""How good a sampler is right now: fresh paths on one side, paths noised back from held-out draws on the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.diagnostics.weights import (
    effective_sample_fraction,
    log_mean_exp,
    reverse_effective_sample_fraction,
)
from amortized.path import reverse_rollout, rollout, score
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


@dataclass(frozen=True)
class Evaluation:
    """Bounds and log Z in nats, effective sample fractions between 0 and 1.

    ``elbo`` and ``log_evidence`` come from fresh paths, ``eubo`` and ``reverse_ess_fraction`` from held-out draws.
    """

    elbo: float
    eubo: float
    log_evidence: float
    ess_fraction: float
    reverse_ess_fraction: float

    @property
    def quality(self) -> float:
        """The smaller effective sample fraction: the forward one misses lost modes, the reverse one shows them."""
        return min(self.ess_fraction, self.reverse_ess_fraction)


@torch.no_grad()
def evaluate(
    process: Process,
    policy: Policy,
    target: Target,
    held_out: tuple[Tensor, Tensor],
    count: int = 2_000,
    generator: Generator | None = None,
) -> Evaluation:
    """Evaluate on ``count`` fresh paths and on ``held_out``: draws ``(N, D)`` of the target and their ``log R``."""
    forward = rollout(process, policy, target, count, generator).log_weight
    ends, log_target = held_out
    backward = score(process, policy, reverse_rollout(process, policy, target, ends, log_target, generator)).log_weight
    log_partition = float(log_mean_exp(forward))
    return Evaluation(
        elbo=float(forward.mean()),
        eubo=float(backward.mean()),
        log_evidence=log_partition,
        ess_fraction=effective_sample_fraction(forward),
        reverse_ess_fraction=reverse_effective_sample_fraction(backward, log_partition),
    )
