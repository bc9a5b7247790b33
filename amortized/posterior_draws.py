"""The record that every method hands back: draws in the model's own space, beside their weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from amortized.estimate import Estimate
from amortized.targets.base import Target


@dataclass(frozen=True)
class Draws:
    """N draws of every site, with what it cost to get them.

    ``sites``: site name to ``(N, *event)``, constrained. Draws of several chains lie one chain after the other.
    ``target``: the density that they are of, and ``states``: where they lie in its unconstrained space, ``(N, D)``.
    ``log_weights``: ``(N,)`` float64 in nats, or ``None`` where all draws count alike.
    ``target_calls``: evaluations of the log density, with or without its gradient, one per particle.
    """

    sites: dict[str, Tensor]
    method: str
    states: Tensor | None = None
    target: Target | None = None
    log_weights: Tensor | None = None
    log_evidence: Estimate | None = None
    chains: int = 1
    seconds: float = 0.0
    target_calls: int = 0
    attributes: dict[str, float | int | str] = field(default_factory=dict)

    def __len__(self) -> int:
        return next(iter(self.sites.values())).shape[0]

    def arrays(self) -> dict[str, np.ndarray]:
        """Sites as numpy arrays ``{site: (chains, draws, *event)}``, ArviZ's order."""
        return {name: by_chain(value, self.chains) for name, value in self.sites.items()}


def by_chain(value: Tensor, chains: int = 1) -> np.ndarray:
    """``(N, *event)`` to a numpy array ``(chains, N / chains, *event)``.

    >>> import torch
    >>> by_chain(torch.zeros(6, 2), chains=3).shape
    (3, 2, 2)
    """
    array = value.detach().cpu().numpy()
    return array.reshape(chains, -1, *array.shape[1:])
