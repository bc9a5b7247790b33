"""What a trained sampler is worth: its path weights, and its draws beside exact ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from amortized._types import Tensor
from amortized.benchmark.truth import Problem
from amortized.diagnostics.evaluation import reverse_log_weights
from amortized.diagnostics.weights import effective_sample_fraction, log_evidence

if TYPE_CHECKING:
    from amortized.benchmark.methods import Trained

PATHS = 2_000
EXACT_SEED = 2_402_05098  # of the exact draws, the same for every cell of a target


def measure(problem: Problem, trained: Trained, seed: int) -> dict[str, Any]:
    """Figures in nats, or in the target's units; only those that the target's truth allows."""
    began, calls = time.process_time(), problem.target.calls
    generator = torch.Generator(problem.target.device).manual_seed(seed)
    ends, log_weights = trained.sampler.sample(trained.target, PATHS, generator)
    estimate = log_evidence(log_weights)
    metrics: dict[str, Any] = {
        "elbo": float(log_weights.mean()),
        "log_evidence": estimate.value,
        "log_evidence_error": estimate.std_error,
        "ess": effective_sample_fraction(log_weights),
    }
    if problem.log_evidence is not None:
        metrics["delta"] = problem.log_evidence.value - metrics["elbo"]
        metrics["rw"] = problem.log_evidence.value - metrics["log_evidence"]
    if problem.sample is not None:
        backward = exact_log_weights(trained, problem.sample(PATHS, EXACT_SEED), generator)
        metrics["eubo"] = float(backward.mean())
        metrics["gap"] = metrics["eubo"] - metrics["elbo"]
    metrics["evaluation_energy_calls"] = problem.target.calls - calls
    return {**metrics, "evaluation_seconds": time.process_time() - began}


def exact_log_weights(trained: Trained, exact: Tensor, generator: torch.Generator) -> Tensor:
    """Log weights of paths noised back from exact draws ``(N, D)`` in the raw space."""
    ends = trained.whiten(exact)
    draws = ends, trained.target.log_prob(ends)
    return reverse_log_weights(trained.sampler.process, trained.sampler.policy, trained.target, draws, generator)
