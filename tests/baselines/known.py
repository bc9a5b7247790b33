"""Asymmetric targets of known moments and evidence: a sign error hides in symmetric ones."""

import math

import pyro
import pyro.distributions as dist
import torch

from amortized.targets.callable import DensityTarget

LOG_Z = 1.5
"""Of ``skewed_mixture``: the first coordinate's mixture is normalized, the second's density, of log Gamma(2), too."""
LEFT = 0.2
MEAN = torch.tensor([0.8 * 1.5 - 0.2 * 2.0, float(torch.polygamma(0, torch.tensor(2.0)))])
DEVIATION = torch.tensor([(0.2 * (0.3**2 + 4.0) + 0.8 * (1.0 + 2.25) - 0.8**2) ** 0.5, (math.pi**2 / 6 - 1) ** 0.5])

CONJUGATE_DATA = torch.tensor([1.0, 2.5, 2.0, 4.0])
CONJUGATE_MEAN, CONJUGATE_DEVIATION = 9.5 / 4.25, 4.25**-0.5


def skewed_mixture() -> DensityTarget:
    """``e^1.5 (0.2 N(x; −2, 0.3²) + 0.8 N(x; 1.5, 1)) e^{2y − e^y}``."""

    def log_density(x: torch.Tensor) -> torch.Tensor:
        left = math.log(LEFT) + dist.Normal(-2.0, 0.3).log_prob(x[:, 0])
        right = math.log(1 - LEFT) + dist.Normal(1.5, 1.0).log_prob(x[:, 0])
        return LOG_Z + torch.logaddexp(left, right) + 2 * x[:, 1] - x[:, 1].exp()

    return DensityTarget(log_density, dim=2)


def tilted_gaussian() -> DensityTarget:
    """``e^−2 N(x; (1, −2), C)`` with deviations 0.5 and 2 and correlation 0.6."""
    normal = dist.MultivariateNormal(torch.tensor([1.0, -2.0]), torch.tensor([[0.25, 0.6], [0.6, 4.0]]))
    return DensityTarget(lambda x: normal.log_prob(x) - 2.0, dim=2)


def conjugate(data: torch.Tensor, scale: float = 1.0) -> None:
    """``mean ~ N(0, 2)``, data ``N(mean, scale)``."""
    mean = pyro.sample("mean", dist.Normal(0.0, 2.0))
    with pyro.plate("datum", len(data)):
        pyro.sample("data", dist.Normal(mean, scale), obs=data)


def conjugate_log_evidence() -> float:
    """Of ``CONJUGATE_DATA`` under ``N(0, I + 4)``."""
    covariance = torch.eye(4) + 4.0
    return float(dist.MultivariateNormal(torch.zeros(4), covariance).log_prob(CONJUGATE_DATA))
