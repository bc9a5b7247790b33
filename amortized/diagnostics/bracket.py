"""log Z between two bounds: on-policy paths give the lower one, backward paths from draws of the target the upper."""

from __future__ import annotations

import math
from dataclasses import dataclass

from amortized._types import Tensor
from amortized.weights import HEAVY_TAIL, Estimate, log_evidence, mean_with_error, pareto_shape

TOLERANCE = 0.2
"""Nats by which the bounds may always lie apart: the warm-up's draws are not exact."""


@dataclass(frozen=True)
class Bracket:
    """``elbo = E_q[log w] ≤ E[lower] ≤ log Z ≤ E[upper] ≤ eubo = E_p[log w]``, in nats with Monte Carlo errors.

    ``lower = log mean w`` over on-policy paths q. ``upper = −log mean 1/w`` over backward paths p, which start from
    draws of the target; the upper bound is as good as these draws. Grosse, Ghahramani and Adams, arXiv 1511.02543.

    A backward path of weight zero starts where the target has no density, or its density broke down. Then ``mean 1/w``
    is infinite and there is no upper bound.

    Args:
        elbo: ``E_q[log w]``.
        lower: the lower bound.
        upper: the upper bound.
        eubo: ``E_p[log w]``.
        khat: tail index of 1/w.
    """

    elbo: Estimate
    lower: Estimate
    upper: Estimate
    eubo: Estimate
    khat: float

    @property
    def gap(self) -> Estimate:
        """``upper − lower``."""
        error = math.hypot(self.lower.std_error, self.upper.std_error)
        return Estimate(self.upper.value - self.lower.value, error)

    @property
    def closes(self) -> bool:
        """Whether the bounds meet within 4 standard errors or 0.2 nats.

        It is also true if 1/w has a heavy tail: then the upper bound says nothing.
        """
        if not math.isfinite(self.gap.value):
            return False
        return self.gap.value <= max(TOLERANCE, 4 * self.gap.std_error) or self.khat >= HEAVY_TAIL

    def __str__(self) -> str:
        bounds = {"lower": self.lower.value, "upper": self.upper.value}
        texts = [f"{value:.3f}" if math.isfinite(value) else f"no {side} bound" for side, value in bounds.items()]
        return " … ".join(texts) + (f" (± {self.gap.std_error:.3f})" if math.isfinite(self.gap.std_error) else "")


def bracket(log_weights: Tensor, reverse_log_weights: Tensor) -> Bracket:
    """The bracket of log Z from log weights of both kinds of paths.

    Args:
        log_weights: ``(N,)``, of on-policy paths.
        reverse_log_weights: ``(M,)``, of backward paths from draws of the target.

    >>> import torch
    >>> found = bracket(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 2.0]))
    >>> found.elbo.value < found.lower.value < found.upper.value < found.eubo.value
    True
    """
    above = log_evidence(-reverse_log_weights)
    return Bracket(
        elbo=mean_with_error(log_weights),
        lower=log_evidence(log_weights),
        upper=Estimate(-above.value, above.std_error),
        eubo=mean_with_error(reverse_log_weights),
        khat=pareto_shape(-reverse_log_weights),
    )
