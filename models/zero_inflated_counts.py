"""Fish caught by visitors of twenty lakes, where some visitors do not fish: counts with too many zeros, by group.

rate_mean ~ N(1, 1),  rate_std ~ HalfNormal(1),  log_rate_j ~ N(rate_mean, rate_std),  j = 1..20
idle_mean ~ N(0, 1.5),  idle_std ~ HalfNormal(1),  idle_j ~ N(idle_mean, idle_std)
count_ij ~ 0 with probability sigmoid(idle_j), else Poisson(exp(log_rate_j)),  i = 1..15
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`; Lambert (1992), Technometrics 34(1)"

# Bridge sampling from long NUTS chains: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-416.174, 0.012)
SCALE = 1.0

LAKES, VISITORS = 20, 15


def data() -> tuple[torch.Tensor]:
    """Fish of a visitor ``(15, 20)``, a column a lake. Simulated with seed 9."""
    generator = torch.Generator().manual_seed(9)
    rate = (0.8 + 0.6 * torch.randn(LAKES, generator=generator)).exp()
    idle = (-0.5 + 0.7 * torch.randn(LAKES, generator=generator)).sigmoid()
    fish = torch.poisson(rate.expand(VISITORS, LAKES), generator=generator)
    return (fish * torch.bernoulli(1 - idle.expand(VISITORS, LAKES), generator=generator),)


def model(count: torch.Tensor) -> None:
    rate_mean = pyro.sample("rate_mean", dist.Normal(1.0, 1.0))
    rate_std = pyro.sample("rate_std", dist.HalfNormal(1.0))
    idle_mean = pyro.sample("idle_mean", dist.Normal(0.0, 1.5))
    idle_std = pyro.sample("idle_std", dist.HalfNormal(1.0))
    with pyro.plate("lake", LAKES, dim=-1):
        log_rate = pyro.sample("log_rate", dist.Normal(rate_mean, rate_std))
        idle = pyro.sample("idle", dist.Normal(idle_mean, idle_std))
        with pyro.plate("visitor", VISITORS, dim=-2):
            pyro.sample("count", dist.ZeroInflatedPoisson(log_rate.exp(), gate_logits=idle), obs=count)
