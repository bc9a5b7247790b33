"""Callbacks of a training run: history, progress, a time limit, and stopping on convergence."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from amortized._types import Tensor, TrainingStep
from amortized.training.evaluation import Evaluation


class History:
    """Keeps the loss of every step, and counts the steps whose gradient was not finite.

    >>> history = History()
    >>> history(TrainingStep(number=1, planned=2, loss=0.5, parts=nn.ModuleDict(), skipped=1))
    False
    >>> history.losses, history.skipped
    ([0.5], 1)
    """

    def __init__(self) -> None:
        self._losses: list[Tensor | float] = []
        self._skipped: Tensor | int = 0

    def __call__(self, step: TrainingStep) -> bool:
        self._losses.append(step.loss)
        self._skipped = step.skipped
        return False

    @property
    def losses(self) -> list[float]:
        """Of every step; read once the run is over, since it waits for the device."""
        return torch.stack([torch.as_tensor(loss) for loss in self._losses]).tolist() if self._losses else []

    @property
    def skipped(self) -> int:
        """Steps whose gradient was not finite."""
        return int(self._skipped)

    def state_dict(self) -> dict[str, Any]:
        """All of it, as numbers."""
        return {"losses": torch.tensor(self.losses, dtype=torch.float64), "skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self._losses, self._skipped = state["losses"].tolist(), state["skipped"]


class TimeLimit:
    """Stops once ``time.perf_counter()`` passes ``deadline``."""

    def __init__(self, deadline: float):
        self.deadline = deadline

    def __call__(self, step: TrainingStep) -> bool:
        return time.perf_counter() >= self.deadline


class Convergence:
    """Evaluates now and then by ``Evaluation.overlap``, keeps the best weights, and stops when they get no better.

    ``evaluations`` holds pairs of a step and its evaluation.

    Args:
        evaluate: of the averaged weights at a step.
        every: steps between two evaluations.
        enough: overlap at which to stop.
        patience: evaluations in a row without progress at which to stop.
        margin: progress is an overlap above the best by this much, about the noise of an evaluation by 1,000 paths.
        earliest: part of the planned steps from which a lack of progress counts. The overlap can stand still as long as
            the learning rate is high, and rise when it falls.
    """

    def __init__(
        self,
        evaluate: Callable[[TrainingStep], Evaluation],
        every: int = 100,
        enough: float = 0.9,
        patience: int = 2,
        margin: float = 0.005,
        earliest: float = 0.0,
    ):
        self.evaluate = evaluate
        self.every = every
        self.enough = enough
        self.patience = patience
        self.margin = margin
        self.earliest = earliest
        self.evaluations: list[tuple[int, Evaluation]] = []
        self.best = -1.0
        self.best_weights: dict | None = None
        self._waited = 0
        self._unjudged: TrainingStep | None = None

    def __call__(self, step: TrainingStep) -> bool:
        self._unjudged = step
        if step.number % self.every and step.number != step.planned:
            return False
        return self._judge(step)

    def _judge(self, step: TrainingStep) -> bool:
        evaluation = self.evaluate(step)
        self._unjudged = None
        self.evaluations.append((step.number, evaluation))
        early = step.number < self.earliest * step.planned
        self._waited = 0 if early or evaluation.overlap > self.best + self.margin else self._waited + 1
        if evaluation.overlap > self.best:
            self.best = evaluation.overlap
            self.best_weights = copy.deepcopy(step.parts.state_dict())
        return evaluation.overlap >= self.enough or self._waited >= self.patience

    @property
    def reason(self) -> str:
        """Why the run ended, after the words "so many steps of training: "."""
        overlap = f"the overlap is {self.best:.0%}"
        if self.evaluations and self.evaluations[-1][1].overlap >= self.enough:
            return f"{overlap}, which is enough"
        if self._waited >= self.patience:
            return f"{overlap}, and {self._waited} evaluations brought no progress"
        return f"{overlap}, and the time or the steps were over"

    def state_dict(self) -> dict[str, Any]:
        """What was found so far, and the best weights."""
        evaluations = [[step, asdict(found)] for step, found in self.evaluations]
        best = {"best": self.best, "weights": self.best_weights}
        return {"evaluations": evaluations, **best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.evaluations = [(step, Evaluation(**found)) for step, found in state["evaluations"]]
        self.best, self.best_weights, self._waited = state["best"], state["weights"], state["waited"]

    def restore(self, parts: nn.Module) -> None:
        """Evaluate the last step if need be, and load the weights of the best evaluation."""
        if self._unjudged is not None:
            self._judge(self._unjudged)
        if self.best_weights is not None:
            parts.load_state_dict(self.best_weights)


class ProgressBar:
    """A tqdm bar with the last evaluation beside it; leaving its context ends the line."""

    def __init__(self, title: str, planned: int, show: bool = True, convergence: Convergence | None = None):
        self.convergence = convergence
        self._bar = tqdm(total=planned, desc=title, mininterval=0.5, disable=not show)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def __call__(self, step: TrainingStep) -> bool:
        self._bar.update(step.number - self._bar.n)
        if self.convergence is not None and self.convergence.evaluations:
            last = self.convergence.evaluations[-1][1]
            self._bar.set_postfix(
                elbo=f"{last.elbo:.2f}", ess=f"{last.ess_fraction:.0%}", logZ=f"{last.log_evidence:.2f}", refresh=False
            )
        return False
