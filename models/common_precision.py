"""Thirty means with a common precision that is not known.

    log_precision ~ N(2, 2),  mean_i ~ N(0, exp(-log_precision / 2)),  x_i ~ N(mean_i, 1),  i = 1..30

Each mean has one observation, so the data say little of the precision. The posterior is a funnel.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`"

# Means in closed form, the log precision by quadrature: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-40.01155, 0.0)
SCALE = 1.0


def data() -> tuple[torch.Tensor]:
    """Thirty observations; the means have the std 0.15. Simulated with seed 2."""
    generator = torch.Generator().manual_seed(2)
    return ((1 + 0.15**2) ** 0.5 * torch.randn(30, generator=generator),)


def model(x: torch.Tensor) -> None:
    log_precision = pyro.sample("log_precision", dist.Normal(2.0, 2.0))
    with pyro.plate("row", len(x)):
        mean = pyro.sample("mean", dist.Normal(0.0, (-log_precision / 2).exp()))
        pyro.sample("x", dist.Normal(mean, 1.0), obs=x)
