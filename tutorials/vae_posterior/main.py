"""Posteriors of a variational autoencoder: one diffusion guide for every image, beside the usual Gaussian encoder.

    python tutorials/vae_posterior/main.py                      # scikit-learn's digits
    python tutorials/vae_posterior/main.py --data DIR           # MNIST: DIR holds its IDX files
    python tutorials/vae_posterior/main.py --quick              # digits, a minute, figures that mean nothing

Writes the figures (JSON) and the pictures into ``--out``. Figures that are there already are not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bounds
import half
import images as image_files
import joint
import methods
import pictures
import torch
import truth
import vae
from safetensors.torch import load_file, save_file
from torch import Tensor

from amortized import DiffusionGuide


@dataclass(frozen=True)
class Effort:
    """How much of everything. Images are held-out images."""

    epochs: int = 140
    images: int = 200
    temperatures: int = 300
    chains: int = 16
    draws: int = 200
    seconds: float = 300.0


QUICK = Effort(epochs=10, images=20, temperatures=30, chains=8, draws=200, seconds=5.0)
SHOWN = 5
PICTURED = "VarGrad+Expl+LP+LS"


def main() -> None:
    options = parsed()
    effort = QUICK if options.quick else Effort(seconds=options.seconds)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    data = image_files.load(options.data)
    results = Results(options.out / f"{data.name}.json")

    decoder, encoder = trained_vae(data, effort, options.out / f"{data.name}_vae.safetensors")
    shown = data.held_out[: effort.images]
    exact = true_evidence(decoder, encoder, shown, effort, results, options.out / f"{data.name}_truth.safetensors")
    gaussian_encoder(decoder, encoder, shown, effort, results)
    for name in options.methods or ([PICTURED] if options.quick else methods.METHODS):
        if name not in results.found["methods"]:
            guide = diffusion_guide(name, decoder, data, shown, effort, results)
            if name == PICTURED:
                draws_of_images(decoder, encoder, guide, shown[:SHOWN], exact, data.side, options.out, data.name)
    print(results.table())
    pictures.bounds(options.out / f"vae_{data.name}_bounds.png", results.found)
    also = [] if options.quick else options.also
    if "half" in also and "half" not in results.found:
        half_an_image(decoder, data, shown, effort, results, options.out, options.image)
    if "joint" in also and "joint" not in results.found:
        joint_learning(data, effort, results)


class Results:
    """The figures, in a JSON file. The file is written anew after each figure."""

    def __init__(self, path: Path):
        self.path = path
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"methods": {}}

    def add(self, name: str, figures: dict[str, Any]) -> None:
        self.found[name] = figures
        self.path.write_text(json.dumps(self.found, indent=1) + "\n")

    def add_method(self, name: str, log_weights: Tensor, **more: Any) -> None:
        """``log_weights: (draws, images)``: the bounds, means over images with their Monte Carlo errors, in nats."""
        each, groups = bounds.elbo(log_weights), bounds.importance_weighted(log_weights)
        errors = log_weights.std(0) / len(log_weights) ** 0.5
        figures = {
            "elbo": float(each.mean()),
            "elbo_std_error": bounds.mean_error(errors),
            "iwae_100": float(groups.mean()),
            "draws": len(log_weights),
            **more,
        }
        self.add("methods", {**self.found["methods"], name: figures})

    def table(self) -> str:
        exact = self.found["truth"]
        lines = [f"{'':24}{'ELBO':>10}{'IWAE-100':>10}{'to log p(x)':>13}{'seconds':>9}"]
        for name, found in sorted(self.found["methods"].items(), key=lambda item: item[1]["iwae_100"]):
            missing = exact["log_evidence"] - found["iwae_100"]
            lines.append(
                f"{name:24}{found['elbo']:10.2f}{found['iwae_100']:10.2f}{missing:13.2f}{found['seconds']:9.0f}"
            )
        lines.append(f"{'log p(x), annealed HMC':34}{exact['log_evidence']:10.2f} ± {exact['std_error']:.2f}")
        return "\n".join(lines)


def trained_vae(data: image_files.Images, effort: Effort, path: Path) -> tuple[vae.Decoder, vae.Encoder]:
    if not path.exists():
        vae.save(*vae.train(data, effort.epochs), path)
    return vae.read(data, path)


def true_evidence(
    decoder: vae.Decoder, encoder: vae.Encoder, shown: Tensor, effort: Effort, results: Results, path: Path
) -> dict[str, Tensor]:
    """log p(x) of every image, with the chains' ends and weights. On simulated images: from below and from above."""
    if path.exists():
        return load_file(path)
    generator, began = torch.Generator().manual_seed(1), time.perf_counter()
    target = truth.posterior(decoder, encoder, shown)
    schedule = truth.tuned_schedule(target, effort.temperatures, 3, generator)
    log_weights, z = truth.forward(target, schedule, effort.chains, generator)
    value, error = bounds.evidence(log_weights.mT)
    seconds = time.perf_counter() - began
    codes, simulated = truth.simulated(decoder, effort.images // 4, generator)
    target = truth.posterior(decoder, encoder, simulated)
    below, below_error = bounds.evidence(truth.forward(target, schedule, effort.chains, generator)[0].mT)
    above, above_error = bounds.evidence(-truth.backward(target, schedule, codes, effort.chains, generator).mT)
    figures = {
        "log_evidence": float(value.mean()),
        "std_error": bounds.mean_error(error),
        "images": len(shown),
        "chains": effort.chains,
        "temperatures": effort.temperatures,
        "seconds": seconds,
        "simulated_images": len(simulated),
        "simulated_from_below": [float(below.mean()), bounds.mean_error(below_error)],
        "simulated_from_above": [-float(above.mean()), bounds.mean_error(above_error)],
    }
    results.add("truth", figures)
    save_file({"log_evidence": value, "z": z.contiguous(), "log_weights": log_weights.contiguous()}, path)
    return load_file(path)


def gaussian_encoder(
    decoder: vae.Decoder, encoder: vae.Encoder, shown: Tensor, effort: Effort, results: Results
) -> None:
    generator = torch.Generator().manual_seed(2)
    log_weights = bounds.gaussian_log_weights(truth.posterior(decoder, encoder, shown), effort.draws, generator)
    results.add_method("Gaussian encoder", log_weights, seconds=0.0)


def diffusion_guide(
    name: str, decoder: vae.Decoder, data: image_files.Images, shown: Tensor, effort: Effort, results: Results
) -> DiffusionGuide:
    """One guide for every image. It is fitted on the training images and weighed on held-out images."""
    model, began = vae.make_model(decoder), time.process_time()
    guide = methods.METHODS[name](model, max_seconds=effort.seconds).fit(data.train)
    record, cpu = guide.training_record, time.process_time() - began
    assert record is not None
    began = time.perf_counter()
    log_weights = guide.log_weights(effort.draws, shown)
    figures = {
        "seconds": guide.seconds,
        "cpu_seconds": cpu,
        "training_steps": [len(record.bridge_losses), len(record.losses)],
        "seconds_per_1000_draws": 1000 * (time.perf_counter() - began) / log_weights.numel(),
        "steps": record.sampling.steps,
    }
    results.add_method(name, log_weights, **figures)
    return guide


def draws_of_images(
    decoder: vae.Decoder,
    encoder: vae.Encoder,
    guide: DiffusionGuide,
    shown: Tensor,
    exact: dict[str, Tensor],
    side: int,
    out: Path,
    name: str,
) -> None:
    """Posterior draws, decoded: the encoder's, the guide's, and those of annealed chains."""
    ours = guide.sample(6, shown)["z"].flatten(1, -2)
    with torch.no_grad():
        mean, std = encoder(shown)
        usual = mean[:, None] + std[:, None] * torch.randn(len(shown), 6, mean.shape[1])
    weights = exact["log_weights"][: len(shown)].softmax(1)
    rows = torch.multinomial(weights, 6, replacement=True, generator=torch.Generator().manual_seed(3))
    chains = exact["z"][: len(shown)].gather(1, rows[..., None].expand(-1, -1, mean.shape[1]))
    blocks = {"Gaussian encoder": usual, "diffusion guide": ours, "annealed HMC": chains}
    decoded = {title: list(pictures.decoded(decoder, z)) for title, z in blocks.items()}
    pictures.rows_of_images(out / f"vae_{name}_draws.png", side, [(one, 0) for one in shown], decoded)


def half_an_image(
    decoder: vae.Decoder,
    data: image_files.Images,
    shown: Tensor,
    effort: Effort,
    results: Results,
    out: Path,
    number: int | None,
) -> None:
    """The lower half is hidden: the guide for this one posterior, beside annealed chains from the prior."""
    generator, seen = torch.Generator().manual_seed(4), shown.shape[1] // 2
    if number is None:
        number = half.ambiguous(decoder, shown[:, :seen], effort.temperatures, generator)
    image = shown[number : number + 1]
    z, value, error = half.completions(decoder, image[:, :seen], 1_000, effort.temperatures, generator)
    model = vae.make_model(decoder, slice(seen))
    guide = DiffusionGuide(model, max_seconds=effort.seconds / 3).fit(image[:, :seen])
    known, ours = (pictures.decoded(decoder, codes) for codes in (z[0], guide.sample(1_000)["z"][:, 0]))
    group, _ = half.two_groups(known)
    same = half.same_groups(ours, known, group)
    blocks = [("annealed HMC", known, group), ("guide", ours, same)]
    pictures.two_modes(out / f"vae_{data.name}_half.png", data.side, image[0], image.shape[1] - seen, blocks)
    figures = {
        "image": number,
        "verdict": guide.diagnose().verdict,
        "log_evidence": list(guide.log_evidence()),
        "log_evidence_annealed": [float(value), float(error)],
        "share_of_second_group": float(same.double().mean()),
        "share_of_second_group_annealed": float(group.double().mean()),
    }
    results.add("half", figures)


def joint_learning(data: image_files.Images, effort: Effort, results: Results) -> None:
    """Decoders from scratch, each with its guide, the same time each."""
    found = {}
    for name, kind, draws in joint.KINDS:
        job = data.grey, data.held_out[: effort.images], data.latents, kind, draws, effort.seconds
        found[name] = joint.learn(*job)
        print(name, found[name])
    results.add("joint", found)


def parsed() -> argparse.Namespace:
    names = list(methods.METHODS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of MNIST's IDX files; scikit-learn's digits without it")
    parser.add_argument("--out", type=Path, default=Path("vae_posterior"), help="where figures and pictures go")
    parser.add_argument("--seconds", type=float, default=300.0, help="training of each guide (default: 300)")
    parser.add_argument("--methods", nargs="+", choices=names, help="only these (default: all)")
    parser.add_argument("--also", nargs="*", default=["half", "joint"], help="half an image, joint learning; both")
    parser.add_argument("--image", type=int, help="which one to show half of (default: search the most ambiguous)")
    parser.add_argument("--quick", action="store_true", help="everything once, on digits, in a minute")
    return parser.parse_args()


if __name__ == "__main__":
    main()
