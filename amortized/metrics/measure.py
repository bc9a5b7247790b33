"""All figures of the benchmark for one trained sampler, and why any of them is missing."""

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


@dataclass(frozen=True)
class Metrics:
    """Figures of one trained sampler; ``None`` for those that could not be had, with the reason under ``missing``.

    ``elbo``, ``log_evidence``, ``eubo``, ``gap`` in nats; the two distances in the unit of the draws; the fractions,
    ``entropic_mode_coverage`` and ``largest_mode_weight_error`` between 0 and 1. ``target_calls`` and ``network_calls``
    count states, one a particle; what each metric misses and its noise floor are in ``docs/metrics.md``.
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
        """A plain dictionary; infinite and undefined numbers, which JSON has not, are ``"inf"``, ``"nan"``.

        >>> Metrics(0.0, Estimate(-math.inf, math.nan), 0.0).as_json()["log_evidence"]
        {'value': '-inf', 'std_error': 'nan'}
        """
        plain = {entry.name: _plain(getattr(self, entry.name)) for entry in dataclasses.fields(self)}
        return plain | {"log_evidence": {name: _plain(part) for name, part in self.log_evidence._asdict().items()}}


def measure(
    draws: Tensor,
    log_weights: Tensor,
    reverse_log_weights: Tensor | None = None,
    exact: Tensor | None = None,
    labels: Tensor | None = None,
    mode_weights: Tensor | None = None,
    scores: Tensor | None = None,
    target_calls: int | None = None,
    network_calls: int | None = None,
    seconds: float | None = None,
    points: int = 2_000,
    generator: Generator | None = None,
) -> Metrics:
    """Every metric that the arguments allow.

    ``draws: (N, D)`` unweighted ends of paths, their ``labels: (N, *groups)`` and ``scores: (N, D)``; ``log_weights:
    (P,)`` of fresh paths; ``reverse_log_weights: (M,)`` of paths noised back from exact draws; ``exact: (M, D)``;
    ``mode_weights: (count,)`` or ``(*groups, count)``, the truth. The distances and the Stein discrepancy use the first
    ``points`` draws, or as many as there are exact ones, since their noise floors depend on the number.
    """
    count = min(points, len(draws), points if exact is None else len(exact))
    noised_back = {"reverse_log_weights": reverse_log_weights}
    both = {"draws": draws[:count], "exact": None if exact is None else exact[:count]}
    modes = {"labels": labels, "mode_weights": mode_weights}
    slopes = {"draws": draws[:points], "scores": None if scores is None else scores[:points]}
    questions: dict[str, tuple[Metric, dict[str, Tensor | None]]] = {
        "eubo": (_mean, noised_back),
        "gap": (partial(evidence_gap, log_weights), noised_back),
        "reverse_ess_fraction": (reverse_effective_sample_fraction, noised_back),
        "wasserstein2": (wasserstein2, both),
        "sinkhorn": (sinkhorn_distance, both),
        "mmd": (maximum_mean_discrepancy, both),
        "largest_mode_weight_error": (largest_mode_weight_error, modes),
        "entropic_mode_coverage": (entropic_mode_coverage, modes),
        "stein": (stein_discrepancy, slopes),
    }
    answers = {name: _answer(metric, arguments) for name, (metric, arguments) in questions.items()}
    return Metrics(
        elbo=_mean(log_weights),
        log_evidence=bootstrap_log_evidence(log_weights, generator=generator),
        ess_fraction=effective_sample_fraction(log_weights),
        target_calls=target_calls,
        network_calls=network_calls,
        seconds=seconds,
        missing={name: answer for name, answer in answers.items() if isinstance(answer, str)},
        **{name: answer for name, answer in answers.items() if isinstance(answer, float)},
    )


def _answer(metric: Metric, arguments: dict[str, Tensor | None]) -> float | str:
    """The metric, or why there is none."""
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
