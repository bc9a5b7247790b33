"""A thousand data sets, one guide: train once, then get every posterior in an instant.

    python tutorials/many_data_sets/main.py             # 1,000 towns, 20 of them beside NUTS; half an hour
    python tutorials/many_data_sets/main.py --quick     # a minute, figures that mean little

Writes ``figures.json`` and three pictures into ``--out``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from outbreak import DAYS, outbreak, towns

from amortized import DiffusionGuide
from amortized.baselines import nuts
from amortized.plots.calibration import plot_calibration
from amortized.targets.pyro.target import PyroTarget

SITES = ("transmission", "recovery", "first_infected", "reported", "reproduction_number")


@dataclass(frozen=True)
class Effort:
    seconds: float = 600.0
    towns: int = 1_000
    by_nuts: int = 20
    calibrated: int = 1_000
    draws: int = 250
    nuts_draws: int = 200


QUICK = Effort(seconds=20.0, towns=40, by_nuts=1, calibrated=60, draws=100, nuts_draws=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute, figures that mean little")
    parser.add_argument("--seconds", type=float, default=Effort.seconds, help="limit of the training")
    parser.add_argument("--out", type=Path, default=Path("runs/many_data_sets"))
    options = parser.parse_args()
    effort = QUICK if options.quick else Effort(seconds=options.seconds)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)

    # 1. One guide for all towns. `amortize=` names the argument that varies from town to town.
    cases = towns(effort.towns, seed=0)
    guide = DiffusionGuide(outbreak, amortize="cases", max_seconds=effort.seconds).fit(cases)

    # 2. Every posterior, in one call: {site: (towns, draws)}.
    began = time.perf_counter()
    posterior = guide.sample(effort.draws, cases)
    for_all = time.perf_counter() - began
    print(f"{len(cases)} posteriors of {effort.draws} draws: {for_all:.1f} s after {guide.seconds:.0f} s of training")
    figures = {"training seconds": guide.seconds, "milliseconds a posterior": 1_000 * for_all / len(cases)}

    # 3. Is it right? Beside NUTS on some towns, and by simulation on many.
    figures |= beside_nuts(guide, cases, posterior, effort, options.out / "beside_nuts.png")
    calibration = guide.calibrate(effort.calibrated)
    print(calibration)
    plot_calibration(calibration).savefig(options.out / "calibration.png", dpi=120)
    figures["calibrated"] = calibration.verdict

    # 4. An outbreak unlike any in training. The weights say so, and more training on it alone helps.
    figures |= strange_town(guide, seconds=min(30.0, effort.seconds))
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    for name, value in figures.items():
        print(f"{name:<55}{value:.4g}" if isinstance(value, float) else f"{name:<55}{value}")


def beside_nuts(guide, cases, posterior, effort: Effort, picture: Path) -> dict[str, float]:
    """Differences of means in NUTS's standard deviations, their ratios, and how many towns make the guide cheaper."""
    rows, seconds = [], []
    for town in range(effort.by_nuts):
        began = time.perf_counter()
        chains = nuts.run(
            PyroTarget(outbreak, (cases[town],)), chains=1, warmup=effort.nuts_draws // 2, draws=effort.nuts_draws
        )
        seconds.append(time.perf_counter() - began)
        rows.append([(chains.sites[site], posterior[site][town]) for site in SITES])
    theirs = torch.tensor([[(float(n.mean()), float(n.std())) for n, _ in row] for row in rows])
    ours = torch.tensor([[(float(g.mean()), float(g.std())) for _, g in row] for row in rows])
    error = (ours[..., 0] - theirs[..., 0]).abs() / theirs[..., 1]
    ratio = ours[..., 1] / theirs[..., 1]
    draw_comparison(ours, theirs, seconds, guide.seconds, picture)
    each = sum(seconds) / len(seconds)
    return {
        "mean error against NUTS (sd)": float(error.mean()),
        "largest error of a mean (sd)": float(error.max()),
        "ratio of deviations, smallest": float(ratio.min()),
        "ratio of deviations, largest": float(ratio.max()),
        "seconds a town by NUTS": each,
        "towns from which on training is cheaper": guide.seconds / each,
    }


def draw_comparison(ours, theirs, seconds, training: float, picture: Path) -> None:
    """Means and standard deviations beside NUTS's, and the seconds by the number of towns."""
    figure, panels = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for site, name in enumerate(SITES):
        for panel, kind in zip(panels, (0, 1), strict=False):
            panel.scatter(theirs[:, site, kind], ours[:, site, kind], s=12, label=name)
    for panel, title in zip(panels, ("posterior means", "posterior deviations"), strict=False):
        panel.axline((1, 1), slope=1, color="grey", lw=0.8)
        panel.set(title=title, xlabel="NUTS", ylabel="the guide", xscale="log", yscale="log")
    panels[0].legend(fontsize=8, frameon=False)
    many = torch.arange(1, 1_001)
    panels[2].plot(many, many * sum(seconds) / len(seconds), label="NUTS, town by town")
    panels[2].plot(many, training + 0 * many, label="the guide, trained once")
    panels[2].set(title="what so many towns cost", xlabel="towns", ylabel="seconds", xscale="log", yscale="log")
    panels[2].legend(fontsize=8, frameon=False)
    figure.savefig(picture, dpi=120)
    plt.close(figure)


def strange_town(guide, seconds: float) -> dict[str, float | str]:
    """Three waves, which the model cannot make."""
    waves = (200 * torch.sin(torch.arange(DAYS) / 3.0).square()).round()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = guide.diagnose(waves)
    print(caught[0].message if caught else "no warning")
    print(before)
    after = guide.refine(waves, seconds=seconds).diagnose()
    return {
        "three waves: effective draws": before.ess_fraction,
        "three waves: verdict": before.verdict,
        "three waves, refined: effective draws": after.ess_fraction,
        "three waves, refined: verdict": after.verdict,
    }


if __name__ == "__main__":
    main()
