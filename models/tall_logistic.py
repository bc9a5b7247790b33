"""A hundred thousand customers in forty shops: did one buy? A logistic regression with an intercept for each shop.

mean ~ N(0, 2),  std ~ HalfNormal(1),  shop_j ~ N(mean, std),  j = 1..40
weight_k ~ N(0, 1),  k = 1..4,  bought_i ~ Bernoulli(logits = shop_j(i) + columns_i · weight),  i = 1..100,000
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`; Gelman and Hill (2007), chapter 14"

# Bridge sampling from long NUTS chains: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-55784.345, 0.008)
SCALE = 1.0

SHOPS, COLUMNS = 40, 4


def data(rows: int = 100_000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shop of each customer, 0 to 39, ``(rows,)``; columns ``(rows, 4)``; 1 if bought ``(rows,)``. Seed 10.

    Raises:
        ValueError: No row.
    """
    if rows < 1:
        raise ValueError(f"rows must be positive, got {rows!r}; write data(100_000)")
    generator = torch.Generator().manual_seed(10)
    effect = -1.0 + 0.5 * torch.randn(SHOPS, generator=generator)
    weight = torch.tensor([0.5, -0.3, 0.1, 0.0])
    shop = torch.randint(SHOPS, (rows,), generator=generator)
    columns = torch.randn(rows, COLUMNS, generator=generator)
    return shop, columns, torch.bernoulli((effect[shop] + columns @ weight).sigmoid(), generator=generator)


def model(shop: torch.Tensor, columns: torch.Tensor, bought: torch.Tensor) -> None:
    mean = pyro.sample("mean", dist.Normal(0.0, 2.0))
    std = pyro.sample("std", dist.HalfNormal(1.0))
    weight = pyro.sample("weight", dist.Normal(0.0, 1.0).expand([COLUMNS]).to_event(1))
    with pyro.plate("shop", SHOPS):
        effect = pyro.sample("effect", dist.Normal(mean, std))
    with pyro.plate("row", len(bought)):
        pyro.sample("bought", dist.Bernoulli(logits=effect[shop] + columns @ weight), obs=bought)
