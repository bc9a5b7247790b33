"""Two bent blocks that share their first coordinate, the hybrid Rosenbrock density: x_1 -> x_1² -> x_1⁴, twice.

    log R(x) = -(x_1 - 1)² / 20 - 5 Σ over blocks of ((a - x_1²)² + (b - a²)²)

The density is thin and curved everywhere, and its arms reach out to b of some thousands. Given the coordinate before
it, each coordinate is Gaussian, so exact draws and the evidence are in closed form. The prior is flat.
"""

import math

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Pagani, Wiegand and Nadarajah (2022), An n-dimensional Rosenbrock distribution, arXiv 1903.09556"

# five Gaussian integrals, one after the other: variance 10 once, and 1/10 four times
LOG_EVIDENCE = (2.5 * math.log(2 * math.pi) + 0.5 * math.log(10.0) + 2 * math.log(0.1), 0.0)


def data() -> tuple:
    return ()


def model() -> None:
    x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (5,)))
    first, a, b, c, d = x.unbind(-1)
    bends = (a - first**2).square() + (b - a**2).square() + (c - first**2).square() + (d - c**2).square()
    pyro.factor("density", -((first - 1).square() / 20 + 5 * bends))


def sample(n: int) -> dict[str, torch.Tensor]:
    """Exact draws ``{"x": (n, 5)}``."""
    first = 1 + math.sqrt(10) * torch.randn(n)
    noise = math.sqrt(0.1) * torch.randn(4, n)
    a, c = first**2 + noise[0], first**2 + noise[1]
    return {"x": torch.stack([first, a, a**2 + noise[2], c, c**2 + noise[3]], 1)}
