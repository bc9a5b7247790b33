"""Several modes: NUTS gets this posterior wrong without a warning. How you can see it, and what to do.

    python tutorials/02_several_modes/main.py             # a few minutes
    python tutorials/02_several_modes/main.py --quick     # half a minute, shorter chains and training

A drug is swallowed, absorbed at one rate and eliminated at another. The two rates may change places, with another
volume ("flip-flop"): the concentration in the blood has the same shape. So the data alone leave two explanations, far
apart. There are only three unknowns, so a grid gives the truth. Writes ``figures.json`` and a picture into ``--out``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pyro
import pyro.distributions as dist
import torch

from amortized import DiffusionGuide
from amortized.baselines import nuts
from amortized.plots import STYLE, bounds, marginal

HOURS = torch.tensor([0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 18.0, 24.0])
DOSE = 100.0  # milligrams
NOISE = 0.1  # of the logarithm
PRIORS = {"absorption": (-1.0, 1.0), "elimination": (-1.5, 1.0), "volume": (2.7, 1.2)}  # of logarithms


def log_concentration(absorption, elimination, volume, hours):
    """One compartment with first-order absorption, in milligrams per litre; each argument is a logarithm."""
    fast, slow = absorption.exp(), elimination.exp()
    curve = (torch.exp(-slow * hours) - torch.exp(-fast * hours)) / (fast - slow)
    return torch.log(DOSE * fast * curve / volume.exp())


def model(hours, measured):
    logs = {name: pyro.sample(name, dist.Normal(mean, sd)) for name, (mean, sd) in PRIORS.items()}
    with pyro.plate("times", len(hours)):
        pyro.sample("measured", dist.Normal(log_concentration(*logs.values(), hours), NOISE), obs=measured)


def made_up_data() -> torch.Tensor:
    """Absorption .8 and elimination .12 an hour, 20 litres."""
    truth = torch.tensor([0.8, 0.12, 20.0]).log()
    noise = torch.randn(len(HOURS), generator=torch.Generator().manual_seed(1))
    return log_concentration(*truth, HOURS) + NOISE * noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter training and chains")
    parser.add_argument("--out", type=Path, default=Path("runs/02_several_modes"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    plt.rcParams.update(STYLE)
    measured = made_up_data()

    # 1. The truth, by brute force: a fine grid in each of the three unknowns.
    log_evidence, share = by_grid(measured, 120 if options.quick else 240)
    print(f"grid: log evidence {log_evidence:.3f}; absorption is the faster with probability {share:.3f}\n")

    # 2. The guide looks for modes before it trains. It weighs them by the evidence under each.
    guide = DiffusionGuide(model, max_seconds=5 if options.quick else 60, progress=False).fit(HOURS, measured)
    diagnosis, draws = guide.diagnose(), guide.sample(8_000)
    ours = faster(draws)
    print(f"{diagnosis}\nthe guide: {float(ours):.3f}\n")

    # 3. NUTS: every chain stays where it started. If there are several chains, R-hat is the alarm.
    length = 100 if options.quick else 1_000
    chains = nuts.run(guide.target, chains=4, draws=length, warmup=length)
    each = [
        float(faster({name: part for name, part in zip(chains.sites, parts, strict=True)}))
        for parts in zip(*(value.chunk(4) for value in chains.sites.values()), strict=True)
    ]
    print(f"NUTS, four chains: {', '.join(f'{one:.2f}' for one in each)}; together {sum(each) / 4:.3f}")
    print(f"R-hat {chains.attributes['rhat']:.2f}, effective draws {chains.attributes['ess']:.0f}")
    alone = nuts.run(guide.target, chains=1, draws=length, warmup=length, seed=3)
    print(f"one chain alone: {float(faster(alone.sites)):.2f}, R-hat {alone.attributes['rhat']:.2f}: no alarm at all")

    draw_pictures(guide, diagnosis, draws, chains, log_evidence, options.out / "several_modes.png")
    figures = {
        "grid": share,
        "guide": float(ours),
        "NUTS": sum(each) / 4,
        "R-hat": chains.attributes["rhat"],
        "one chain": float(faster(alone.sites)),
        "its R-hat": alone.attributes["rhat"],
        "log evidence, grid": log_evidence,
        "log evidence, guide": diagnosis.log_evidence.value,
        "its standard error": diagnosis.log_evidence.std_error,
        "verdict": diagnosis.verdict,
        "guide seconds": guide.seconds,
        "NUTS seconds": chains.seconds,
    }
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


def faster(sites: dict[str, torch.Tensor]) -> torch.Tensor:
    """The share of draws in which the drug is absorbed faster than it is eliminated."""
    return (sites["absorption"] > sites["elimination"]).double().mean()


def by_grid(measured: torch.Tensor, points: int) -> tuple[float, float]:
    """log evidence and the probability of the faster absorption, by a sum over a box eight standard deviations wide."""
    sides = []
    for mean, sd in PRIORS.values():
        edges = torch.linspace(mean - 4 * sd, mean + 4 * sd, points + 1, dtype=torch.float64)
        sides.append((edges[1:] + edges[:-1]) / 2)
    volume_of_a_box = torch.stack([side[1] - side[0] for side in sides]).prod().log()
    total, above = [], []
    for absorption in sides[0]:
        place = torch.meshgrid(absorption[None], *sides[1:], indexing="ij")
        joint = sum(dist.Normal(*PRIORS[name]).log_prob(x) for name, x in zip(PRIORS, place, strict=True))
        for hour, value in zip(HOURS.double(), measured.double(), strict=True):
            joint = joint + dist.Normal(log_concentration(*place, hour), NOISE).log_prob(value)
        joint = torch.where(joint.isnan(), -torch.inf, joint)  # where both rates are equal to the last digit
        total.append(joint.logsumexp((0, 1, 2)))
        above.append(torch.where(place[0] > place[1], joint, -torch.inf).logsumexp((0, 1, 2)))
    everything, faster_ones = torch.stack(total).logsumexp(0), torch.stack(above).logsumexp(0)
    return float(everything + volume_of_a_box), float((faster_ones - everything).exp())


def draw_pictures(guide, diagnosis, draws, chains, log_evidence: float, path: Path) -> None:
    """Every unknown by the guide and by each chain, the draws in two dimensions, and the bounds on the evidence."""
    figure, panels = plt.subplots(2, 3, figsize=(12, 6.5), layout="constrained")
    for axes, name in zip(panels[0], PRIORS, strict=True):
        marginal(axes, f"log {name}", draws[name].numpy(), [chains.sites[name].numpy()])
    left, middle, right = panels[1]
    left.plot(draws["absorption"][:2_000], draws["elimination"][:2_000], ".", markersize=2, label="guide")
    left.axline((-1.5, -1.5), slope=1, color="grey", linewidth=0.8)
    left.set(title="two explanations", xlabel="log absorption", ylabel="log elimination")
    for number, chain in enumerate(chains.sites["absorption"].chunk(4)):
        middle.plot(chain, linewidth=0.7, label=f"chain {number + 1}")
    middle.set(title="NUTS stays where it started", xlabel="draw", ylabel="log absorption")
    middle.legend(fontsize=8, frameon=False)
    bounds(right, guide.training_record.evaluations, diagnosis.log_evidence, log_evidence)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
