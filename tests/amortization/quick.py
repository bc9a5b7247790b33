"""Amortized guides that are trained for a moment: what is exact about them needs no more."""

import pyro
import pyro.distributions as dist
import torch

from amortized import Recipe
from amortized.amortization import gaussian
from tests.known import seeded

BRIEF = Recipe(bridge_steps=10, steps=10, batch=128, bridge_batch=128, every=10, held_out=128, refinements=(1,))
SCALE, SIZE = 0.5, 5


def shortened(patch, steps: int = 150) -> None:
    """A Gaussian for every context after so few steps."""
    patch.setattr(gaussian, "STEPS", steps)


def conjugate(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.deterministic("twice", 2 * mean)
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, SCALE), obs=y)


def truth(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Posterior mean and deviation, and the log evidence, of data sets ``y: (..., n)``."""
    count = y.shape[-1]
    precision = torch.tensor(1 + count / SCALE**2)
    covariance = SCALE**2 * torch.eye(count) + 1.0
    evidence = dist.MultivariateNormal(torch.zeros(count), covariance).log_prob(y)
    return y.sum(-1) / SCALE**2 / precision, precision**-0.5, evidence


def data_sets(count: int, seed: int = 0, size: int = SIZE) -> torch.Tensor:
    generator = seeded(seed)
    return torch.randn(count, 1, generator=generator) + SCALE * torch.randn(count, size, generator=generator)


def rows_of_images(x):
    """Two latents to each row: z ~ N(0, I), x | z ~ N([z, z₁ + z₂], 0.25)."""
    with pyro.plate("images", len(x)):
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        means = torch.cat([z, z.sum(-1, keepdim=True)], -1)
        pyro.sample("x", dist.Normal(means, 0.5).to_event(1), obs=x)


LOADINGS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def images(count: int, seed: int = 0) -> torch.Tensor:
    generator = seeded(seed)
    z = torch.randn(count, 2, generator=generator)
    return z @ LOADINGS.T + 0.5 * torch.randn(count, 3, generator=generator)


def truth_of_images(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Posterior means ``(M, 2)``, their common covariance, and log evidences ``(M,)``."""
    covariance = torch.linalg.inv(torch.eye(2) + LOADINGS.T @ LOADINGS / 0.25)
    evidence = dist.MultivariateNormal(torch.zeros(3), LOADINGS @ LOADINGS.T + 0.25 * torch.eye(3)).log_prob(x)
    return x @ LOADINGS @ covariance / 0.25, covariance, evidence
