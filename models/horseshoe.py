"""Which of twenty columns matter? A linear regression whose coefficients have the horseshoe prior.

    tau ~ HalfCauchy(1),  lambda_j ~ HalfCauchy(1),  coefficient_j ~ N(0, tau lambda_j),  j = 1..20
    noise ~ HalfNormal(2),  y_i ~ N(columns_i · coefficient, noise),  i = 1..60

`model` draws the coefficients themselves. `non_centred` draws them standardized, with the same posterior and evidence.
`regularized` gives large coefficients a slab, so that they have a finite scale:

    tau ~ HalfCauchy(0.043 noise),  slab ~ InverseGamma(2, 8)
    coefficient_j ~ N(0, tau ρ_j),  ρ_j² = slab lambda_j² / (slab + tau² lambda_j²)

The posterior has a funnel for each column, and tails of a Cauchy distribution.
"""

import math

import pyro
import pyro.distributions as dist
import torch

REFERENCE = (
    "Carvalho, Polson and Scott (2010), Biometrika 97(2); Piironen and Vehtari (2017), Electronic Journal of "
    "Statistics 11(2) for the regularized form; data simulated by the formula in `data`"
)

# Coefficients in closed form, the other 22 by bridge sampling: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-105.582, 0.005)
SCALE = 1.0

COLUMNS, ROWS = 20, 60
EXPECTED = 5 / 15 / math.sqrt(ROWS)
"""Five of twenty coefficients are expected to matter: 5 / (20 - 5) / √rows, equation 3.12 of the second paper."""


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Columns ``(60, 20)``, standard normal, and what they explain ``(60,)``. Simulated with seed 3.

    The first four coefficients are 2, -1.5, 1 and 0.5; the others are 0; the noise is 1.
    """
    generator = torch.Generator().manual_seed(3)
    columns = torch.randn(ROWS, COLUMNS, generator=generator)
    coefficient = torch.zeros(COLUMNS)
    coefficient[:4] = torch.tensor([2.0, -1.5, 1.0, 0.5])
    return columns, columns @ coefficient + torch.randn(ROWS, generator=generator)


def model(columns: torch.Tensor, y: torch.Tensor) -> None:
    noise = pyro.sample("noise", dist.HalfNormal(2.0))
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    with pyro.plate("column", COLUMNS):
        scale = pyro.sample("lambda", dist.HalfCauchy(1.0))
        coefficient = pyro.sample("coefficient", dist.Normal(0.0, tau * scale))
    with pyro.plate("row", ROWS):
        pyro.sample("y", dist.Normal(columns @ coefficient, noise), obs=y)


def non_centred(columns: torch.Tensor, y: torch.Tensor) -> None:
    noise = pyro.sample("noise", dist.HalfNormal(2.0))
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    with pyro.plate("column", COLUMNS):
        scale = pyro.sample("lambda", dist.HalfCauchy(1.0))
        standard = pyro.sample("standard", dist.Normal(0.0, 1.0))
        coefficient = pyro.deterministic("coefficient", tau * scale * standard)
    with pyro.plate("row", ROWS):
        pyro.sample("y", dist.Normal(columns @ coefficient, noise), obs=y)


def regularized(columns: torch.Tensor, y: torch.Tensor) -> None:
    noise = pyro.sample("noise", dist.HalfNormal(2.0))
    tau = pyro.sample("tau", dist.HalfCauchy(EXPECTED * noise))
    slab = pyro.sample("slab", dist.InverseGamma(2.0, 8.0))
    with pyro.plate("column", COLUMNS):
        scale = pyro.sample("lambda", dist.HalfCauchy(1.0))
        root = (slab / (slab + (tau * scale).square())).sqrt()
        coefficient = pyro.sample("coefficient", dist.Normal(0.0, tau * scale * root))
    with pyro.plate("row", ROWS):
        pyro.sample("y", dist.Normal(columns @ coefficient, noise), obs=y)
