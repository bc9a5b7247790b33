"""The five tasks of sbibm that have a likelihood, as Pyro models of one observation `x`.

Definitions: Lueckmann et al. 2021, "Benchmarking simulation-based inference", and the task files of sbibm 1.1.0. All
models also run inside a plate, so that simulators without Pyro's conditioning can draw many pairs at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

LATENT = "parameters"
"""The one latent site of every task."""
RADIUS, WIDTH, OFFSET = 0.1, 0.01, 0.25
"""Of a moon: its mean radius, the std of the radius, and how far right its centre lies."""
JITTER = 1e-6
"""What sbibm adds to both variances of SLCP."""


class Moon(TorchDistribution):
    """Points on a half circle that is open to the left: the angle is uniform, the radius is N(.1, .01²).

    log p(x) = log N(r; .1, .01²) − log(π r) at r = |x − centre|, and −∞ left of the centre. The term −log r is the
    Jacobian of polar coordinates. sbibm's `_likelihood` leaves it out; its simulator and reference draws have it.

    Args:
        centre: ``(..., 2)``.
    """

    arg_constraints = {"centre": constraints.real_vector}  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    support = constraints.real_vector  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def __init__(self, centre: Tensor, validate_args: bool | None = None):
        self.centre = centre
        super().__init__(centre.shape[:-1], centre.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: torch.Size, _instance: Moon | None = None) -> Moon:
        return Moon(self.centre.expand(*batch_shape, 2))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))[:-1]
        angle = math.pi * (torch.rand(shape) - 0.5)
        radius = RADIUS + WIDTH * torch.randn(shape)
        return self.centre + torch.stack([radius * angle.cos(), radius * angle.sin()], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        gap = value - self.centre
        radius = gap.square().sum(-1).sqrt()
        inside = dist.Normal(RADIUS, WIDTH).log_prob(radius) - radius.log() - math.log(math.pi)
        return torch.where(gap[..., 0] < 0, -math.inf, inside)


def two_moons(x: Tensor) -> None:
    place = pyro.sample(LATENT, dist.Uniform(-torch.ones(2), torch.ones(2)).to_event(1))
    along, across = place[..., 0] + place[..., 1], place[..., 1] - place[..., 0]
    centre = torch.stack([OFFSET - along.abs() / math.sqrt(2), across / math.sqrt(2)], -1)
    pyro.sample("x", Moon(centre), obs=x)


def slcp(x: Tensor) -> None:
    """Four points ``(4, 2)`` of one normal law, whose mean, scales and correlation are the parameters."""
    latent = pyro.sample(LATENT, dist.Uniform(-3 * torch.ones(5), 3 * torch.ones(5)).to_event(1))
    mean, correlation = latent[..., :2], latent[..., 4].tanh()
    first, second = latent[..., 2].square(), latent[..., 3].square()
    a = (first.square() + JITTER).sqrt()
    b = correlation * first * second / a
    c = (second.square() * (1 - (correlation * first / a).square()) + JITTER).sqrt()
    scale = torch.stack([torch.stack([a, torch.zeros_like(a)], -1), torch.stack([b, c], -1)], -2)
    law = dist.MultivariateNormal(mean[..., None, :], scale_tril=scale[..., None, :, :])
    pyro.sample("x", dist.Independent(law.expand(mean.shape[:-1] + (4,)), 1), obs=x)


def gaussian_mixture(x: Tensor) -> None:
    place = pyro.sample(LATENT, dist.Uniform(-10 * torch.ones(2), 10 * torch.ones(2)).to_event(1))
    scales = torch.tensor([[1.0], [0.1]])
    parts = dist.Normal(place[..., None, :], scales).to_event(1)
    pyro.sample("x", dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), parts), obs=x)


def gaussian_linear(x: Tensor) -> None:
    mean = pyro.sample(LATENT, dist.Normal(torch.zeros(10), math.sqrt(0.1)).to_event(1))
    pyro.sample("x", dist.Normal(mean, math.sqrt(0.1)).to_event(1), obs=x)


def smooth_precision(size: int = 9) -> Tensor:
    """The prior's precision ``(size + 1, size + 1)``: an offset, and a filter whose second differences are small."""
    step = torch.eye(size) - torch.diag(torch.ones(size - 1), -1)
    second = step @ step + torch.diag((torch.arange(size) / size).sqrt())
    precision = torch.zeros(size + 1, size + 1)
    precision[0, 0] = 0.5
    precision[1:, 1:] = second.mT @ second
    return precision


def bernoulli_glm(design: Tensor) -> Callable[[Tensor], None]:
    """The model of 100 spikes ``x: (100,)`` given sbibm's frozen stimulus.

    Args:
        design: ``(100, 10)``, sbibm's ``design_matrix.pt``.
    """
    scale = torch.linalg.cholesky(torch.linalg.inv(smooth_precision()))

    def glm(x: Tensor) -> None:
        weights = pyro.sample(LATENT, dist.MultivariateNormal(torch.zeros(10), scale_tril=scale))
        pyro.sample("x", dist.Bernoulli(logits=weights @ design.mT).to_event(1), obs=x)

    return glm
