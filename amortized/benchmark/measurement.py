"""What a trained sampler is worth, and what exact draws would be worth in its place: the noise floors."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from amortized._types import Generator, Tensor
from amortized.benchmark.truth import Problem
from amortized.metrics import measure as metrics
from amortized.training.evaluation import reverse_log_weights

if TYPE_CHECKING:
    from amortized.benchmark.trained import Trained

EXACT_SEED = 240_205_098
"""Of the exact draws that every method is compared with: the paper's number, 2402.05098."""

ABOUT_PATHS = ("elbo", "log_evidence", "log_evidence_error", "ess_fraction", "missing")
"""Metrics that exact draws cannot have, since they come without paths."""


@dataclass(frozen=True)
class SampledPaths:
    """Fresh paths of a sampler beside the truth.

    ``draws: (N, D)`` in the problem's unconstrained space and ``log_weights: (N,)`` of their paths;
    ``exact: (N, D)`` exact draws and ``reverse_log_weights: (N,)`` of backward paths from them, or ``None``.
    """

    draws: Tensor
    log_weights: Tensor
    exact: Tensor | None = None
    reverse_log_weights: Tensor | None = None


def sample_paths(problem: Problem, trained: Trained, count: int, seed: int) -> SampledPaths:
    """``count`` paths of the sampler, and as many backward paths from exact draws where the file has them."""
    generator = torch.Generator(trained.target.device).manual_seed(seed)
    ends, log_weights = trained.sampler.sample(trained.target, count, generator)
    draws = trained.unwhiten(ends)
    if problem.sample is None:
        return SampledPaths(draws, log_weights)
    exact = problem.sample(count, EXACT_SEED)
    ends = trained.whiten(exact)
    starts = ends, trained.target.log_prob(ends)
    process, policy = trained.sampler.process, trained.sampler.policy
    backward = reverse_log_weights(process, policy, trained.target, starts, generator)
    return SampledPaths(draws, log_weights, exact, backward)


def measure_sampler(problem: Problem, trained: Trained, paths: int, seed: int) -> dict[str, Any]:
    """Every metric that the target's truth allows, and the reasons for the missing ones.

    ``delta`` is log Z − ELBO; ``rw`` is log Z minus its estimate by path weights; both in nats.

    Args:
        problem: The target and its truth.
        trained: The sampler.
        paths: Number of paths, and of exact draws.
        seed: Of the paths.
    """
    began, calls = time.process_time(), problem.target.calls
    found = metrics_against_truth(problem, sample_paths(problem, trained, paths, seed))
    if problem.log_evidence is not None:
        found["delta"] = problem.log_evidence.value - float(found["elbo"])
        found["rw"] = problem.log_evidence.value - float(found["log_evidence"])
    found["evaluation_energy_calls"] = problem.target.calls - calls
    return {**found, "evaluation_seconds": time.process_time() - began}


def measure_exact_draws(problem: Problem, count: int, seed: int) -> dict[str, Any]:
    """The metrics of ``count`` exact draws in place of a sampler's.

    Raises:
        ValueError: The model file has no exact draws.
    """
    if problem.sample is None:
        raise ValueError("no exact draws: write def sample(n, *arguments): in the model file")
    ours, theirs = problem.sample(count, EXACT_SEED + 1 + seed), problem.sample(count, EXACT_SEED)
    found = metrics_against_truth(problem, SampledPaths(ours, torch.zeros(count), theirs))
    return {name: value for name, value in found.items() if name not in ABOUT_PATHS}


def metrics_against_truth(problem: Problem, paths: SampledPaths) -> dict[str, Any]:
    """The metrics as one flat dictionary; ``missing`` has the reason for each one that could not be had."""
    log_prob, scores = problem.target.log_prob_and_score(paths.draws)
    labels = None if problem.mode is None else problem.mode(paths.draws)
    # outside the support the target's score is 0, which would pass for a stationary point
    scores = torch.where((log_prob == -torch.inf)[:, None], torch.nan, scores)
    found = metrics.measure(
        metrics.Sampled(paths.draws, paths.log_weights, paths.reverse_log_weights, labels, scores),
        metrics.Truth(paths.exact, problem.mode_weights),
        generator=Generator(paths.log_weights.device).manual_seed(EXACT_SEED),
    ).as_json()
    estimate = found.pop("log_evidence")
    flat = {**found, "log_evidence": estimate["value"], "log_evidence_error": estimate["std_error"]}
    return {name: value for name, value in flat.items() if value is not None}
