"""Rounds of bridges from the warm-up's draws, and chains in straightened coordinates, where the truth is known.

    OMP_NUM_THREADS=1 python benchmarks/repair.py wells 30
    OMP_NUM_THREADS=1 python benchmarks/repair.py many_well 40 --langevin
    OMP_NUM_THREADS=1 python benchmarks/repair.py rosenbrock 12 --straighten 12
    OMP_NUM_THREADS=1 python benchmarks/repair.py funnel 8 --straighten 8

docs/results/repair.md has the figures.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

import many_well  # pyright: ignore[reportMissingImports]: models/ is no package

from amortized._types import Tensor
from amortized.mixtures.covariance import significant_scale_tril
from amortized.samplers import GFlowNet
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.targets.callable import DensityTarget
from amortized.targets.curved import CurvedTarget
from amortized.training.proximal import proximal_rounds
from amortized.warmup import warm_up
from amortized.warmup.straighten import straightened
from amortized.weights import systematic

Draw = Callable[[int], Tensor]
EXACT = 50_000
"""Exact draws: a mean is then known to .005 of a standard deviation."""


def wells(dim: int, rotate: bool) -> tuple[Target, Draw, float]:
    """Many wells, if asked for in coordinates that mix all of them; exact draws; log Z."""
    generator = torch.Generator().manual_seed(5)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q.float()
    turn = turn if rotate else torch.eye(dim)

    def log_prob(x: Tensor) -> Tensor:
        y = x @ turn.to(x)
        return many_well.log_well(y[..., 0::2]).sum(-1) - 0.5 * y[..., 1::2].square().sum(-1)

    evidence = many_well.log_evidence(dim)[0]
    return DensityTarget(log_prob, dim), lambda count: many_well.sample(count, dim)["x"] @ turn.T, evidence


def rosenbrock() -> tuple[Target, Draw, float]:
    """Two bent blocks x → x² → x⁴."""

    def log_prob(x: Tensor) -> Tensor:
        x1, a, b, c, d = x.unbind(-1)
        bends = (a - x1**2).square() + (b - a**2).square() + (c - x1**2).square() + (d - c**2).square()
        return -((x1 - 1).square() / 20 + 5 * bends)

    def draw(count: int) -> Tensor:
        noise, x1 = torch.randn(count, 4) * math.sqrt(0.1), 1 + math.sqrt(10) * torch.randn(count)
        a, c = x1**2 + noise[:, 0], x1**2 + noise[:, 2]
        return torch.stack([x1, a, a**2 + noise[:, 1], c, c**2 + noise[:, 3]], 1)

    return DensityTarget(log_prob, 5), draw, 2.5 * math.log(2 * math.pi) + 0.5 * math.log(10) + 2 * math.log(0.1)


def funnel() -> tuple[Target, Draw, float]:
    """Neal's funnel as written, of ten dimensions, with standard deviation 3."""

    def log_prob(x: Tensor) -> Tensor:
        v, rest = x[..., 0], x[..., 1:]
        squares = v.square() / 9 + (rest.square() * (-v)[..., None].exp()).sum(-1)
        return -0.5 * squares - 4.5 * v - math.log(3.0) - 5 * math.log(2 * math.pi)

    def draw(count: int) -> Tensor:
        v = 3 * torch.randn(count, 1)
        return torch.cat([v, (v / 2).exp() * torch.randn(count, 9)], 1)

    return DensityTarget(log_prob, 10), draw, 0.0


CASES = {
    "wells": lambda: wells(16, True),
    "many_well": lambda: wells(32, False),
    "rosenbrock": rosenbrock,
    "funnel": funnel,
}


def error(x: Tensor, exact: Tensor) -> str:
    off = ((x.mean(0) - exact.mean(0)) / exact.std(0)).abs().max()
    ratio = x.std(0) / exact.std(0)
    return f"mean {float(off):.2f} sd off, sds {float(ratio.min()):.2f} to {float(ratio.max()):.2f} of the truth"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--straighten", type=float, default=0.0)
    parser.add_argument("--langevin", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    generator = torch.Generator().manual_seed(asked.seed)
    target, draw, log_evidence = CASES[asked.case]()
    exact, began = draw(EXACT), time.process_time()
    draws = warm_up(target, generator=generator, max_seconds=15.0).draws
    print(f"warm-up {time.process_time() - began:.1f} s: {error(draws, exact)}")
    if asked.straighten:
        began = time.process_time()
        found = straightened(target, draws, asked.straighten, generator)
        if found is not None:
            print(
                f"straightened {time.process_time() - began:.1f} s: {found.chains.status}; {error(found.draws, exact)}"
            )
            target, draws = found.target, found.chains.draws.flatten(0, 1)
    draws = draws[torch.randperm(len(draws), generator=generator)]
    white = WhitenedTarget(target, draws.double().mean(0), significant_scale_tril(draws))
    sampler = GFlowNet(target.dim, steps=64, langevin=asked.langevin)
    began = time.process_time()
    record = proximal_rounds(sampler, white, white.whiten(draws), asked.seconds, generator)
    print(f"rounds {time.process_time() - began:.1f} s: {record.status}")
    for each in record.rounds:
        print(f"  {each}")
    ends, log_weights = sampler.sample(white, 8_000, generator)
    chosen = white.unwhiten(ends[systematic(log_weights, 4_000, generator)])
    chosen = target.inside(chosen) if isinstance(target, CurvedTarget) else chosen
    print(f"log Z {record.evaluation.log_evidence:.2f} (truth {log_evidence:.2f}); draws: {error(chosen, exact)}")


if __name__ == "__main__":
    main()
