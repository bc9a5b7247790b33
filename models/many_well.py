"""Many double wells side by side: 2^(dimension / 2) modes, the heaviest to the right in every block.

    log R(x) = sum over blocks of -x_1⁴ + 6 x_1² + x_1 / 2 - x_2² / 2

The coordinates of `x` come in pairs (x_1, x_2), one pair a block; `data(128)` has 64 blocks. The prior is flat:
there are no draws of it.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Noe et al. (2019), Boltzmann generators; Midgley et al. (2023), arXiv 2208.01893; arXiv 2402.05098"

# Adaptive quadrature of both wells to 1e-12: benchmarks/truths.py
BLOCK_LOG_EVIDENCE = 10.2934797071
LOG_EVIDENCE = (16 * BLOCK_LOG_EVIDENCE, 0.0)
MODE_WEIGHTS = torch.tensor([0.1556929, 0.8443071])  # left and right well, the same in every block
SCALE = 1.0  # of the reference diffusion in the published runs


def data(dimension: int = 32) -> tuple[int]:
    """The number of coordinates. Raises ``ValueError`` where it is no even whole number from 2 on."""
    if not isinstance(dimension, int) or dimension < 2 or dimension % 2:
        raise ValueError(f"dimension must be an even whole number from 2 on, got {dimension!r}; write data(32)")
    return (dimension,)


def model(dimension: int) -> None:
    x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (dimension,)))
    pyro.factor("wells", log_well(x[..., 0::2]).sum(-1) - 0.5 * x[..., 1::2].square().sum(-1))


def log_well(x: torch.Tensor) -> torch.Tensor:
    """Log density of the first coordinate of a block, elementwise."""
    squared = x.square()
    return squared * (6.0 - squared) + 0.5 * x


def sample(n: int, dimension: int = 32) -> dict[str, torch.Tensor]:
    """Exact draws ``{"x": (n, dimension)}``; wells by inverting their distribution function on 20,000 steps."""
    edge = torch.linspace(-4.0, 4.0, 20_001, dtype=torch.float64)
    cumulative = log_well((edge[1:] + edge[:-1]) / 2).softmax(0).cumsum(0)
    uniform = torch.rand(n, dimension // 2, dtype=torch.float64)
    step = torch.searchsorted(cumulative, uniform).clamp(max=len(cumulative) - 1)
    well = edge[step] + (edge[1] - edge[0]) * torch.rand_like(uniform)
    return {"x": torch.stack([well.float(), torch.randn(n, dimension // 2)], dim=-1).flatten(-2)}


def mode(draws: dict[str, torch.Tensor]) -> torch.Tensor:
    """Index into `MODE_WEIGHTS`, 0 left and 1 right, of every block: ``(n, dimension / 2)``."""
    return (draws["x"][..., 0::2] > 0).long()


def log_evidence(dimension: int) -> tuple[float, float]:
    return (dimension // 2 * BLOCK_LOG_EVIDENCE, 0.0)
