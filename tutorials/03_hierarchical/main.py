"""A hierarchical model, written in both forms: which of twelve hospitals should be helped first?

    python tutorials/03_hierarchical/main.py             # three minutes
    python tutorials/03_hierarchical/main.py --quick     # a minute, of shorter training and chains

Babies died after heart surgery in each of twelve hospitals (Spiegelhalter et al. 1996, BUGS examples, volume 1).
Hospital A had 47 operations and no death. Is it the best one, or was it lucky? Writes ``figures.json`` and a picture
into ``--out``.
"""

from __future__ import annotations

import argparse
import json
import string
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
from amortized.plots import STYLE, pair

OPERATIONS = torch.tensor([47.0, 148, 119, 810, 211, 196, 148, 215, 207, 97, 256, 360])
DEATHS = torch.tensor([0.0, 18, 8, 46, 8, 13, 9, 31, 14, 8, 29, 24])
HOSPITALS = string.ascii_uppercase[: len(DEATHS)]
REACHABLE = 0.08
"""The rate that a hospital reaches with help."""


# 1. Hospitals differ, and we learn how much. This is the centred form: a hospital's logit has the common mean and std.
def centred(operations, deaths):
    mean = pyro.sample("mean", dist.Normal(-2.5, 1.0))
    std = pyro.sample("std", dist.HalfNormal(1.0))
    with pyro.plate("hospitals", len(operations)):
        logit = pyro.sample("logit", dist.Normal(mean, std))
        pyro.deterministic("rate", logit.sigmoid())
        pyro.sample("deaths", dist.Binomial(operations, logits=logit), obs=deaths)


# 2. The non-centred form: a hospital has a standardized effect. Both forms are the same model of the rates.
def non_centred(operations, deaths):
    mean = pyro.sample("mean", dist.Normal(-2.5, 1.0))
    std = pyro.sample("std", dist.HalfNormal(1.0))
    with pyro.plate("hospitals", len(operations)):
        effect = pyro.sample("effect", dist.Normal(0.0, 1.0))
        logit = pyro.deterministic("logit", mean + std * effect)
        pyro.deterministic("rate", logit.sigmoid())
        pyro.sample("deaths", dist.Binomial(operations, logits=logit), obs=deaths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter training and chains")
    parser.add_argument("--out", type=Path, default=Path("runs/03_hierarchical"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    plt.rcParams.update(STYLE)

    figures, draws = {}, {}
    for model in (centred, non_centred):
        # 3. The same call for both. Which form is better depends on the data, and the library looks for itself.
        guide = DiffusionGuide(model, max_seconds=15 if options.quick else 45, progress=False).fit(OPERATIONS, DEATHS)
        diagnosis = guide.diagnose()
        print(f"\n{model.__name__}, {guide.seconds:.0f} s: draws {diagnosis.verdict}")
        print(f"  log evidence {guide.log_evidence()}: {diagnosis.evidence_verdict}")
        for site, choice in guide.coordinates.items():
            print(f"  {site:<8}{choice}")

        # 4. NUTS takes the coordinates as they are written. Compare its R-hat and its effective draws of the std.
        number, length = (2, 100) if options.quick else (4, 500)
        chains = nuts.run(guide.target, chains=number, draws=length, warmup=length, jobs=1)
        said = chains.attributes
        print(f"  NUTS: R-hat {said['rhat']:.3f}, {said['ess']:.0f} effective draws, {said['divergences']} divergences")

        draws[model.__name__] = guide.sample(4_000)
        by_guide, by_nuts = draws[model.__name__]["std"], chains.sites["std"]
        print(f"  std of the logits {by_guide.mean():.3f} ± {by_guide.std():.3f}, by NUTS {by_nuts.mean():.3f}")
        figures[model.__name__] = {
            "verdict": diagnosis.verdict,
            "evidence verdict": diagnosis.evidence_verdict,
            "log evidence": guide.log_evidence().value,
            "std": float(by_guide.mean()),
            "std by nuts": float(by_nuts.mean()),
            "seconds": guide.seconds,
        }

    # 5. One posterior, so one answer. Rates are pulled towards their mean, most where operations were few.
    rate = draws["centred"]["rate"]
    low, high = rate.quantile(torch.tensor([0.05, 0.95]), dim=0)
    print("\n     deaths  observed  posterior mean and 90 % interval")
    for index, name in enumerate(HOSPITALS):
        observed = DEATHS[index] / OPERATIONS[index]
        interval = f"{low[index]:.3f} to {high[index]:.3f}"
        print(f"  {name}  {int(DEATHS[index]):>5}   {observed:.3f}     {rate[:, index].mean():.3f}   {interval}")

    # 6. The decision needs the whole posterior: the deaths that help avoids, if as many operations follow.
    avoided = OPERATIONS * (rate - REACHABLE).clamp(min=0).mean(0)
    first = int(avoided.argmax())
    worst = float((rate.argmax(1) == first).double().mean())
    print(f"\nHelp hospital {HOSPITALS[first]} first: {avoided[first]:.1f} deaths avoided on average.")
    print(f"It has the highest rate of all with probability {worst:.2f}.")
    other = OPERATIONS * (draws["non_centred"]["rate"] - REACHABLE).clamp(min=0).mean(0)
    figures |= {
        "first": HOSPITALS[first],
        "deaths avoided": float(avoided[first]),
        "probability that it is worst": worst,
        "largest difference of the forms (deaths)": float((avoided - other).abs().max()),
    }
    draw_pictures(draws, avoided, options.out / "hierarchical.png")
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


def draw_pictures(draws: dict, avoided: torch.Tensor, path: Path) -> None:
    """The rates beside what was observed, the neck of the funnel in both forms, and what help avoids."""
    figure, panels = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    rate = draws["centred"]["rate"].numpy()
    low, high = np.quantile(rate, [0.05, 0.95], axis=0)
    places = np.arange(len(HOSPITALS))
    panels[0].vlines(places, low, high)
    panels[0].plot(places, rate.mean(0), "o", label="posterior mean, 90 %")
    panels[0].plot(places, (DEATHS / OPERATIONS).numpy(), "x", label="observed")
    panels[0].set(ylabel="mortality", xticks=places, xticklabels=list(HOSPITALS))
    panels[0].legend(loc="lower right")
    both = [(draws[form]["logit"][:, 0].numpy(), draws[form]["std"].log().numpy()) for form in draws]
    pair(panels[1], both[0], [both[1]])
    panels[1].set(xlabel="logit of hospital A", ylabel="log std", title="centred, and non-centred")
    panels[2].bar(places, avoided.numpy())
    panels[2].set(ylabel="deaths avoided", xticks=places, xticklabels=list(HOSPITALS))
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
