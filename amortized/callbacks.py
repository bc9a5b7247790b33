"""What watches a training run: history, progress, a time limit, and stopping on convergence."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

from tqdm.auto import tqdm

from amortized._types import TrainingStep
from amortized.diagnostics.evaluation import Evaluation


class History:
    """Keeps the loss of every step.

    >>> history = History()
    >>> history(TrainingStep(number=1, planned=2, loss=0.5, policy=None)), history.losses
    (False, [0.5])
    """

    def __init__(self) -> None:
        self.losses: list[float] = []

    def __call__(self, step: TrainingStep) -> bool:
        self.losses.append(step.loss)
        return False


class TimeLimit:
    """Stops ``seconds`` after it was made."""

    def __init__(self, seconds: float):
        self.deadline = time.perf_counter() + seconds

    def __call__(self, step: TrainingStep) -> bool:
        return time.perf_counter() >= self.deadline


class Convergence:
    """Evaluates every ``every`` steps, keeps the best policy, and stops when it has stopped getting better.

    The criterion is ``Evaluation.quality``, the smaller of the forward and the reverse effective sample fraction: stop at
    ``enough``, or when ``patience`` evaluations in a row are not better than the best by ``margin``.
    ``evaluations`` holds (step, evaluation) pairs; ``restore(policy)`` puts the best weights back.
    """

    def __init__(
        self,
        evaluate: Callable[[TrainingStep], Evaluation],
        every: int = 100,
        enough: float = 0.95,
        patience: int = 4,
        margin: float = 0.01,
    ):
        self.evaluate = evaluate
        self.every = every
        self.enough = enough
        self.patience = patience
        self.margin = margin
        self.evaluations: list[tuple[int, Evaluation]] = []
        self.best = -1.0
        self.best_weights: dict | None = None
        self._waited = 0

    def __call__(self, step: TrainingStep) -> bool:
        if step.number % self.every and step.number != step.planned:
            return False
        evaluation = self.evaluate(step)
        self.evaluations.append((step.number, evaluation))
        self._waited = 0 if evaluation.quality > self.best + self.margin else self._waited + 1
        if evaluation.quality > self.best:
            self.best = evaluation.quality
            self.best_weights = copy.deepcopy(step.policy.state_dict())
        return evaluation.quality >= self.enough or self._waited >= self.patience

    def restore(self, policy) -> None:
        """Load the weights of the best evaluation, if there was one."""
        if self.best_weights is not None:
            policy.load_state_dict(self.best_weights)


class ProgressBar:
    """A tqdm bar with the last evaluation beside it."""

    def __init__(self, title: str, convergence: Convergence | None = None):
        self.title = title
        self.convergence = convergence
        self._bar: tqdm | None = None

    def __call__(self, step: TrainingStep) -> bool:
        if self._bar is None:
            self._bar = tqdm(total=step.planned, desc=self.title, mininterval=0.5)
        self._bar.update(step.number - self._bar.n)
        if self.convergence is not None and self.convergence.evaluations:
            last = self.convergence.evaluations[-1][1]
            self._bar.set_postfix(
                elbo=f"{last.elbo:.2f}", ess=f"{last.ess_fraction:.0%}", logZ=f"{last.log_evidence:.2f}", refresh=False
            )
        return False

    def close(self) -> None:
        """End the bar's line."""
        if self._bar is not None:
            self._bar.close()
