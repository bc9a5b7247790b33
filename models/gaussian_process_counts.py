"""Counts along a line, whose logarithmic rate is a smooth unknown function: a Gaussian process under Poisson counts.

    intercept ~ N(0, 2),  amplitude ~ HalfNormal(1),  length ~ LogNormal(-1.5, 0.5)
    f ~ N(0, K),  K_ij = amplitude² (1 + r_ij) exp(-r_ij) + 10⁻⁴ 1[i = j],  r_ij = √3 |x_i - x_j| / length
    count_i ~ Poisson(exp(intercept + f_i)),  x_i = i / 60,  i = 1..60

The kernel is Matérn's with ν = 3/2. The 10⁻⁴ keeps the Cholesky factor defined in float32.
"""

import math

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`; Rasmussen and Williams (2006), chapters 3 and 4"

# Bridge sampling from long NUTS chains: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-134.866, 0.008)
SCALE = 1.0

POINTS = 60


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Places in (0, 1] and counts there, each ``(60,)``; the log rate is 1 + sin(2πx) + x cos(5πx). Seed 7."""
    generator = torch.Generator().manual_seed(7)
    x = torch.arange(1, POINTS + 1) / POINTS
    log_rate = 1.0 + (2 * math.pi * x).sin() + x * (5 * math.pi * x).cos()
    return x, torch.poisson(log_rate.exp(), generator=generator)


def model(x: torch.Tensor, count: torch.Tensor) -> None:
    intercept = pyro.sample("intercept", dist.Normal(0.0, 2.0))
    amplitude = pyro.sample("amplitude", dist.HalfNormal(1.0))
    length = pyro.sample("length", dist.LogNormal(-1.5, 0.5))
    distance = math.sqrt(3.0) * (x[:, None] - x).abs() / length
    covariance = amplitude.square() * (1 + distance) * (-distance).exp() + 1e-4 * torch.eye(len(x))
    f = pyro.sample("f", dist.MultivariateNormal(torch.zeros(len(x)), covariance))
    with pyro.plate("place", len(x)):
        pyro.sample("count", dist.Poisson((intercept + f).exp()), obs=count)
