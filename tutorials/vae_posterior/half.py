"""Half an image. If the rest could be one of two digits, the posterior of the code has two modes."""

from __future__ import annotations

import torch
from bounds import evidence
from torch import Tensor
from truth import Posterior, forward, tuned_schedule
from vae import Decoder


def half_posterior(decoder: Decoder, halves: Tensor) -> Posterior:
    """The exact sampler for images of which only the first pixels are known. Its chains start from the prior."""
    seen = halves.shape[1]
    nothing_known = torch.zeros(len(halves), decoder.latents)

    def known_pixels(z: Tensor) -> Tensor:
        return decoder(z)[..., :seen]

    return Posterior(known_pixels, halves, nothing_known, torch.ones_like(nothing_known))


def completions(
    decoder: Decoder, halves: Tensor, chains: int, temperatures: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes ``(images, chains, latents)``, posterior draws given half an image; log p(half) and its standard error."""
    target = half_posterior(decoder, halves)
    schedule = tuned_schedule(target, temperatures, 3, generator)
    log_weights, z = forward(target, schedule, chains, generator)
    chosen = torch.multinomial(log_weights.softmax(1), chains, replacement=True, generator=generator)
    return z.gather(1, chosen[..., None].expand_as(z)), *evidence(log_weights.mT)


@torch.no_grad()
def ambiguous(decoder: Decoder, halves: Tensor, temperatures: int, generator: torch.Generator) -> int:
    """The image whose completions fall most clearly into two groups: twelve by a cheap look, one by a careful one."""
    candidates = torch.arange(len(halves))
    for chains, part, kept in ((16, 5, 12), (200, 2, 1)):
        z, *_ = completions(decoder, halves[candidates], chains, temperatures // part, generator)
        clarity = [two_groups(decoder(codes).sigmoid())[1] for codes in z]
        candidates = candidates[torch.tensor(clarity).argsort(descending=True)[:kept]]
    return int(candidates)


def two_groups(pictures: Tensor, rounds: int = 20) -> tuple[Tensor, float]:
    """2-means of decoded pictures ``(N, pixels)``: which group each is in ``(N,)``, and how clear a case it is.

    The measure is the distance of the two means times the smaller share. It is 0 if the means lie less than three stds
    of a group apart, along the line between them. Then there is one group, not two.
    """
    centred = pictures - pictures.mean(0)
    group = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[0] > 0
    for _ in range(rounds):
        if min(int(group.sum()), int((~group).sum())) < 3:
            return group, 0.0
        means = torch.stack([pictures[~group].mean(0), pictures[group].mean(0)])
        group = torch.cdist(pictures, means).argmin(1) == 1
    line = means[1] - means[0]
    along = pictures @ line / line.norm()
    share = float(group.double().mean())
    within = max(float(along[group].std()), float(along[~group].std()))
    clear = 1e-3 < within < float(line.norm()) / 3.0
    return group, float(line.norm()) * min(share, 1.0 - share) if clear else 0.0


def same_groups(pictures: Tensor, known: Tensor, group: Tensor) -> Tensor:
    """Which of two groups of ``known`` pictures each of these is nearer to: ``(N,)``."""
    means = torch.stack([known[~group].mean(0), known[group].mean(0)])
    return torch.cdist(pictures, means).argmin(1) == 1
