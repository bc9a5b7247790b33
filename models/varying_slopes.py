"""A measurement in 85 counties, with an intercept and a slope for each: the radon problem with simulated data.

    intercept_mean ~ N(0, 2),  slope_mean ~ N(0, 2),  intercept_std, slope_std, noise ~ HalfNormal(1)
    intercept_j ~ N(intercept_mean, intercept_std),  slope_j ~ N(slope_mean, slope_std),  j = 1..85
    y_i ~ N(intercept_j(i) + slope_j(i) x_i, noise)

`model` draws the effects themselves. This is centred, as most people write it first. `non_centred` draws standardized
effects, and the effects are deterministic. Both have the same posterior and the same evidence. Some counties have
over forty rows and some have two, so neither form suits all of them.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`; of the kind of radon in Gelman and Hill (2007), chapter 13"

# All means and effects in closed form, the three scales by quadrature: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-759.20942, 0.0)
SCALE = 1.0

GROUPS = 85


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """County of each row, 0 to 84, floor (0 or 1) and log radon: each ``(rows,)``. Simulated with seed 85."""
    generator = torch.Generator().manual_seed(85)
    rows = (1.0 + torch.randn(GROUPS, generator=generator) + 0.7).exp().clamp(2, 50).long()
    group = torch.arange(GROUPS).repeat_interleave(rows)
    floor = torch.bernoulli(torch.full((len(group),), 0.4), generator=generator)
    intercept = 1.4 + 0.35 * torch.randn(GROUPS, generator=generator)
    slope = -0.7 + 0.3 * torch.randn(GROUPS, generator=generator)
    y = intercept[group] + slope[group] * floor + 0.7 * torch.randn(len(group), generator=generator)
    return group, floor, y


def model(group: torch.Tensor, floor: torch.Tensor, y: torch.Tensor) -> None:
    intercept_mean = pyro.sample("intercept_mean", dist.Normal(0.0, 2.0))
    slope_mean = pyro.sample("slope_mean", dist.Normal(0.0, 2.0))
    intercept_std = pyro.sample("intercept_std", dist.HalfNormal(1.0))
    slope_std = pyro.sample("slope_std", dist.HalfNormal(1.0))
    noise = pyro.sample("noise", dist.HalfNormal(1.0))
    with pyro.plate("county", GROUPS):
        intercept = pyro.sample("intercept", dist.Normal(intercept_mean, intercept_std))
        slope = pyro.sample("slope", dist.Normal(slope_mean, slope_std))
    with pyro.plate("row", len(y)):
        pyro.sample("y", dist.Normal(intercept[group] + slope[group] * floor, noise), obs=y)


def non_centred(group: torch.Tensor, floor: torch.Tensor, y: torch.Tensor) -> None:
    intercept_mean = pyro.sample("intercept_mean", dist.Normal(0.0, 2.0))
    slope_mean = pyro.sample("slope_mean", dist.Normal(0.0, 2.0))
    intercept_std = pyro.sample("intercept_std", dist.HalfNormal(1.0))
    slope_std = pyro.sample("slope_std", dist.HalfNormal(1.0))
    noise = pyro.sample("noise", dist.HalfNormal(1.0))
    with pyro.plate("county", GROUPS):
        standard_intercept = pyro.sample("standard_intercept", dist.Normal(0.0, 1.0))
        standard_slope = pyro.sample("standard_slope", dist.Normal(0.0, 1.0))
        intercept = pyro.deterministic("intercept", intercept_mean + intercept_std * standard_intercept)
        slope = pyro.deterministic("slope", slope_mean + slope_std * standard_slope)
    with pyro.plate("row", len(y)):
        pyro.sample("y", dist.Normal(intercept[group] + slope[group] * floor, noise), obs=y)
