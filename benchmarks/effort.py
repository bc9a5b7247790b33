"""Does training pay? CPU seconds of a fit and of 4,000 draws, and what the draws are worth, for several guides.

    python benchmarks/effort.py eight_schools kidscore --guides pays always --seeds 0 1 2

``pays`` is the default. ``always`` is the default as it was before: trained whatever the untrained paths
weigh. ``on`` trains up to an overlap of 97 %. Other words are named guides, such as ``PISGuide``. Rows are those of
docs/results/effort.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import torch

import amortized
from amortized import DiffusionGuide, Recipe
from amortized.guide.single import Single
from amortized.weights import effective_sample_fraction

MODELS = Path(__file__).parents[1] / "models"
DRAWS, WEIGHED = 4_000, 16_000
"""Draws of a user's call, and paths by which the effective share is known to .01."""
GUIDES: dict[str, Callable[..., DiffusionGuide]] = {
    "pays": DiffusionGuide,
    "always": partial(DiffusionGuide, recipe=Recipe()),
    "on": partial(DiffusionGuide, recipe=Recipe(enough=0.97, steps=5_000, patience=5, in_time=True)),
}
HEADER = (
    "| model | guide | seed | fit, CPU s | 4,000 draws, CPU s | steps | draws of | share | µs a path | effective/s "
    "| log Z − truth | verdict |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def load(name: str) -> ModuleType:
    """A model file of ``models/``."""
    spec = importlib.util.spec_from_file_location(name, MODELS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(name: str, guide_name: str, seed: int) -> str:
    """One fit as a row of the table."""
    module = load(name)
    data = module.data() if hasattr(module, "data") else ()
    args = data if isinstance(data, tuple) else (data,)
    kind = GUIDES.get(guide_name) or getattr(amortized, guide_name)
    began = time.process_time()
    guide = kind(module.model, seed=seed, progress=False).fit(*args)
    fitted = time.process_time()
    guide.sample(DRAWS)
    drawn = time.process_time()
    fit, record = guide.fitted, guide.training_record
    assert isinstance(fit, Single) and record is not None
    sampler, white = fit.trained, fit.prepared.white
    log_weights = sampler.sample(white, WEIGHED, torch.Generator().manual_seed(seed))[1]
    cost = (time.process_time() - drawn) / WEIGHED
    share, evidence = effective_sample_fraction(log_weights), guide.log_evidence()
    source = record.source if record.kept is None else f"{record.source}, {sampler.process.steps} steps"
    cells = [name, guide_name, seed, f"{fitted - began:.1f}", f"{drawn - fitted:.2f}"]
    cells += [len(record.bridge_losses) + len(record.losses), source, f"{share:.2f}", f"{cost * 1e6:.0f}"]
    cells += [f"{share / cost:,.0f}", f"{evidence.value - module.LOG_EVIDENCE[0]:+.3f} ± {evidence.std_error:.3f}"]
    return f"| {' | '.join(map(str, [*cells, guide.diagnose().verdict]))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="files of models/, without .py")
    parser.add_argument("--guides", nargs="+", default=["pays", "always"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    print(HEADER, flush=True)
    for name in asked.models:
        for seed in asked.seeds:
            for guide_name in asked.guides:
                print(row(name, guide_name, seed), flush=True)


if __name__ == "__main__":
    main()
