"""Twenty-five well separated Gaussians on a grid in the plane, all of the same weight.

    x ~ mean over m in {-10, -5, 0, 5, 10}² of N(m, 0.3 I)

Neighbours lie nine standard deviations apart. A chain never leaves the component in which it starts.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Zhang and Chen (2022), Path Integral Sampler; Sendera et al. (2024), arXiv 2402.05098"

LOG_EVIDENCE = (0.0, 0.0)  # normalized

MODES = torch.cartesian_prod(torch.arange(-10.0, 11.0, 5.0), torch.arange(-10.0, 11.0, 5.0))
MODE_WEIGHTS = torch.full((25,), 1 / 25)
STANDARD_DEVIATION = 0.3**0.5
SCALE = 5.0**0.5  # of the reference diffusion in the published runs


class Mixture(dist.MixtureSameFamily):
    """A mixture whose support has a transform to unconstrained space; PyTorch's own has none."""

    support = dist.constraints.real_vector


def data() -> tuple[()]:
    return ()


def model() -> None:
    here = torch.get_default_device()
    components = dist.Normal(MODES.to(here), STANDARD_DEVIATION).to_event(1)
    pyro.sample("x", Mixture(dist.Categorical(probs=MODE_WEIGHTS.to(here)), components))


def sample(n: int) -> dict[str, torch.Tensor]:
    """Exact draws: ``{"x": (n, 2)}``."""
    return {"x": MODES[torch.randint(25, (n,))] + STANDARD_DEVIATION * torch.randn(n, 2)}


def mode(draws: dict[str, torch.Tensor]) -> torch.Tensor:
    """Index into `MODES` of the component that each draw is nearest to: ``(n,)``."""
    return torch.cdist(draws["x"], MODES).argmin(-1)
