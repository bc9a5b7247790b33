"""One posterior with a trained sampler: draws, evidence, a verdict, and the way to ArviZ."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from amortized._types import Generator, Sites, Tensor
from amortized.diagnostics import arviz
from amortized.diagnostics.evaluation import reverse_log_weights
from amortized.diagnostics.verdict import Diagnosis, diagnose
from amortized.diagnostics.weights import log_evidence
from amortized.estimate import Estimate
from amortized.path import Path, rollout
from amortized.posterior_draws import Draws, by_chain
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import corrected
from amortized.targets.devices import placement
from amortized.targets.whitening import WhitenedTarget

POLISHED = 512


@dataclass
class Posterior:
    """``sampler`` draws in the coordinates of ``white``; ``paths`` fresh ones are what every judgement reads.

    ``held_out``: draws ``(N, D)`` of the target in those coordinates and their log R; None to polish some of the
    sampler's own by MALA. ``warm_up``: a log evidence to agree with, whether it is to be trusted, and a word on it.
    ``remedy``: what to do where the verdict is bad. ``attributes`` are written beside the draws.
    """

    sampler: DiffusionSampler
    white: WhitenedTarget
    generator: Generator
    method: str
    paths: int
    held_out: tuple[Tensor, Tensor] | None = None
    warm_up: tuple[Estimate, bool, str] | None = None
    remedy: str | None = None
    observations: Mapping[str, Tensor] = field(default_factory=dict)
    attributes: dict[str, float | int | str] = field(default_factory=dict)
    log_weights: Tensor | None = None
    reverse_log_weights: Tensor | None = None

    @property
    def target(self) -> Any:
        """The density in the model's own unconstrained coordinates."""
        return self.white.target

    def weights(self) -> Tensor:
        """Log weights of fresh paths, drawn once."""
        if self.log_weights is None:
            with placement(self.white.device):
                _, self.log_weights = self.sampler.sample(self.white, self.paths, self.generator)
        return self.log_weights

    def reverse_weights(self) -> Tensor:
        """Log weights of paths noised back from draws of the target, drawn once."""
        if self.reverse_log_weights is None:
            with placement(self.white.device), torch.no_grad():
                parts = self.sampler.process, self.sampler.policy, self.white
                draws = self.held_out or polished(self.sampler, self.white, POLISHED, self.weights(), self.generator)
                self.reverse_log_weights = reverse_log_weights(*parts, draws, self.generator)
        return self.reverse_log_weights

    def draw(self, num_samples: int, correction: str = "resample") -> Draws:
        """``num_samples`` posterior draws with their record; ``correction`` as in ``sample``."""
        return self._draw(num_samples, correction)[0]

    def _draw(self, num_samples: int, correction: str) -> tuple[Draws, Tensor]:
        check_count(num_samples)
        weights = self.weights()
        began, calls = time.perf_counter(), self.target.calls
        with placement(self.white.device):
            ends, log_weights = corrected(self.sampler, self.white, num_samples, correction, weights, self.generator)
            x = self.white.unwhiten(ends)
            sites = self.target.constrain(x)
        draws = Draws(
            sites=sites,
            method=self.method,
            states=x,
            target=self.target,
            log_weights=log_weights,
            log_evidence=self.log_evidence(),
            seconds=time.perf_counter() - began,
            target_calls=self.target.calls - calls,
            attributes={**self.attributes, "correction": correction},
        )
        return draws, x

    def sample(self, num_samples: int, correction: str = "resample") -> Sites:
        """Posterior draws ``{site: (num_samples, *event)}`` in the model's own space, deterministic sites included.

        ``correction="resample"`` draws paths in excess and resamples them by their weights; ``"none"`` returns the
        sampler's own draws; ``"mcmc"`` resamples and then makes 50 MALA moves each; ``"sequential"`` resamples on
        the way, along the path.
        """
        return self.draw(num_samples, correction).sites

    def log_evidence(self) -> Estimate:
        """log Z in nats with its standard error, from fresh paths."""
        return log_evidence(self.weights())

    def diagnose(self) -> Diagnosis:
        """Whether to trust the draws: weights, bounds, agreement with other draws, and a verdict in plain words."""
        evidence, trusted, status = self.warm_up or (self.log_evidence(), True, "")
        return diagnose(self.weights(), self.reverse_weights(), evidence, trusted, status, self.remedy)

    def to_arviz(self, num_samples: int = 4_000, attributes: Mapping[str, Any] | None = None) -> Any:
        """The posterior in ArviZ: posterior, sample_stats, log_likelihood, observed_data, and how it was made."""
        draws, x = self._draw(num_samples, "resample")
        with placement(self.white.device):
            log_likelihood = self.target.pointwise_log_likelihood(x)
            log_prob = self.target.log_prob(x)
        evidence = self.log_evidence()
        return arviz.inference_data(
            {
                "posterior": draws.arrays(),
                "sample_stats": {"lp": by_chain(log_prob)},
                "log_likelihood": {name: by_chain(value) for name, value in log_likelihood.items()},
                "observed_data": {name: value.cpu().numpy() for name, value in self.observations.items()},
            },
            {
                "method": draws.method,
                "target_calls": self.target.calls,
                "log_evidence": evidence.value,
                "log_evidence_std_error": evidence.std_error,
                "verdict": self.diagnose().verdict,
                **(attributes or {}),
            },
        )


def polished(
    sampler: DiffusionSampler, white: WhitenedTarget, count: int, log_weights: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """``count`` of the sampler's own draws ``(count, D)``, resampled and moved by MALA, and their log R."""
    ends, _ = corrected(sampler, white, count, "mcmc", log_weights, generator)
    return ends, white.log_prob(ends).double()


def proposed(sampler: DiffusionSampler, white: WhitenedTarget, count: int) -> tuple[Path, Sites, Tensor]:
    """``count`` paths, the latents at their ends, and the logarithm of what the change of coordinates took."""
    path = rollout(sampler.process, sampler.policy, white, count, evaluate_ends=False)
    values, log_dets = cast(Any, white.target).unpack(white.unwhiten(path.ends))
    return path, values, white.log_dets(count) + torch.stack(list(log_dets.values())).sum(0)


def check_count(number: int, name: str = "num_samples") -> None:
    """Raises ``ValueError`` for anything but a whole number from 1."""
    if not (isinstance(number, int) and number > 0):
        raise ValueError(f"{name}={number!r}: write a whole number from 1, for instance 4_000")
