"""Joint learning: a decoder trained together with its guide, by the ELBO or by the bound of several draws."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam  # pyright: ignore[reportAttributeAccessIssue]
from torch import Tensor
from vae import Decoder, Encoder, make_gaussian_guide, make_model

from amortized import DiffusionGuide, LocalTo

KINDS = [
    ("Gaussian encoder, ELBO", "Gaussian", 1),
    ("diffusion guide, ELBO", "diffusion", 1),
    ("diffusion guide, bound of 8 draws", "diffusion", 8),
]


def diffusion_guide(model: Callable, seconds: float) -> DiffusionGuide:
    """A guide without the score: the decoder moves, and the score would stay that of the first decoder."""
    return DiffusionGuide(model, amortize=LocalTo("images"), langevin=False, max_seconds=seconds, progress=False)


def log_weights(model: Callable, guide: Callable, images: Tensor, draws: int) -> Tensor:
    """``log p(x, z) - log q(z | x)`` of any Pyro guide, differentiable: ``(draws, images)``, in nats."""
    with pyro.plate("draws", draws, dim=-2):
        guide_trace = poutine.trace(guide).get_trace(images)
        model_trace = poutine.trace(poutine.replay(model, guide_trace)).get_trace(images)
    total: Any = 0.0
    for trace, sign in ((model_trace, 1.0), (guide_trace, -1.0)):
        trace.compute_log_prob()
        total = total + sign * sum(site["log_prob"] for site in trace.nodes.values() if site["type"] == "sample")
    return total


def several_draws(draws: int) -> Callable[..., Tensor]:
    """The loss ``-Σ_images log (1/K) Σ w`` for SVI (IWAE, arXiv 1509.00519): the sum over draws is taken per image."""

    def loss(model: Callable, guide: Callable, images: Tensor) -> Tensor:
        return -(log_weights(model, guide, images, draws).logsumexp(0) - math.log(draws)).sum()

    return loss


def batches(images: Tensor, seconds: float) -> Iterator[Tensor]:
    """Black and white batches of 100 of grey images, shuffled anew in every epoch, until the time is over."""
    began = time.perf_counter()
    while True:
        for batch in torch.bernoulli(images)[torch.randperm(len(images))].split(100):
            if time.perf_counter() - began > seconds:
                return
            yield batch


def learn(grey: Tensor, held_out: Tensor, latents: int, kind: str, draws: int, seconds: float) -> dict[str, Any]:
    """A decoder from scratch with its guide, and how well the two explain held-out images: means, in nats.

    ``kind``: "diffusion" or "Gaussian". ``draws=1`` is the ELBO by ``Trace_ELBO``.
    """
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    decoder, encoder = Decoder(latents, grey.shape[1]), Encoder(latents, grey.shape[1])
    model = make_model(decoder)
    guide = diffusion_guide(model, 0.1 * seconds) if kind == "diffusion" else make_gaussian_guide(encoder)
    began = time.perf_counter()
    if isinstance(guide, DiffusionGuide):
        guide(torch.bernoulli(grey))  # prepares itself on the images at the first call
    svi = SVI(model, guide, Adam({"lr": 1e-3}), Trace_ELBO() if draws == 1 else several_draws(draws))
    steps = 0
    for batch in batches(grey, seconds - (time.perf_counter() - began)):
        svi.step(batch)
        steps += 1
    with torch.no_grad():
        found = torch.cat([log_weights(model, guide, held_out, 20) for _ in range(25)]).double()
    bound = found.unflatten(0, (5, 100)).logsumexp(1) - math.log(100)
    return {"elbo": float(found.mean()), "iwae_100": float(bound.mean()), "steps": steps, "seconds": seconds}
