"""Forty Gaussians at random places of a wide square, some of them close together. The means are the data.

    x ~ mean over m of N(m, I),  40 means m uniform in [-40, 40]^dimension

PyTorch's generator draws the means with seed 0. `data(50)` draws them in fifty dimensions. In the plane some lie
closer than two standard deviations and merge. So a mode is the set of points that are nearest to one mean.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Midgley et al. (2023), arXiv 2208.01893; unit covariance as in Blessing et al. (2024), arXiv 2406.07423"

LOG_EVIDENCE = (0.0, 0.0)  # normalized

COMPONENTS = 40
HALF_WIDTH = 40.0
MODE_WEIGHTS = torch.full((COMPONENTS,), 1 / COMPONENTS)  # of the nearest mean: within 2 % of it by two million draws
SCALE = HALF_WIDTH / 3**0.5  # standard deviation of the uniform distribution of the means


class Mixture(dist.MixtureSameFamily):
    """A mixture whose support has a transform to unconstrained space; PyTorch's own has none."""

    support = dist.constraints.real_vector


def data(dimension: int = 2) -> tuple[torch.Tensor]:
    """The means ``(40, dimension)``. Raises ``ValueError`` if ``dimension`` is not a whole number from 1 on."""
    if not isinstance(dimension, int) or dimension < 1:
        raise ValueError(f"dimension must be a whole number from 1 on, got {dimension!r}; write data(2)")
    uniform = torch.rand(COMPONENTS, dimension, generator=torch.Generator().manual_seed(0))
    return (HALF_WIDTH * (2 * uniform - 1),)


def model(means: torch.Tensor) -> None:
    components = dist.Normal(means, 1.0).to_event(1)
    pyro.sample("x", Mixture(dist.Categorical(logits=means.new_zeros(len(means))), components))


def sample(n: int, means: torch.Tensor) -> dict[str, torch.Tensor]:
    """Exact draws: ``{"x": (n, dimension)}``."""
    chosen = means[torch.randint(len(means), (n,))]
    return {"x": chosen + torch.randn(chosen.shape)}


def mode(draws: dict[str, torch.Tensor], means: torch.Tensor) -> torch.Tensor:
    """Index of the mean that each draw is nearest to: ``(n,)``."""
    return torch.cdist(draws["x"], means).argmin(-1)


def log_evidence(means: torch.Tensor) -> tuple[float, float]:
    return LOG_EVIDENCE
