"""Ten groups of fifty rows: many rows for each effect, so the centred form is the good one.

mean ~ N(0, 5),  std ~ HalfNormal(2),  noise ~ HalfNormal(2),  effect_j ~ N(mean, std),  j = 1..10
y_ij ~ N(effect_j, noise),  i = 1..50
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`"

# Mean and effects in closed form, both scales by quadrature: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-374.37022, 0.0)
SCALE = 1.0

GROUPS, ROWS = 10, 50


def data() -> tuple[torch.Tensor]:
    """Rows ``(50, 10)``, a column a group; effects of std 1 round 1, noise 0.5. Simulated with seed 11."""
    generator = torch.Generator().manual_seed(11)
    effect = 1.0 + torch.randn(GROUPS, generator=generator)
    return (effect + 0.5 * torch.randn(ROWS, GROUPS, generator=generator),)


def model(y: torch.Tensor) -> None:
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    std = pyro.sample("std", dist.HalfNormal(2.0))
    noise = pyro.sample("noise", dist.HalfNormal(2.0))
    with pyro.plate("group", GROUPS, dim=-1):
        effect = pyro.sample("effect", dist.Normal(mean, std))
        with pyro.plate("row", ROWS, dim=-2):
            pyro.sample("y", dist.Normal(effect, noise), obs=y)
