"""Models of several far modes: the default guide finds them all with their weights, four NUTS chains do not.

python benchmarks/several_modes.py            # table, and docs/images/several_modes.png; some minutes on two cores
"""

from __future__ import annotations

import runpy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from support import IMAGES, MODELS, parser_of
from torch import Tensor

from amortized import DiffusionGuide, plots
from amortized.baselines import nuts
from amortized.diagnostics.comparison import aligned

MODE_NAMES = {
    "two_sensors": ["both north", "only first north", "only second north", "both south"],
    "gaussian_mixture_25": [f"({x:.0f}, {y:.0f})" for x in range(-10, 11, 5) for y in range(-10, 11, 5)],
}
SHOWN = {"two_sensors": "two sensors located by distances", "gaussian_mixture_25": "mixture of 25 Gaussians"}


@dataclass
class Outcome:
    """Draws of both methods, and the share of them in each mode beside the truth ``(M,)``."""

    name: str
    model: dict[str, Any]
    guide: dict[str, Tensor]
    nuts: dict[str, Tensor]
    verdict: str
    seconds: tuple[float, float]

    @property
    def truth(self) -> Tensor:
        return self.model["MODE_WEIGHTS"]

    def shares(self, draws: dict[str, Tensor]) -> Tensor:
        return torch.bincount(self.model["mode"](draws), minlength=len(self.truth)) / len(next(iter(draws.values())))


def fit(name: str, seed: int, draws: int) -> Outcome:
    model = runpy.run_path(str(MODELS / f"{name}.py"))
    began = time.perf_counter()
    guide = DiffusionGuide(model["model"], seed=seed, progress=False).fit(*model["data"]())
    posterior = guide.sample(draws)
    seconds = time.perf_counter() - began
    chains = nuts.run(guide.at().target, chains=4, draws=draws // 4, seed=seed)
    return Outcome(name, model, posterior, chains.sites, guide.diagnose().verdict, (seconds, chains.seconds))


def table(outcome: Outcome) -> str:
    """Weight of each mode in per cent: truth, guide, NUTS."""
    truth, guide, chains = outcome.truth, outcome.shares(outcome.guide), outcome.shares(outcome.nuts)
    rows = [["mode", "truth", "guide", "NUTS"]]
    for name, *shares in zip(MODE_NAMES[outcome.name], truth, guide, chains, strict=True):
        rows.append([name, *(f"{100 * float(share):.1f} %" for share in shares)])
    worst = [f"{100 * float((found - truth).abs().max()):.1f} %" for found in (guide, chains)]
    missed = [str(int((found == 0).sum())) for found in (guide, chains)]
    rows += [["largest error", "", *worst], ["modes missed", "", *missed]]
    rows.append(["seconds", "", *(f"{seconds:.0f}" for seconds in outcome.seconds)])
    return f"{SHOWN[outcome.name]}: {outcome.verdict}\n{aligned(rows)}"


def picture(outcomes: list[Outcome]) -> Figure:
    """A row for each model: draws of the guide, draws of NUTS, weights of the modes."""
    with matplotlib.rc_context(plots.STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(12, 3.9 * len(outcomes)), layout="constrained", dpi=130)
        panels = figure.subplots(len(outcomes), 3, squeeze=False, width_ratios=[1, 1, 1.15])
        for row, outcome in zip(panels, outcomes, strict=True):
            for axes, draws, label, color in (
                (row[0], outcome.guide, "diffusion guide", plots.BLUE),
                (row[1], outcome.nuts, "NUTS, four chains", plots.ORANGE),
            ):
                scatter(axes, outcome, draws, color)
                missed = int((outcome.shares(draws) == 0).sum())
                found = "all modes" if missed == 0 else f"{len(outcome.truth) - missed} of {len(outcome.truth)} modes"
                axes.set_title(f"{label}: {found}")
            row[0].set_ylabel(SHOWN[outcome.name], fontsize=11, weight="bold", labelpad=10)
            weights(row[2], outcome)
    return figure


def scatter(axes: Axes, outcome: Outcome, draws: dict[str, Tensor], color: str) -> None:
    """Draws in the plane: both sensors, 200 pairs joined, and the beacons; or the mixture and its centres."""
    if outcome.name == "two_sensors":
        pairs = draws["position"][:: len(draws["position"]) // 200].numpy()
        axes.add_collection(LineCollection(list(pairs), colors=color, linewidths=0.6, alpha=0.25))
        for sensor, marker in ((0, "o"), (1, "^")):
            east, north = draws["position"][:, sensor].T
            label = ("first", "second")[sensor] + " sensor"
            axes.scatter(east, north, s=12, marker=marker, color=color, alpha=0.25, linewidth=0, label=label)
        axes.scatter(*outcome.model["BEACONS"].T, s=90, marker="*", color="black", label="beacon")
        axes.set(xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), xlabel="east (km)")
        for handle in axes.legend(loc="upper right", fontsize=8).legend_handles:
            handle.set_alpha(1)  # type: ignore[union-attr]
    else:
        axes.scatter(*draws["x"].T, s=4, color=color, alpha=0.4, linewidth=0)
        axes.scatter(*outcome.model["MODES"].T, s=14, marker="+", color="black", linewidth=0.8)
        axes.set(xlim=(-13, 13), ylim=(-13, 13))
    axes.set_aspect("equal")


def weights(axes: Axes, outcome: Outcome) -> None:
    """Share of the draws in each mode, as bars, with the truth as a line across each pair."""
    places = np.arange(len(outcome.truth))
    for offset, draws, label, color in (
        (-0.2, outcome.guide, "guide", plots.BLUE),
        (0.2, outcome.nuts, "NUTS", plots.ORANGE),
    ):
        axes.bar(places + offset, 100 * outcome.shares(draws), 0.4, color=color, alpha=0.6, label=label, linewidth=0)
    truth = 100 * outcome.truth
    axes.hlines(truth, places - 0.45, places + 0.45, color="black", linewidth=1.4, label="truth")
    axes.set_title("weight of each mode (%)")
    few = len(places) <= 6
    axes.set_xticks(places if few else [])
    if few:
        axes.set_xticklabels(
            [name.replace(" north", "\nnorth").replace(" south", "\nsouth") for name in MODE_NAMES[outcome.name]]
        )
    else:
        axes.set_xlabel("the 25 components")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", ncols=3, fontsize=8)
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=4_000, help="of the guide, and of all four chains together")
    parser.add_argument("--picture", type=Path, default=IMAGES / "several_modes.png")
    arguments = parser.parse_args()
    outcomes = []
    for name in MODE_NAMES:
        outcomes.append(fit(name, arguments.seed, arguments.draws))
        print(table(outcomes[-1]), end="\n\n", flush=True)
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    picture(outcomes).savefig(arguments.picture)
    print(f"picture: {arguments.picture}")


if __name__ == "__main__":
    main()
