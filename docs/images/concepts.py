"""Draws docs/images/concepts.svg: paths of a sampler from a Gaussian to a posterior, and what their weights correct.

python docs/images/concepts.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch

from amortized.path import log_probs
from amortized.plots import BLUE, GREY, ORANGE, STYLE
from amortized.policies import LangevinMLP
from amortized.processes import MixtureReference, OrnsteinUhlenbeck
from amortized.simulation import rollout
from amortized.targets.callable import DensityTarget

STEPS, SHOWN = 32, 45
STARTS_AS = torch.tensor([0.5, 0.5]), torch.tensor([[-2.0], [2.0]]), torch.full((2, 1, 1), 0.7)
"""What a warm-up may have found: weights, means and stds of two modes."""


def log_posterior(x: torch.Tensor) -> torch.Tensor:
    """Three quarters of the mass about 1.8, the rest about -2.2: near what the sampler starts as, and not the same."""
    one = torch.distributions.Normal(1.8, 0.6).log_prob(x[..., 0]) + np.log(0.75)
    return torch.logaddexp(one, torch.distributions.Normal(-2.2, 0.5).log_prob(x[..., 0]) + np.log(0.25))


def main() -> None:
    matplotlib.use("agg")
    plt.rcParams.update({**STYLE, "svg.hashsalt": "concepts", "svg.fonttype": "none"})
    torch.manual_seed(2)
    process = OrnsteinUhlenbeck(STEPS, scale=1.0, reference=MixtureReference(*STARTS_AS))
    policy, target = LangevinMLP(1), DensityTarget(log_posterior, dim=1)
    with torch.no_grad():
        path = log_probs(process, policy, rollout(process, policy, target, 8_000, torch.Generator().manual_seed(0)))
    states, ends, weight = path.states[..., 0].numpy(), path.ends[:, 0].numpy(), path.log_weight.exp().numpy()
    x = np.linspace(-4.2, 4.2, 300)
    posterior = log_posterior(torch.from_numpy(x)[:, None]).exp().numpy()

    figure, panels = plt.subplots(1, 3, figsize=(9, 3.4), width_ratios=(1, 4, 2), sharey=True, layout="constrained")
    panels[0].fill_betweenx(x, np.exp(-0.5 * x**2), color=GREY, alpha=0.3, linewidth=0)
    panels[0].invert_xaxis()
    panels[0].set_title("a simple law")
    for index in range(SHOWN):
        panels[1].plot(states[:, index], color=BLUE, linewidth=0.35 + 1.1 * weight[index], alpha=0.55)
    panels[1].set(title=f"paths of {STEPS} steps; the wider, the more weight", xlim=(0, STEPS))
    bins = np.linspace(-4.2, 4.2, 60)
    sideways = {"bins": bins, "density": True, "orientation": "horizontal"}
    panels[2].hist(ends, histtype="stepfilled", color=GREY, alpha=0.3, label="where paths end", **sideways)
    panels[2].hist(ends, weights=weight, histtype="step", color=BLUE, label="weighed", **sideways)
    panels[2].plot(posterior, x, color=ORANGE, label="posterior")
    panels[2].set_title(f"mean weight {weight.mean():.3f} (evidence 1)")
    panels[2].legend(frameon=False, fontsize=8, loc="upper right", bbox_to_anchor=(1.02, 0.62))
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    main()
