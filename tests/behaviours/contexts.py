"""Three contexts so far apart that an end tells whose it is."""

import torch

from amortized.behaviours import ContextBuffers
from tests.known import Located, seeded

PLACES = torch.tensor([[0.0], [100.0], [200.0], [300.0], [400.0]])


def presented(*indices: int) -> Located:
    """``e^c N(c, 1)`` at the places of these numbers: their log Z differ by hundreds of nats."""
    return Located(PLACES[list(indices)], indices=torch.tensor(indices))


def whose(ends: torch.Tensor) -> list[int]:
    """The number of the context that each end lies at."""
    return (ends[:, 0] / 100).round().long().tolist()


def remembered(each: int = 20, capacity: int = 30) -> ContextBuffers:
    """As many ends for every context, in an order that mixes them."""
    buffers = ContextBuffers(1, 5, capacity)
    indices = torch.arange(5).repeat(each)[torch.randperm(5 * each, generator=seeded(3))]
    ends = PLACES[indices] + torch.randn(5 * each, 1, generator=seeded(4))
    buffers.add(ends, PLACES[indices, 0].double() - 0.5 * (ends - PLACES[indices])[:, 0].square(), indices=indices)
    return buffers
