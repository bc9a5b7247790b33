"""What the choice of coordinates is worth: one warm-up as written, standardized, and as chosen.

python benchmarks/coordinates.py                   # all models, some minutes on one core
python benchmarks/coordinates.py --only flat_scales --seed 1
"""

from __future__ import annotations

import runpy
import time
import warnings
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from support import MODELS, parser_of

from amortized.targets.pyro.choosing import choose_coordinates
from amortized.targets.pyro.frames import frames
from amortized.targets.pyro.target import PyroTarget
from amortized.warmup import warm_up
from amortized.weights import effective_sample_fraction

SECONDS, DRAWS = 25.0, 8_000
"""Of a warm-up, and draws of its mixture: an ESS is then known to a hundredth."""


def groups(rows: int, between: float) -> tuple[Callable, tuple]:
    """Ten groups of ``rows`` rows with noise 0.5, whose means have the std ``between``."""
    generator = torch.Generator().manual_seed(9)
    group = torch.arange(10 * rows) % 10
    effects = (between * torch.randn(10, generator=generator))[group]
    y = 1.0 + effects + 0.5 * torch.randn(10 * rows, generator=generator)

    def model(y: torch.Tensor) -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        std, noise = pyro.sample("std", dist.HalfNormal(2.0)), pyro.sample("noise", dist.HalfNormal(2.0))
        with pyro.plate("group", 10):
            effect = pyro.sample("effect", dist.Normal(mean, std))
        with pyro.plate("row", len(y)):
            pyro.sample("y", dist.Normal(effect[group], noise), obs=y)

    return model, (y,)


def flat_scales() -> tuple[Callable, tuple]:
    """Four groups under flat priors: P(between < 0.22) is 0.0297."""
    generator = torch.Generator().manual_seed(18)
    group = torch.arange(24) % 4
    effects = (2.0 * torch.randn(4, generator=generator))[group]
    y = 10.0 + effects + 3.0 * torch.randn(24, generator=generator)

    def model(y: torch.Tensor) -> None:
        mean = pyro.sample("mean", dist.ImproperUniform(dist.constraints.real, (), ()))
        between = pyro.sample("between", dist.Uniform(0.0, 100.0))
        within = pyro.sample("within", dist.Uniform(0.0, 100.0))
        with pyro.plate("group", 4):
            effect = pyro.sample("effect", dist.Normal(mean, between))
        with pyro.plate("row", len(y)):
            pyro.sample("y", dist.Normal(effect[group], within), obs=y)

    return model, (y,)


def of_file(name: str, model: str = "model") -> tuple[Callable, tuple]:
    file = runpy.run_path(str(MODELS / f"{name}.py"))
    return file[model], file["data"]()


CASES: dict[str, tuple[Callable[[], tuple[Callable, tuple]], float]] = {
    "funnel": (lambda: of_file("funnel"), 0.0),
    "eight_schools": (lambda: of_file("eight_schools", "centred"), -31.31135),
    "common_precision": (lambda: of_file("common_precision"), -40.01155),
    "seeds": (lambda: of_file("seeds"), -73.406),
    "flat_scales": (flat_scales, -65.80684),
    "groups_50": (lambda: groups(50, 0.7), -408.274),
    "groups_1000": (lambda: groups(1000, 2.0), -7347.292),
    "groups_1000_alike": (lambda: groups(1000, 0.01), -7314.449),
}
"""Models, written centred, and log Z in closed form or by quadrature; that of seeds is of a long run."""


def row(label: str, target: PyroTarget, seed: int) -> str:
    warm = warm_up(target, generator=torch.Generator().manual_seed(seed), max_seconds=SECONDS)
    x = warm.mixture.sample(DRAWS, torch.Generator().manual_seed(seed))
    weights = target.log_prob(x.to(target.dtype)).double() - warm.mixture.log_prob(x)
    ess = effective_sample_fraction(weights)
    sites = target.constrain(warm.draws)
    small = f"  P(between < .22) {(sites['between'] < 0.22).float().mean():.4f}" if "between" in sites else ""
    trusted = "trusted" if warm.trustworthy else "not trusted"
    return f"  {label:<10} ESS {ess:.3f}  log Z {warm.log_evidence.value:.3f}  {trusted}{small}"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", choices=CASES, nargs="*", default=list(CASES))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in options.only:
        make, truth = CASES[name]
        model, data = make()
        target = PyroTarget(model, data, seed=options.seed)
        began = time.process_time()
        choice = choose_coordinates(target, options.seed, SECONDS)
        print(f"{name}, log Z {truth}, {time.process_time() - began:.1f} CPU s to choose: {choice.reasons}", flush=True)
        shapes = {site: target.latents[site].unconstrained_shape for site in frames(target.program).moving}
        made: dict[str, Any] = {
            "as chosen": choice.centring,
            "c = 0": {site: torch.zeros(shape) for site, shape in shapes.items()},
            "c = 1": {},
        }
        for label, centring in made.items():
            moved = target.moved_to(centring, options.seed, SECONDS) if centring else target
            print(row(label, moved, options.seed), flush=True)


if __name__ == "__main__":
    main()
