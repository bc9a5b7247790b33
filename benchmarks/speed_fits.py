"""Worker of `speed.py` for whole fits: the default guide, and Pyro's own NUTS, on files of `models/`.

python benchmarks/speed_fits.py [nuts]
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from types import ModuleType
from typing import Any

import pyro
import torch
from pyro.infer import MCMC, NUTS
from support import MODELS

from amortized import DiffusionGuide

DRAWS = 4_000
CHAINS, WARMUP, KEPT = 2, 300, 500
"""Of NUTS: Pyro's own chains take a minute for so many on these models."""


def guide(model: Any, args: tuple, seed: int) -> dict[str, Any]:
    """A default fit, and its draws with their verdict; of path draws the effective number is that of their weights."""
    began = time.process_time()
    fitted = DiffusionGuide(model, seed=seed, progress=False).fit(*args)
    fit = time.process_time()
    found = fitted.draws(DRAWS).attributes
    done = time.process_time()
    source = str(found.get("source", "paths"))  # an earlier library has no other
    effective = float(found["ess"]) if source == "chains" else float(found["ess_fraction"]) * DRAWS
    return {
        "fit": fit - began,
        "draw": done - fit,
        "effective": effective,
        "source": source,
        "verdict": found["verdict"],
    }


def nuts(model: Any, args: tuple, seed: int) -> dict[str, Any]:
    """`pyro.infer.MCMC(NUTS(model))` as a user writes it, its chains one after the other."""
    from amortized.mcmc.convergence import least_ess  # an earlier library, whose fits are timed too, has none

    chains, warm, began = [], 0.0, time.process_time()
    for chain in range(CHAINS):
        pyro.set_rng_seed(1_000 * seed + chain)
        started, moments = time.process_time(), []

        def look(kernel: Any, samples: Any, stage: str, i: int, moments: list = moments) -> None:
            if stage.lower().startswith("warmup"):
                moments.append(time.process_time())

        mcmc = MCMC(
            NUTS(model),
            num_samples=KEPT,
            warmup_steps=WARMUP,
            disable_progbar=True,
            disable_validation=True,
            hook_fn=look,
        )
        mcmc.run(*args)
        warm += moments[-1] - started
        chains.append(torch.cat([value.reshape(KEPT, -1) for value in mcmc.get_samples().values()], -1))
    seconds = time.process_time() - began
    effective = least_ess(torch.stack(chains))
    return {"fit": warm, "draw": seconds - warm, "effective": effective, "source": "nuts", "draws": CHAINS * KEPT}


def loaded(name: str) -> ModuleType:
    sys.path.insert(0, str(MODELS))
    return __import__(name)


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    run = nuts if sys.argv[1:] == ["nuts"] else guide
    for line in sys.stdin:
        task = json.loads(line)
        module = loaded(task["model"])
        print(json.dumps({**task, **run(module.model, module.data(), task["seed"])}), flush=True)


if __name__ == "__main__":
    main()
