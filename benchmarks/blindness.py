"""Which modes are not found: two Gaussians of equal mass, the other narrower and far away, in 2, 4 and 10 dimensions.

    python benchmarks/blindness.py                      # the table of docs/results/blindness.md
    python benchmarks/blindness.py --dims 2 --seeds 5

Every cell: how often the warm-up's search finds the narrow mode / how often that of `diagnose` does, from draws of the
wide one alone. A mode found is weighed by the tempered runs; one that neither finds is trusted and wrong.
"""

from __future__ import annotations

import math
import time

import torch
from support import parser_of

from amortized._types import Generator, Tensor
from amortized.mixtures.gaussian import GaussianMixture
from amortized.targets.callable import DensityTarget
from amortized.warmup.modes import find_modes
from amortized.warmup.rays import RayLaw, cube_rays, normal_rays
from amortized.warmup.run import STARTS
from amortized.warmup.screening import Screening
from amortized.warmup.starts import normal_starts

RATIOS = (1, 2, 3, 5, 10, 30, 100)
DISTANCES = (5, 10, 20, 40)
WARM_UP_SECONDS, DIAGNOSE_SECONDS = 30.0, 24.0
"""Half of the default limit of a fit, and what the search of `diagnose` times its points by."""


def two_gaussians(dim: int, ratio: float, distance: float, generator: Generator) -> tuple[DensityTarget, Tensor]:
    """``½ N(0, I) + ½ N(m, I / ratio²)``, m at the distance in a random direction; the density and m."""
    direction = torch.randn(dim, generator=generator, dtype=torch.float64)
    mean = distance * direction / direction.norm()

    def log_prob(x: Tensor) -> Tensor:
        wide = -0.5 * x.square().sum(-1)
        return torch.logaddexp(wide, dim * math.log(ratio) - 0.5 * (ratio * (x - mean.to(x))).square().sum(-1))

    return DensityTarget(log_prob, dim), mean


def knows(found: GaussianMixture, mean: Tensor, ratio: float) -> bool:
    """Whether a mode of the mixture lies within two deviations a dimension of the narrow one's mean."""
    return float((found.means - mean).norm(dim=1).min()) * ratio < 2 * len(mean) ** 0.5


def finds(dim: int, ratio: float, distance: float, seed: int, diagnosing: bool) -> bool:
    """Whether the warm-up's search, or that of `diagnose` where draws are of the wide mode alone, finds the other."""
    generator = torch.Generator().manual_seed(1000 * seed + dim)
    target, mean = two_gaussians(dim, ratio, distance, generator)
    law: RayLaw = normal_rays
    first, seconds = normal_starts(target, STARTS, generator), WARM_UP_SECONDS
    if diagnosing:
        draws = torch.randn(500, dim, generator=generator, dtype=torch.float64)
        law, first, seconds = cube_rays(draws, torch.eye(dim, dtype=torch.float64), seed), draws[:8], DIAGNOSE_SECONDS
    screening = Screening(target, law, seconds, generator)
    return knows(find_modes(target, first, screening, generator, lambda: False)[0], mean, ratio)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 4, 10])
    parser.add_argument("--ratios", type=float, nargs="+", default=list(RATIOS))
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    began = time.process_time()
    print("| dimensions | ratio of deviations | " + " | ".join(f"{distance} away" for distance in DISTANCES) + " |")
    print("|---|---|" + "---|" * len(DISTANCES))
    for dim in chosen.dims:
        for ratio in chosen.ratios:
            cells = []
            for distance in DISTANCES:
                runs = [
                    [finds(dim, ratio, distance, seed, diagnosing) for seed in range(chosen.seeds)]
                    for diagnosing in (False, True)
                ]
                cells.append(f"{sum(runs[0])} / {sum(runs[1])}")
            print(f"| {dim} | {ratio:g} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{chosen.seeds} seeds; {time.process_time() - began:.0f} CPU seconds, torch {torch.__version__}")


if __name__ == "__main__":
    main()
