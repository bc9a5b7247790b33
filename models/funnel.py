"""Neal's funnel in ten dimensions: the scale of nine coordinates is itself unknown.

    log_variance ~ N(0, deviation),  x_i | log_variance ~ N(0, exp(log_variance / 2)),  i = 1..9

There are no observations: the prior is the target, so the evidence is exactly one. The deviation is 3, the hard funnel;
`data(1.0)` is the easy one of the sampling literature.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Neal (2003), Slice sampling, Annals of Statistics 31(3), section 8; variance 9 for the first coordinate"

LOG_EVIDENCE = (0.0, 0.0)  # normalized
SCALE = 1.0  # of the reference diffusion in the published runs


def data(deviation: float = 3.0) -> tuple[float]:
    """Standard deviation of ``log_variance``. Raises ``ValueError`` where it is not positive."""
    if not deviation > 0:
        raise ValueError(f"deviation must be positive, got {deviation!r}; write data(3.0), or data(1.0)")
    return (float(deviation),)


def model(deviation: float = 3.0) -> None:
    log_variance = pyro.sample("log_variance", dist.Normal(0.0, deviation))
    with pyro.plate("coordinate", 9):
        pyro.sample("x", dist.Normal(0.0, (0.5 * log_variance).exp()))


def sample(n: int, deviation: float = 3.0) -> dict[str, torch.Tensor]:
    """Exact draws: ``{"log_variance": (n,), "x": (n, 9)}``."""
    log_variance = deviation * torch.randn(n)
    return {"log_variance": log_variance, "x": (0.5 * log_variance).exp()[:, None] * torch.randn(n, 9)}


def log_evidence(deviation: float = 3.0) -> tuple[float, float]:
    return LOG_EVIDENCE
