"""Reaction times over ten days of little sleep: an intercept and a slope for each person, which are correlated.

    mean ~ N(0, 2)²,  std_k ~ HalfNormal(1),  correlation ~ LKJCholesky(2, 2),  noise ~ HalfNormal(1)
    effect_j ~ N(mean, diag(std) L Lᵀ diag(std)),  L = correlation,  j = 1..30
    y_jt ~ N(effect_j1 + effect_j2 day_t, noise),  day_t = (t - 4.5) / 4.5,  t = 0..9

The times are standardized.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = (
    "Lewandowski, Kurowicka and Joe (2009), Journal of Multivariate Analysis 100(9), for the prior; simulated by the "
    "formula in `data`, of the kind of Belenky et al. (2003)"
)

# Bridge sampling from long NUTS chains: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-278.679, 0.008)
SCALE = 1.0

PERSONS, DAYS = 30, 10


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Days ``(10,)``, from -1 to 1, and times ``(30, 10)``. Simulated with seed 8 and the correlation 0.5."""
    generator = torch.Generator().manual_seed(8)
    day = (torch.arange(DAYS) - 4.5) / 4.5
    first, second, noise = (torch.randn(PERSONS, n, generator=generator) for n in (1, 1, DAYS))
    intercept = 0.2 + 0.7 * first
    slope = 0.5 + 0.3 * (0.5 * first + 0.75**0.5 * second)
    return day, intercept + slope * day + 0.5 * noise


def model(day: torch.Tensor, y: torch.Tensor) -> None:
    mean = pyro.sample("mean", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    std = pyro.sample("std", dist.HalfNormal(1.0).expand([2]).to_event(1))
    correlation = pyro.sample("correlation", dist.LKJCholesky(2, 2.0))
    noise = pyro.sample("noise", dist.HalfNormal(1.0))
    with pyro.plate("person", PERSONS):
        effect = pyro.sample("effect", dist.MultivariateNormal(mean, scale_tril=std[:, None] * correlation))
        expected = effect[..., :1] + effect[..., 1:] * day
        pyro.sample("y", dist.Normal(expected, noise).to_event(1), obs=y)
