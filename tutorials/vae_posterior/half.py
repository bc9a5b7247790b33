"""Half an image: where the rest could be one of two digits, the posterior of the code has two modes."""

from __future__ import annotations

import torch
from torch import Tensor
from truth import Posterior, Schedule, forward, tuned_schedule
from vae import Decoder


def half_posterior(decoder: Decoder, halves: Tensor) -> Posterior:
    """The exact sampler's view of images of which only the first pixels are known; its chains start from the prior."""
    seen = halves.shape[1]
    nothing_known = torch.zeros(len(halves), decoder.latents)

    def known_pixels(z: Tensor) -> Tensor:
        return decoder(z)[..., :seen]

    return Posterior(known_pixels, halves, nothing_known, torch.ones_like(nothing_known))


def completions(
    decoder: Decoder, halves: Tensor, chains: int, steps: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Codes ``(images, chains, latents)``, posterior draws given half an image, and log p(half) ``(images,)``."""
    target = half_posterior(decoder, halves)
    schedule: Schedule = tuned_schedule(target, steps, 3, generator)
    log_weights, z = forward(target, schedule, chains, generator)
    chosen = torch.multinomial(log_weights.softmax(1), chains, replacement=True, generator=generator)
    return z.gather(1, chosen[..., None].expand_as(z)), log_weights.logsumexp(1) - torch.tensor(chains).log()


def two_groups(pictures: Tensor, generator: torch.Generator, rounds: int = 20) -> tuple[Tensor, float]:
    """2-means of decoded pictures ``(N, pixels)``: which group each is in ``(N,)``, and how far apart the groups are.

    The distance is that of the two means in deviations of a group along the line between them: over 3 is two modes.
    """
    centre = pictures.mean(0)
    axis = torch.linalg.svd(pictures - centre, full_matrices=False).Vh[0]
    group = (pictures - centre) @ axis > 0
    for _ in range(rounds):
        means = torch.stack([pictures[group == side].mean(0) for side in (False, True)])
        nearer = torch.cdist(pictures, means).argmin(1) == 1
        if nearer.all() or not nearer.any():
            return group, 0.0
        group = nearer
    line = means[1] - means[0]
    along = pictures @ line / line.norm()
    if min(int(group.sum()), int((~group).sum())) < 3:
        return group, 0.0
    within = max(float(along[group == side].std()) for side in (False, True))
    return group, float(line.norm()) / within if within > 1e-3 else 0.0
