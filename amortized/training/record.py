"""What a training run takes, and the record that it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from amortized._types import Tensor
from amortized.behaviours import ContextBuffers, ReplayBuffer
from amortized.objectives import Objective
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Presented, Target
from amortized.training.evaluation import Evaluation
from amortized.training.loop import Draw, draws_of
from amortized.training.run import Run

Buffer = ReplayBuffer | ContextBuffers


@dataclass(frozen=True)
class FreshPaths:
    """Paths of the sampler on which every judgement rests, and no choice.

    Args:
        ends: Whitened ends, ``(N, D)``.
        log_weights: Their log weights, ``(N,)`` in nats.
        seconds_a_path: What one of them cost.
    """

    ends: Tensor
    log_weights: Tensor
    seconds_a_path: float


@dataclass
class Training:
    """The record of a run.

    Args:
        sampling: the process on the grid that sampling should use.
        bridge_losses: of each step of the first stage.
        losses: of each step of the second stage.
        evaluations: pairs of a step and its evaluation; steps count through both stages.
        skipped: steps without a finite gradient.
        objective: as trained, with its log Z and flow.
        kept: the sampler to draw with, where it is not the trained one on ``sampling``: an untrained one did as well.
        source: what the draws are of: "trained sampler", "mixture", "product" or "Gaussian".
        outcome: why training was left out, ended, or not kept, in one sentence.
        fresh: paths that the verdict may rest on, where calls are expensive; None: it draws its own.
        cut_short: what time was too short for; else empty.
    """

    sampling: Process = field(repr=False)
    bridge_losses: list[float] = field(default_factory=list, repr=False)
    losses: list[float] = field(default_factory=list, repr=False)
    evaluations: list[tuple[int, Evaluation]] = field(default_factory=list, repr=False)
    skipped: int = 0
    objective: Objective | None = field(default=None, repr=False)
    kept: DiffusionSampler | None = field(default=None, repr=False)
    source: str = "trained sampler"
    outcome: str = ""
    fresh: FreshPaths | None = field(default=None, repr=False)
    cut_short: str = ""

    def sampler(self, policy: Policy) -> DiffusionSampler:
        """The sampler to draw with: the untrained one that was kept, or the trained ``policy`` on its best grid."""
        return self.kept or DiffusionSampler(self.sampling, policy)


@dataclass(frozen=True)
class Material:
    """All that a sampler trains on.

    Args:
        target: a density, or a family of them.
        draw: draws of it, for bridges.
        buffer: draws of it, for replay.
        judged: the target of the evaluations.
        held_out: draws ``(N, D)`` of ``judged`` that never train, and their log R.
        embedding: reads contexts for the objective.
        run: the processes that train together, and the file from which they go on.
    """

    target: Presented
    draw: Draw
    buffer: Buffer
    judged: Target
    held_out: tuple[Tensor, Tensor]
    embedding: nn.Module | None = None
    run: Run = Run()  # noqa: RUF009


def material_of(target: WhitenedTarget, draws: tuple[Tensor, Tensor], held_out: int) -> Material:
    """What ``train`` trains on: the first ``held_out`` of the draws judge, the others are bridged and replayed."""
    if not 0 < held_out < len(draws[0]):
        raise ValueError(f"held_out={held_out} of {len(draws[0])} draws: write Recipe(held_out=512)")
    ends, log_target = draws[0][held_out:], draws[1][held_out:]
    buffer = ReplayBuffer(target.dim, device=ends.device)
    buffer.add(ends, log_target)
    return Material(target, draws_of(target, ends), buffer, target, (draws[0][:held_out], draws[1][:held_out]))
