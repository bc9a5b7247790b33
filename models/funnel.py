"""Neal's funnel in ten dimensions: the scale of nine coordinates is itself unknown.

    log_variance ~ N(0, 3),  x_i | log_variance ~ N(0, exp(log_variance / 2)),  i = 1..9

There are no data: the prior is the target, so the evidence is exactly one.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Neal (2003), Slice sampling, Annals of Statistics 31(3), section 8; variance 9 for the first coordinate"

LOG_EVIDENCE = (0.0, 0.0)


def data() -> tuple[()]:
    return ()


def model() -> None:
    log_variance = pyro.sample("log_variance", dist.Normal(0.0, 3.0))
    with pyro.plate("coordinate", 9):
        pyro.sample("x", dist.Normal(0.0, (0.5 * log_variance).exp()))


def sample(n: int) -> dict[str, torch.Tensor]:
    """Exact draws: ``{"log_variance": (n,), "x": (n, 9)}``."""
    log_variance = 3.0 * torch.randn(n)
    return {"log_variance": log_variance, "x": (0.5 * log_variance).exp()[:, None] * torch.randn(n, 9)}
