"""A first posterior: a small experiment, its model, and how far to trust the result.

    python tutorials/01_first_posterior/main.py             # a minute
    python tutorials/01_first_posterior/main.py --quick     # twenty seconds, of shorter training

Twenty animals got one of four doses of a substance, five animals a dose. 0, 1, 3 and 5 of them died (Racine, Grieve,
Flühler and Smith 1986). Which dose kills half of them? Writes ``figures.json``, pictures and draws into ``--out``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pyro
import pyro.distributions as dist
import torch

from amortized import DiffusionGuide
from amortized.baselines import nuts
from amortized.diagnostics.comparison import describe, differences
from amortized.plots import STYLE, marginal, pair, predictive, weights

DOSE = torch.tensor([-0.86, -0.30, -0.05, 0.73])  # logarithm of grams per millilitre
DIED = torch.tensor([0.0, 1.0, 3.0, 5.0])


# 1. A model is a Python function: priors by pyro.sample, data by obs=.
def model(dose, died):
    intercept = pyro.sample("intercept", dist.Normal(0.0, 2.5))
    slope = pyro.sample("slope", dist.Normal(0.0, 10.0))
    pyro.deterministic("half", -intercept / slope)  # the dose that kills half of them
    with pyro.plate("groups", len(dose)):
        pyro.sample("died", dist.Binomial(5, logits=intercept + slope * dose), obs=died)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter training and chains")
    parser.add_argument("--out", type=Path, default=Path("runs/01_first_posterior"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    plt.rcParams.update(STYLE)

    # 2. Fit. No knob is needed; the time limit is 60 seconds unless you say otherwise.
    guide = DiffusionGuide(model, max_seconds=5 if options.quick else 60, progress=False).fit(DOSE, DIED)

    # 3. Before anything else: may the draws be used?
    diagnosis = guide.diagnose()
    print(diagnosis)

    # 4. Draws, in the model's own space, deterministic sites included.
    draws = guide.sample(4_000)
    low, middle, high = draws["half"].quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
    print(f"half die at a log dose of {middle:.2f}, 90 % interval {low:.2f} to {high:.2f}")
    print(f"the dose kills: slope > 0 with probability {float((draws['slope'] > 0).double().mean()):.3f}")

    # 5. The same by NUTS, on the same density. Only the time should differ.
    number, length = (2, 100) if options.quick else (4, 1_000)
    chains = nuts.run(guide.target, chains=number, draws=length, warmup=length)
    ours = {name: value.numpy()[None] for name, value in draws.items()}
    rows = [row for row in differences(describe(ours), describe(chains.arrays())) if row.name != "half"]
    for row in rows:
        by_guide, by_nuts = (f"{found.mean:6.2f} ± {found.sd:.2f}" for found in (row.ours, row.reference))
        print(f"{row.name:<12}{by_guide}   NUTS {by_nuts}")

    # 6. Into ArviZ, with prior, predictions and likelihood. All of ArviZ works on this object.
    data = guide.to_arviz()
    data.to_netcdf(str(options.out / "posterior.nc"))
    draw_pictures(guide, diagnosis, data, chains, options.out / "first_posterior.png")

    figures = {
        "verdict": diagnosis.verdict,
        "effective draws": diagnosis.ess_fraction,
        "log evidence": diagnosis.log_evidence.value,
        "median lethal log dose": middle,
        "largest difference from NUTS (sd)": max(abs(row.shift) for row in rows),
        "seconds": guide.seconds,
    }
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


def draw_pictures(guide, diagnosis, data, chains, path: Path) -> None:
    """Marginals beside NUTS, both parameters jointly, the weights, and the data against what the model predicts."""
    figure, panels = plt.subplots(2, 3, figsize=(12, 6.5), layout="constrained")
    arrays, other = data["posterior"], chains.arrays()
    flat = {name: arrays[name].values.reshape(-1) for name in ("intercept", "slope", "half")}
    theirs = {name: other[name].reshape(-1) for name in flat}
    for axes, name in zip(panels[0], flat, strict=True):
        inner = np.abs(flat[name]) < 3 if name == "half" else np.full(flat[name].shape, True)
        marginal(
            axes, name, flat[name][inner], [theirs[name][np.abs(theirs[name]) < 3] if name == "half" else theirs[name]]
        )
    pair(panels[1, 0], (flat["intercept"], flat["slope"]), [(theirs["intercept"], theirs["slope"])])
    panels[1, 0].set(xlabel="intercept", ylabel="slope")
    log_weights = guide.log_weights(4_000).numpy()
    weights(panels[1, 1], log_weights, diagnosis.log_evidence, diagnosis.khat, diagnosis.ess_fraction)
    replicated = data["posterior_predictive"]["died"].values
    predictive(panels[1, 2], "died", DIED.numpy(), replicated.reshape(-1, 4))
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
