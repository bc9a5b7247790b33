"""The model, in plain Pyro, and the usual way to learn it: decoder and Gaussian encoder, trained together by SVI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch
from images import Images
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam  # pyright: ignore[reportAttributeAccessIssue]
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

LEARNING_RATE = 3e-3


class Decoder(nn.Module):
    """Code ``(..., latents)`` to the logits of the pixels ``(..., pixels)``."""

    def __init__(self, latents: int, pixels: int, width: int = 100):
        super().__init__()
        self.latents = latents
        self.layers = nn.Sequential(
            nn.Linear(latents, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, pixels)
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class Encoder(nn.Module):
    """Images ``(..., pixels)`` to the mean and deviation of a Gaussian ``q(z | x)``, each ``(..., latents)``."""

    def __init__(self, latents: int, pixels: int, width: int = 200):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(pixels, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2 * latents)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.layers(images).chunk(2, -1)
        return mean, log_std.exp()


def make_model(decoder: Decoder, seen: slice = slice(None)) -> Callable:
    """z ~ N(0, I), pixels ~ Bernoulli(decoder(z)): what the guide will see, with latents local to the plate.

    ``seen``: the pixels that an image has, all of them or, for instance, its upper half.
    """

    def model(images: Tensor) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("images", len(images)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([decoder.latents]).to_event(1))
            pyro.sample("pixels", dist.Bernoulli(logits=decoder(z)[..., seen]).to_event(1), obs=images)

    return model


def make_gaussian_guide(encoder: Encoder) -> Callable:
    """The usual guide of a VAE: independent normals. A network reads their means and stds off the image."""

    def guide(images: Tensor) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("images", len(images)):
            mean, std = encoder(images)
            pyro.sample("z", dist.Normal(mean, std).to_event(1))

    return guide


def train(images: Images, epochs: int, seed: int = 0) -> tuple[Decoder, Encoder]:
    """Decoder and encoder by ``Trace_ELBO`` on batches of 100, the learning rate decaying to 0 over the second half.

    Every epoch makes the grey images black and white anew. So neither network learns them by heart.
    """
    pyro.clear_param_store()
    pyro.set_rng_seed(seed)
    pixels = images.grey.shape[1]
    decoder, encoder = Decoder(images.latents, pixels), Encoder(images.latents, pixels)
    optimizer = Adam({"lr": LEARNING_RATE})
    svi = SVI(make_model(decoder), make_gaussian_guide(encoder), optimizer, Trace_ELBO())
    for epoch in tqdm(range(epochs), "VAE, epochs"):
        for moments in optimizer.optim_objs.values():
            moments.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, 2.0 - 2.0 * epoch / epochs)
        for batch in torch.bernoulli(images.grey)[torch.randperm(len(images.grey))].split(100):
            svi.step(batch)
    return decoder, encoder


def save(decoder: Decoder, encoder: Encoder, path: Path) -> None:
    """Numbers only, as safetensors: reading them back executes nothing."""
    parts = {"decoder": decoder, "encoder": encoder}
    tensors = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def read(images: Images, path: Path) -> tuple[Decoder, Encoder]:
    pixels, tensors = images.train.shape[1], load_file(path)
    parts = {"decoder": Decoder(images.latents, pixels), "encoder": Encoder(images.latents, pixels)}
    for name, part in parts.items():
        own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        part.load_state_dict(own)
    return parts["decoder"], parts["encoder"]  # type: ignore[return-value]
