"""Which model? Log evidences, Bayes factors and leave-one-out of three models of the same data.

    python tutorials/05_compare/main.py             # four minutes
    python tutorials/05_compare/main.py --quick     # forty seconds, of shorter training

In 1882 Simon Newcomb timed light over 7,442 metres, 66 times. Two values are far off. Three laws explain them
differently: a normal law, Student's t, and a normal law from which some values escape. Which do the data prefer, and
does it matter for the answer? Writes ``figures.json`` and a picture into ``--out``.
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

from amortized import DiffusionGuide, compare
from amortized.plots import STYLE, predictive

# Deviations from 24.8 microseconds, in nanoseconds (Newcomb 1882; Stigler, Annals of Statistics 5, 1977, table 5).
TIMES = torch.tensor(
    [28, 26, 33, 24, 34, -44, 27, 16, 40, -2, 29, 22, 24, 21, 25, 30, 23, 29, 31, 19, 24, 20,
     36, 32, 36, 28, 25, 21, 28, 29, 37, 25, 28, 26, 30, 32, 36, 26, 30, 22, 36, 23, 27, 27,
     28, 27, 31, 27, 26, 33, 26, 32, 32, 24, 39, 28, 24, 25, 32, 25, 29, 27, 28, 29, 16, 23],
    dtype=torch.float32,
)  # fmt: skip


def priors():
    return pyro.sample("centre", dist.Normal(20.0, 30.0)), pyro.sample("scale", dist.LogNormal(2.0, 1.0))


def normal(times):
    centre, scale = priors()
    with pyro.plate("measurements", len(times)):
        pyro.sample("times", dist.Normal(centre, scale), obs=times)


def student(times):
    centre, scale = priors()
    freedom = pyro.sample("freedom", dist.Gamma(2.0, 0.1))
    with pyro.plate("measurements", len(times)):
        pyro.sample("times", dist.StudentT(freedom, centre, scale), obs=times)


def escaping(times):
    """Some measurements fail, and then may be anywhere within 50 nanoseconds or so."""
    centre, scale = priors()
    failing = pyro.sample("failing", dist.Beta(1.0, 9.0))
    sound, failed = dist.Normal(centre, scale), dist.Normal(centre, 50.0)
    with pyro.plate("measurements", len(times)):
        choice = dist.Categorical(torch.stack([1 - failing, failing], -1).expand(len(times), 2))
        both = dist.Normal(torch.stack([sound.loc, failed.loc]), torch.stack([sound.scale, failed.scale]))
        pyro.sample("times", dist.MixtureSameFamily(choice, both.expand([len(times), 2])), obs=times)


MODELS = {"normal": normal, "student": student, "escaping": escaping}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter training")
    parser.add_argument("--out", type=Path, default=Path("runs/05_compare"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    plt.rcParams.update(STYLE)

    # 1. One guide for each model, of the same data.
    seconds = 3 if options.quick else 60
    guides = {
        name: DiffusionGuide(model, max_seconds=seconds, progress=False).fit(TIMES) for name, model in MODELS.items()
    }

    # 2. One table. A log Bayes factor of -5 is odds of 1 to 150; leave-one-out asks how well each predicts a datum.
    found = compare(guides)
    print(found)

    # 3. The exact evidence of the normal model, by a grid, to see that the guide's is right.
    exact = grid_evidence()
    theirs = found["normal"].log_evidence
    print(f"\nlog evidence of the normal law by a grid: {exact:.3f}, by its guide {theirs}")

    # 4. Does it matter? The centre moves by as much as its uncertainty, and the uncertainty halves.
    posteriors = {name: guide.sample(4_000) for name, guide in guides.items()}
    for name, draws in posteriors.items():
        print(f"{name:<10}centre {float(draws['centre'].mean()):.2f} ± {float(draws['centre'].std()):.2f}")
    draw_pictures(guides, posteriors, options.out / "compare.png")

    figures = {"log evidence of the normal law, grid": exact, "its standard error": theirs.std_error}
    for one in found.models:
        assert one.leave_one_out is not None
        figures |= {
            f"{one.name}: log evidence": one.log_evidence.value,
            f"{one.name}: leave-one-out": one.leave_one_out.value,
            f"{one.name}: verdict": one.verdict,
        }
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


def grid_evidence() -> float:
    """log ∫∫ p(times | centre, scale) p(centre) p(log scale), a sum over 400 by 400 points."""
    centre = torch.linspace(10.0, 42.0, 400, dtype=torch.float64)[:, None]
    log_scale = torch.linspace(1.8, 3.0, 400, dtype=torch.float64)
    likelihood = dist.Normal(centre[..., None], log_scale.exp()[:, None]).log_prob(TIMES.double()).sum(-1)
    prior = dist.Normal(20.0, 30.0).log_prob(centre) + dist.Normal(2.0, 1.0).log_prob(log_scale)
    area = (centre[1, 0] - centre[0, 0]) * (log_scale[1] - log_scale[0])
    return float((likelihood + prior).logsumexp((0, 1)) + area.log())


def draw_pictures(guides, posteriors, path: Path) -> None:
    """The centre under every model, and data that each would have made."""
    figure, panels = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
    for name, draws in posteriors.items():
        panels[0].hist(draws["centre"].numpy(), 60, density=True, histtype="step", label=name)
    panels[0].set(title="centre", yticks=[], xlabel="nanoseconds")
    panels[0].legend(frameon=False, fontsize=8)
    for axes, (name, guide) in zip(panels[1:], guides.items(), strict=True):
        replicated = guide.to_arviz(num_samples=400)["posterior_predictive"]["times"].values
        predictive(axes, f"{name}: as observed?", TIMES.numpy(), replicated.reshape(-1, len(TIMES)))
        axes.set_xlim(*np.array([-60, 80]))
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
