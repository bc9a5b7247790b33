"""All figures of the benchmark for one trained sampler, and the reason for each that is missing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from amortized._types import Generator, Tensor
from amortized.metrics.distances import maximum_mean_discrepancy, sinkhorn_distance, wasserstein2
from amortized.metrics.modes import entropic_mode_coverage, largest_mode_weight_error
from amortized.metrics.stein import stein_discrepancy
from amortized.weights import (
    Estimate,
    bootstrap_log_evidence,
    effective_sample_fraction,
    evidence_gap,
    reverse_effective_sample_fraction,
)

Metric = Callable[..., float]

COMPARED = 2_000
"""Draws that are compared with exact ones: the noise floors in docs/metrics.md are those of 2,000."""


@dataclass(frozen=True)
class Sampled:
    """What a sampler gave.

    Args:
        draws: unweighted ends of paths ``(N, D)``.
        log_weights: of on-policy paths ``(P,)``, in nats.
        reverse_log_weights: of backward paths from exact draws ``(M,)``, in nats.
        labels: the mode of every draw, ``(N, *groups)`` whole numbers.
        scores: ``∇ log R`` at every draw, ``(N, D)``.
    """

    draws: Tensor
    log_weights: Tensor
    reverse_log_weights: Tensor | None = None
    labels: Tensor | None = None
    scores: Tensor | None = None


@dataclass(frozen=True)
class Truth:
    """What is known of the target: exact draws ``(M, D)``, and mode weights ``(count,)`` or ``(*groups, count)``."""

    draws: Tensor | None = None
    mode_weights: Tensor | None = None


@dataclass(frozen=True)
class Metrics:
    """Figures of one trained sampler; docs/metrics.md has the formula, the blind spots and the noise floor of each.

    A figure that could not be computed is None, and ``missing`` has the reason. ``elbo``, ``log_evidence``, ``eubo``
    and ``gap`` are in nats, ``wasserstein2`` and ``sinkhorn`` in the unit of the draws. The fractions and the figures
    of the modes lie between 0 and 1. ``target_calls`` and ``network_calls`` count states, one a particle.
    """

    elbo: float
    log_evidence: Estimate
    ess_fraction: float
    eubo: float | None = None
    gap: float | None = None
    reverse_ess_fraction: float | None = None
    wasserstein2: float | None = None
    sinkhorn: float | None = None
    mmd: float | None = None
    largest_mode_weight_error: float | None = None
    entropic_mode_coverage: float | None = None
    stein: float | None = None
    target_calls: int | None = None
    network_calls: int | None = None
    seconds: float | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary; infinite and undefined numbers, which JSON does not have, become ``"inf"`` and ``"nan"``.

        >>> Metrics(0.0, Estimate(-math.inf, math.nan), 0.0).as_json()["log_evidence"]
        {'value': '-inf', 'std_error': 'nan'}
        """
        plain = {entry.name: _plain(getattr(self, entry.name)) for entry in dataclasses.fields(self)}
        return plain | {"log_evidence": {name: _plain(part) for name, part in self.log_evidence._asdict().items()}}


def measure(
    sampled: Sampled,
    truth: Truth = Truth(),  # noqa: B008
    points: int = COMPARED,
    generator: Generator | None = None,
) -> Metrics:
    """Every metric that the arguments allow; ``dataclasses.replace`` adds what the sampler cost.

    Args:
        sampled: what the sampler gave.
        truth: what is known of the target.
        points: draws that the distances and the Stein discrepancy use at most, since their noise floors depend on it.
        generator: of the bootstrap.

    >>> import torch
    >>> found = measure(Sampled(torch.zeros(9, 2), torch.zeros(9)))
    >>> found.elbo, found.missing["eubo"]
    (0.0, 'not given: reverse_log_weights')
    """
    draws, exact, scores = sampled.draws, truth.draws, sampled.scores
    count = min(points, len(draws), points if exact is None else len(exact))
    backward = {"reverse_log_weights": sampled.reverse_log_weights}
    both = {"draws": draws[:count], "exact": None if exact is None else exact[:count]}
    modes = {"labels": sampled.labels, "mode_weights": truth.mode_weights}
    slopes = {"draws": draws[:points], "scores": None if scores is None else scores[:points]}
    questions: dict[str, tuple[Metric, dict[str, Tensor | None]]] = {
        "eubo": (_mean, backward),
        "gap": (partial(evidence_gap, sampled.log_weights), backward),
        "reverse_ess_fraction": (reverse_effective_sample_fraction, backward),
        "wasserstein2": (wasserstein2, both),
        "sinkhorn": (sinkhorn_distance, both),
        "mmd": (maximum_mean_discrepancy, both),
        "largest_mode_weight_error": (largest_mode_weight_error, modes),
        "entropic_mode_coverage": (entropic_mode_coverage, modes),
        "stein": (stein_discrepancy, slopes),
    }
    answers = {name: _answer(metric, arguments) for name, (metric, arguments) in questions.items()}
    always = Metrics(
        elbo=_mean(sampled.log_weights),
        log_evidence=bootstrap_log_evidence(sampled.log_weights, generator=generator),
        ess_fraction=effective_sample_fraction(sampled.log_weights),
        missing={name: answer for name, answer in answers.items() if isinstance(answer, str)},
    )
    return dataclasses.replace(
        always, **{name: answer for name, answer in answers.items() if isinstance(answer, float)}
    )


def _answer(metric: Metric, arguments: dict[str, Tensor | None]) -> float | str:
    """The metric, or the reason why there is none."""
    values = [value for value in arguments.values() if value is not None]
    if len(values) < len(arguments):
        return "not given: " + ", ".join(name for name, value in arguments.items() if value is None)
    try:
        return metric(*values)
    except (ImportError, ValueError) as error:
        return str(error)


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
