"""What a trained sampler is worth, and what exact draws would be worth in its place: the noise floors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from amortized._types import Generator, Tensor
from amortized.benchmark.truth import Problem
from amortized.metrics import measure as metrics
from amortized.training.evaluation import reverse_log_weights

if TYPE_CHECKING:
    from amortized.benchmark.trained import Trained

EXACT_SEED = 240_205_098
"""Of the exact draws that every method is compared with."""


def measure(problem: Problem, trained: Trained, paths: int, seed: int) -> dict[str, Any]:
    """Every metric that the target's truth allows, by ``paths`` paths and as many exact draws; why others are missing.

    ``delta`` is log Z − ELBO and ``rw`` log Z minus its estimate by path weights, both in nats.
    """
    began, calls = time.process_time(), problem.target.calls
    generator = torch.Generator(trained.target.device).manual_seed(seed)
    ends, log_weights = trained.sampler.sample(trained.target, paths, generator)
    exact = None if problem.sample is None else problem.sample(paths, EXACT_SEED)
    backward = None if exact is None else exact_log_weights(trained, exact, generator)
    found = compared(problem, trained.unwhiten(ends), exact, log_weights, backward)
    if problem.log_evidence is not None:
        found["delta"] = problem.log_evidence.value - float(found["elbo"])
        found["rw"] = problem.log_evidence.value - float(found["log_evidence"])
    found["evaluation_energy_calls"] = problem.target.calls - calls
    return {**found, "evaluation_seconds": time.process_time() - began}


def floor(problem: Problem, paths: int, seed: int) -> dict[str, Any]:
    """The metrics of ``paths`` exact draws in place of a sampler's.

    Raises ``ValueError`` where the model file has no exact draws.
    """
    if problem.sample is None:
        raise ValueError("no exact draws: write def sample(n, *arguments): in the model file")
    ours, theirs = problem.sample(paths, EXACT_SEED + 1 + seed), problem.sample(paths, EXACT_SEED)
    found = compared(problem, ours, theirs, torch.zeros(paths))
    of_paths = ("elbo", "log_evidence", "log_evidence_error", "ess_fraction", "missing")
    return {name: value for name, value in found.items() if name not in of_paths}


def compared(
    problem: Problem, draws: Tensor, exact: Tensor | None, log_weights: Tensor, backward: Tensor | None = None
) -> dict[str, Any]:
    """The metrics as one flat dictionary, those that could not be had left out but for their reasons.

    A draw outside the support has no score: the target's 0 there would pass for a stationary point.
    """
    log_prob, scores = problem.target.log_prob_and_score(draws)
    labels = None if problem.mode is None else problem.mode(draws)
    scores = torch.where((log_prob == -torch.inf)[:, None], torch.nan, scores)
    found = metrics.measure(
        metrics.Sampled(draws, log_weights, backward, labels, scores),
        metrics.Truth(exact, problem.mode_weights),
        generator=Generator(log_weights.device).manual_seed(EXACT_SEED),
    ).as_json()
    estimate = found.pop("log_evidence")
    flat = {**found, "log_evidence": estimate["value"], "log_evidence_error": estimate["std_error"]}
    return {name: value for name, value in flat.items() if value is not None}


def exact_log_weights(trained: Trained, exact: Tensor, generator: Generator) -> Tensor:
    """Log weights ``(N,)`` of paths noised back from exact draws ``(N, D)`` in the raw space."""
    ends = trained.whiten(exact)
    draws = ends, trained.target.log_prob(ends)
    return reverse_log_weights(trained.sampler.process, trained.sampler.policy, trained.target, draws, generator)
