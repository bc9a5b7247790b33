"""Two sensors localised from noisy distances to two beacons and to each other: four far modes of unequal weight.

    position_s ~ N((0, 0.3), 1.5² I),  s = 1, 2                          in kilometres
    distance_to_beacon_sb ~ N(|position_s − beacon_b|, 0.06)
    distance_between ~ N(|position_1 − position_2|, 0.8)

Both beacons lie on the line north = 0, so each sensor may be on either side of it. The rough distance between the
sensors is weak evidence for the same side or opposite sides. The prior prefers the north. A chain that crosses the
line loses about thirty nats on the way, so it does not cross within any usual run.
"""

import math

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by hand; the kind of problem in Ahn, Chen and Welling (2013) and Tak, Meng and van Dyk (2018)"

# A midpoint rule on all pairs of 0.02 km cells: benchmarks/truths.py
LOG_EVIDENCE = (-5.683006, 0.0)
MODE_WEIGHTS = torch.tensor([0.5038, 0.1159, 0.1070, 0.2733])

BEACONS = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
PRIOR_MEAN = torch.tensor([0.0, 0.3])
PRIOR_SCALE = 1.5
BEACON_NOISE = 0.06
BETWEEN_NOISE = 0.8


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Distances in kilometres: from each sensor to each beacon ``(2, 2)``, and between the sensors ``()``."""
    return torch.tensor([[2.03, 2.77], [3.11, 1.46]]), torch.tensor(1.43)


def model(to_beacon: torch.Tensor, between: torch.Tensor) -> None:
    here = to_beacon.device
    with pyro.plate("sensor", 2):
        position = pyro.sample("position", dist.Normal(PRIOR_MEAN.to(here), PRIOR_SCALE).to_event(1))
        distance = (position[..., None, :] - BEACONS.to(here)).norm(dim=-1)
        pyro.sample("to_beacon", dist.Normal(distance, BEACON_NOISE).to_event(1), obs=to_beacon)
    gap = (position[..., 0, :] - position[..., 1, :]).norm(dim=-1)
    pyro.sample("between", dist.Normal(gap, BETWEEN_NOISE), obs=between)


def mode(draws: dict[str, torch.Tensor]) -> torch.Tensor:
    """Index into `MODE_WEIGHTS`: both sensors north, only the first, only the second, neither: ``(n,)``."""
    south = (draws["position"][..., 1] < 0).long()
    return 2 * south[..., 0] + south[..., 1]


def sample(n: int, cell: float = 0.02) -> dict[str, torch.Tensor]:
    """Draws ``{"position": (n, 2, 2)}`` from a grid of square cells, uniform within each, without any chain.

    The spread within a cell adds cell² / 12 to the variance of a coordinate, which is 1 % of the smallest one.
    """
    first, second = (sensor_grid(sensor, cell) for sensor in (0, 1))
    weight = (first[1][:, None] + second[1][None, :] + log_coupling(first[0], second[0])).flatten().softmax(0)
    chosen = torch.searchsorted(weight.cumsum(0), torch.rand(n, dtype=torch.float64).clamp(max=1 - 1e-12))
    centre = torch.stack([first[0][chosen // len(second[0])], second[0][chosen % len(second[0])]], dim=1)
    return {"position": (centre + cell * (torch.rand_like(centre) - 0.5)).float()}


def sensor_grid(sensor: int, cell: float, half_width: float = 4.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres ``(M, 2)`` of the cells that have mass, and log(prior · beacon likelihood) there ``(M,)``, in float64."""
    axis = torch.arange(-half_width, half_width, cell, dtype=torch.float64) + cell / 2
    centre = torch.cartesian_prod(axis, axis)
    squared = ((centre - PRIOR_MEAN) / PRIOR_SCALE).square().sum(-1)
    distance = (centre[:, None, :] - BEACONS).norm(dim=-1)
    squared = squared + ((data()[0][sensor] - distance) / BEACON_NOISE).square().sum(-1)
    density = -0.5 * squared - 2 * math.log(2 * math.pi * PRIOR_SCALE * BEACON_NOISE)
    kept = density > density.max() - 25.0
    return centre[kept], density[kept]


def log_coupling(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Log density of the distance between the sensors for all pairs: ``(M, 2), (N, 2) -> (M, N)``."""
    return dist.Normal(torch.cdist(first, second), BETWEEN_NOISE).log_prob(data()[1].double())
