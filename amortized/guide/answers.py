"""What a guide answers once it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import torch

from amortized._torch import placement
from amortized._types import Sites, Tensor
from amortized.diagnostics.calibration import Calibration
from amortized.diagnostics.verdict import Diagnosis
from amortized.guide.fitted import Fitted
from amortized.guide.plan import Plan
from amortized.guide.pyro_protocol import quantiles_of
from amortized.guide.replicas import record_of
from amortized.results.counts import NUM_SAMPLES, check_count
from amortized.results.draws import Draws
from amortized.results.posterior import Posterior, deprecated
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.target import PyroTarget
from amortized.training.record import Training
from amortized.weights import Estimate


class Answers:
    """The questions that every guide takes; ``DiffusionGuide`` adds how one is made, fitted and run by Pyro.

    Methods take the data sets of an amortized guide by place, ``sample(n, y)``, or by name, ``sample(n, y=y)``. A guide
    of one data set takes none.
    """

    plan: Plan
    model: Callable
    fitted: Fitted | None
    others: list[Answers]
    seconds: float

    @property
    def device(self) -> torch.device:
        return self.plan.device

    @property
    def training_record(self) -> Training | None:
        """Losses and judgements of the last training; None before it."""
        return None if self.fitted is None else self.fitted.training_record

    @property
    def target(self) -> PyroTarget | ConditionalTarget:
        """The density that was learned, in unconstrained coordinates; a ``ConditionalTarget`` with ``amortize``."""
        return self._prepared("target").target

    def _prepared(self, asked: str) -> Fitted:
        if self.fitted is None:
            raise RuntimeError(
                f"{type(self).__name__}.{asked} came before fit: write guide.fit(*args) with the model's arguments"
            )
        return self.fitted

    def _unmoved(self, asked: str) -> Fitted:
        fitted = self._prepared(asked)
        if moved := fitted.moved:
            raise RuntimeError(f"parameters of the model have moved since the fit ({moved[0]}): write guide.fit(*args)")
        return fitted

    def _current(self, asked: str) -> Fitted:
        fitted = self._unmoved(asked)
        fitted.target.check_unchanged()
        return fitted

    def at(self, *data: Any, **named: Any) -> Posterior:
        """The posterior given one data set.

        Args:
            *data: The data set, ``at(y)``; nothing without ``amortize``.
            **named: The same by name, ``at(y=y)``.
        """
        with placement(self.device):
            return self._unmoved("at").posterior(data, named)

    def sample(self, num_samples: int, *data: Any, correction: str = "best", **named: Any) -> Sites:
        """Posterior draws in the model's own space, deterministic sites included.

        Args:
            num_samples: How many.
            *data: With ``amortize``, one data set or a batch of M.
            correction: As in ``Posterior.sample``.
            **named: The data by name.

        Returns:
            ``{site: (num_samples, *event)}``, of a batch ``{site: (M, num_samples, *event)}``.
        """
        fitted = self._current("sample")
        check_count(num_samples)
        with placement(self.device):
            return fitted.sample(data, named, num_samples, correction)

    def draws(self, num_samples: int | None = None, *data: Any, correction: str = "best", **named: Any) -> Draws:
        """Posterior draws as a record, with their cost and the verdict; every replica is a chain.

        Args:
            num_samples: How many, shared equally by the replicas. None: 4,000, or as many below as can be shared.
            *data: With ``amortize``, one data set.
            correction: As in ``Posterior.sample``.
            **named: The data by name.
        """
        self._current("draws")
        return record_of(self._posteriors(data, named), self._all_seconds(), num_samples, correction)[0]

    def _posteriors(self, data: Sequence[Any], named: dict[str, Any]) -> list[Posterior]:
        return [guide.at(*data, **named) for guide in [self, *self.others]]

    def _all_seconds(self) -> float:
        return sum(guide.seconds for guide in [self, *self.others])

    @overload
    def log_evidence(self) -> Estimate: ...
    @overload  # a call with data, which the first does not take
    def log_evidence(self, *data: Any, **named: Any) -> Estimate | list[Estimate]: ...  # pyright: ignore

    def log_evidence(self, *data: Any, **named: Any) -> Estimate | list[Estimate]:
        """Estimate log Z in nats from fresh paths, with its standard error; a list for a batch of data sets."""
        fitted = self._current("log_evidence")
        with placement(self.device):
            return fitted.ask(Posterior.log_evidence, data, named)

    def log_weights(self, count: int, *data: Any, **named: Any) -> Tensor:
        """Log weights of fresh paths in nats.

        Their mean bounds log Z from below (ELBO), as does the log of the mean weight of K of them (IWAE).

        Returns:
            ``(count,)``, of a batch of M data sets ``(count, M)``.
        """
        fitted = self._current("log_weights")
        check_count(count, "count")
        with placement(self.device):
            return fitted.log_weights(data, named, count)

    @overload
    def diagnose(self) -> Diagnosis: ...
    @overload
    def diagnose(self, *data: Any, **named: Any) -> Diagnosis | list[Diagnosis]: ...  # pyright: ignore

    def diagnose(self, *data: Any, **named: Any) -> Diagnosis | list[Diagnosis]:
        """Say in words whether to trust the draws; a list for a batch of data sets.

        It answers for a changed model too: the change is then the verdict.
        """
        fitted = self._unmoved("diagnose")
        with placement(self.device):
            return fitted.ask(Posterior.diagnose, data, named)

    def refine(self, *data: Any, seconds: float = 10.0, **named: Any) -> Posterior:
        """A posterior specialised to one data set: a copy of the sampler goes on training on it for ``seconds``."""
        fitted = self._current("refine")
        with placement(self.device):
            return fitted.refine(data, named, seconds)

    def calibrate(self, count: int = 1_000, draws: int = 99, correction: str = "best") -> Calibration:
        """Simulation-based calibration and expected coverage on fresh data sets from the model.

        Args:
            count: Number of data sets.
            draws: Posterior draws for each.
            correction: As in ``Posterior.sample``.

        Raises:
            RuntimeError: The guide has no ``amortize``: it would have to be fitted ``count`` times.
        """
        fitted = self._current("calibrate")
        with placement(self.device):
            return fitted.calibrate(count, draws, correction)

    def median(self, *args: Any, **kwargs: Any) -> Sites:
        """Posterior median of every latent site, from 4,000 draws."""
        return {name: value[0] for name, value in self.quantiles([0.5], *args, **kwargs).items()}

    def quantiles(self, quantiles: list[float], *args: Any, **kwargs: Any) -> Sites:
        """Posterior quantiles of every latent site, from 4,000 draws.

        Returns:
            ``{site: (len(quantiles), *event)}``, of a batch of M data sets ``{site: (len(quantiles), M, *event)}``.
        """
        fitted = self._current("quantiles")
        data, named = fitted.given(args, kwargs)
        return quantiles_of(self.sample(NUM_SAMPLES, *data, **named), fitted.latents, quantiles)

    def draw(self, num_samples: int, *data: Any, correction: str = "best", **named: Any) -> Draws:
        """Deprecated: ``draws``."""
        deprecated("guide.draw(n)", "guide.draws(n), which has the verdict too, or guide.sample(n)")
        self._current("draw")
        return self.at(*data, **named).draws(num_samples, correction, verdict=False)

    def record(self, *data: Any, num_samples: int | None = None, correction: str = "best", **named: Any) -> Draws:
        """Deprecated: ``draws``."""
        deprecated("guide.record(y)", "guide.draws(n, y)")
        return self.draws(num_samples, *data, correction=correction, **named)
