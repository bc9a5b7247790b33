"""A random walk that is seen with noise, where neither the steps' size nor the noise is known.

    step_std, noise ~ HalfNormal(1),  step_t ~ N(0, step_std),  level_t = step_1 + … + step_t
    y_t ~ N(level_t, noise),  t = 1..250

The walk is one plate of steps and one `cumsum`. A loop of 250 `pyro.sample` would have the same density, and takes
seconds to trace.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`; the local level model of Durbin and Koopman (2012), chapter 2"

# Steps in closed form, both scales by quadrature: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-262.46751, 0.0)
SCALE = 1.0


def data(steps: int = 250) -> tuple[torch.Tensor]:
    """A walk with steps of size 0.3, and a noise of 0.5: ``(steps,)``. Simulated with seed 4.

    Raises:
        ValueError: Fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2, got {steps!r}; write data(250), or data(500)")
    generator = torch.Generator().manual_seed(4)
    level = (0.3 * torch.randn(steps, generator=generator)).cumsum(0)
    return (level + 0.5 * torch.randn(steps, generator=generator),)


def model(y: torch.Tensor) -> None:
    step_std = pyro.sample("step_std", dist.HalfNormal(1.0))
    noise = pyro.sample("noise", dist.HalfNormal(1.0))
    with pyro.plate("time", len(y)):
        step = pyro.sample("step", dist.Normal(0.0, step_std))
        level = pyro.deterministic("level", step.cumsum(-1))
        pyro.sample("y", dist.Normal(level, noise), obs=y)
