"""log Z between two bounds: from fresh paths below, from paths noised back from draws of the target above."""

from __future__ import annotations

import math
from dataclasses import dataclass

from amortized._types import Tensor
from amortized.weights import Estimate, log_evidence, pareto_shape

OPEN = 0.2
"""Nats by which the bounds may lie apart whatever their errors are: the warm-up's draws are not exact."""

HEAVY = 0.7
"""Tail index of 1/w from which its mean, and with it the upper bound, is not to be relied on."""


@dataclass(frozen=True)
class Bracket:
    """``elbo = E_q[log w] ≤ E[lower] ≤ log Z ≤ E[upper] ≤ eubo = E_p[log w]`` in nats, with their Monte Carlo errors.

    ``lower = log mean w`` over fresh paths q; ``upper = −log mean 1/w`` over paths noised back from draws p of the
    target, as good as these are; ``khat``: the tail index of 1/w. Grosse, Ghahramani and Adams, arXiv 1511.02543.

    A draw of the target has a positive density, and noising has one everywhere, so that w > 0 on its path. A path of
    weight zero is of no draw of the target, or broken: ``mean 1/w`` is infinite, and there is no upper bound.
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
        """Whether both bounds meet within 4 standard errors or .2 nats; yes where 1/w has too heavy a tail to tell."""
        if not math.isfinite(self.gap.value):
            return False
        return self.gap.value <= max(OPEN, 4 * self.gap.std_error) or self.khat >= HEAVY

    def __str__(self) -> str:
        bounds = {"lower": self.lower.value, "upper": self.upper.value}
        said = [f"{value:.3f}" if math.isfinite(value) else f"no {side} bound" for side, value in bounds.items()]
        return " … ".join(said) + (f" (± {self.gap.std_error:.3f})" if math.isfinite(self.gap.std_error) else "")


def bracket(log_weights: Tensor, reverse_log_weights: Tensor) -> Bracket:
    """The bracket from log weights of fresh paths ``(N,)`` and of paths noised back from draws of the target ``(M,)``.

    >>> import torch
    >>> found = bracket(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 2.0]))
    >>> found.elbo.value < found.lower.value < found.upper.value < found.eubo.value
    True
    """
    above = log_evidence(-reverse_log_weights)
    return Bracket(
        elbo=mean(log_weights),
        lower=log_evidence(log_weights),
        upper=Estimate(-above.value, above.std_error),
        eubo=mean(reverse_log_weights),
        khat=pareto_shape(-reverse_log_weights),
    )


def mean(values: Tensor) -> Estimate:
    """The mean of ``(N,)`` with its standard error; the error of a mean of −inf is not a number."""
    values = values.double()
    return Estimate(float(values.mean()), float(values.std()) / math.sqrt(len(values)))
