"""Where chains start: dispersed points at which the density and its gradient are finite."""

from __future__ import annotations

import torch

from amortized._types import Tensor
from amortized.targets.base import Target


def dispersed_starts(target: Target, chains: int, seed: int, rounds: int = 10, tries: int = 64) -> Tensor:
    """Starts ``(chains, D)`` uniform in [-2, 2]^D, as Stan's; the cube is halved while too few densities are finite.

    Raises ``ValueError`` where too few are finite in the smallest cube too.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    half_width = 2.0
    for _ in range(rounds):
        uniform = torch.rand(max(tries, chains), target.dim, generator=generator, dtype=target.dtype, device="cpu")
        points = (half_width * (2 * uniform - 1)).to(target.device)
        value, score = target.log_prob_and_score(points)
        finite = points[value.isfinite() & score.isfinite().all(-1)]
        if len(finite) >= chains:
            return finite[:chains]
        half_width /= 2
    raise ValueError(
        f"no {chains} starts with a finite log density in {rounds * max(tries, chains)} tries around 0 in "
        "unconstrained space. Check the model for observations outside the support, NaN in the data, or the log of a "
        "negative number."
    )
