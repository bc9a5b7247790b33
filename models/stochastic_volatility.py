"""Daily returns whose volatility wanders: the logarithm of the volatility is a random walk.

    step_std ~ Exponential(10),  nu ~ Exponential(0.1)
    step_t ~ N(0, step_std),  log_volatility_t = step_1 + … + step_t
    return_t ~ StudentT(nu, 0, exp(log_volatility_t)),  t = 1..300

Returns are in per cent. The steps and their size form a funnel of 300 dimensions.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Hoffman and Gelman (2014), JMLR 15, section 4.1, wider prior of the step; simulated in `data`"

# Bridge sampling from long NUTS chains: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-794.379, 0.037)
SCALE = 1.0


def data(days: int = 300) -> tuple[torch.Tensor]:
    """Returns in per cent a day, ``(days,)``: steps of 0.15, Student's t with 8 degrees. Simulated with seed 5.

    Raises:
        ValueError: Fewer than two days.
    """
    if days < 2:
        raise ValueError(f"days must be at least 2, got {days!r}; write data(300)")
    generator = torch.Generator().manual_seed(5)
    log_volatility = (0.15 * torch.randn(days, generator=generator)).cumsum(0)
    squares = torch.randn(8, days, generator=generator).square().mean(0)  # of a chi-square, over its degrees
    return (log_volatility.exp() * torch.randn(days, generator=generator) / squares.sqrt(),)


def model(returns: torch.Tensor) -> None:
    step_std = pyro.sample("step_std", dist.Exponential(10.0))
    nu = pyro.sample("nu", dist.Exponential(0.1))
    with pyro.plate("day", len(returns)):
        step = pyro.sample("step", dist.Normal(0.0, step_std))
        log_volatility = pyro.deterministic("log_volatility", step.cumsum(-1))
        pyro.sample("return", dist.StudentT(nu, 0.0, log_volatility.exp()), obs=returns)
