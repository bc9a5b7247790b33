"""The truth to compare with: log p(x) of an image by annealed importance sampling, many images and chains at once.

Chains start from a widened Gaussian of the encoder. Hamiltonian Monte Carlo moves them through the densities
``q^(1 - b) p(x, z)^b``, b from 0 to 1. Their weights estimate p(x) without bias, for any number of steps. So the chains
approach ``log p(x)`` from below. An image that the model itself has made has an exact posterior draw. From it the same
chains run backwards, and approach ``log p(x)`` from above. Together the two bound the error (bidirectional Monte Carlo,
Grosse et al. 2015; Wu et al., arXiv 1611.04273).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus
from tqdm import tqdm
from vae import Decoder, Encoder

from amortized.mcmc import hmc

WIDENED = 1.5  # times the encoder's deviation: where the chains start


@dataclass(frozen=True)
class Posterior:
    """Chains ``(images * chains, latents)`` in units of the encoder's Gaussian, where the start is N(0, WIDENED² I).

    ``mean``, ``std: (images, latents)``; ``images: (images, pixels)``.
    """

    decoder: Callable[[Tensor], Tensor]
    images: Tensor
    mean: Tensor
    std: Tensor

    def log_joint(self, u: Tensor) -> Tensor:
        """``log p(x, z) + log |dz/du|`` at ``z = mean + std u``, in nats: ``(images * chains,)``."""
        z = self.mean[:, None] + self.std[:, None] * u.unflatten(0, (len(self.images), -1))
        logits = self.decoder(z)
        log_likelihood = (logits * self.images[:, None]).sum(-1) - softplus(logits).sum(-1)
        return (log_likelihood + log_normal(z) + self.std.log().sum(-1, keepdim=True)).flatten()

    def between(self, b: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """The annealed log density and its score."""

        def log_prob_and_score(u: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                u = u.detach().requires_grad_()
                value = (1 - b) * log_normal(u, WIDENED) + b * self.log_joint(u)
                (score,) = torch.autograd.grad(value.sum(), u)
            return value.detach(), score

        return log_prob_and_score

    def log_ratio(self, u: Tensor) -> Tensor:
        """What one unit of b adds to the log density: ``log p(x, z) - log q(z)``."""
        with torch.no_grad():
            return (self.log_joint(u) - log_normal(u, WIDENED)).double()


def log_normal(u: Tensor, std: float = 1.0) -> Tensor:
    """Log density of ``N(0, std² I)``: ``(..., D) -> (...)``."""
    return torch.distributions.Normal(0.0, std).log_prob(u).sum(-1)


def posterior(decoder: Decoder, encoder: Encoder, images: Tensor) -> Posterior:
    with torch.no_grad():
        return Posterior(decoder, images, *encoder(images))


@dataclass(frozen=True)
class Schedule:
    """``betas`` from 0 to 1, and for each but the first the step size of its moves, chosen by a run of its own."""

    betas: Tensor
    step_sizes: Tensor
    leapfrogs: int

    @property
    def moves(self) -> list[tuple[float, float, Tensor]]:
        """Before, after and step size of each rise in temperature."""
        return list(zip(self.betas[:-1].tolist(), self.betas[1:].tolist(), self.step_sizes, strict=True))


def tuned_schedule(target: Posterior, steps: int, leapfrogs: int, generator: torch.Generator) -> Schedule:
    """Step sizes that accept about 80 % at every temperature, from 4 chains an image, kept fixed from then on.

    The final run must not adapt step sizes: it would no longer be exact.
    """
    betas = torch.sigmoid(torch.linspace(-4.0, 4.0, steps + 1, dtype=torch.float64))
    betas = (betas - betas[0]) / (betas[-1] - betas[0])
    start = replace(target, images=target.images[:50], mean=target.mean[:50], std=target.std[:50])
    u = WIDENED * torch.randn(4 * len(start.images), target.mean.shape[1], generator=generator)
    step_size, sizes = torch.tensor(0.5), []
    for b in betas[1:].tolist():
        state, info = move(start, u, b, step_size, leapfrogs, generator)
        u, step_size = state.x, step_size * torch.exp(0.3 * (info.acceptance_rate.mean() - 0.8))
        sizes.append(step_size)
    return Schedule(betas, torch.stack(sizes), leapfrogs)


def move(
    target: Posterior, u: Tensor, b: float, step_size: Tensor, leapfrogs: int, generator: torch.Generator
) -> tuple[hmc.State, hmc.Info]:
    """One Hamiltonian move at temperature b, its length drawn for each chain: ``(state, info)``."""
    lengths = step_size * (0.4 + 0.8 * torch.rand(len(u), generator=generator))
    density = target.between(b)
    return hmc.step(density, hmc.init(density, u), lengths, torch.ones(u.shape[1]), leapfrogs, generator)


def forward(target: Posterior, schedule: Schedule, chains: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Log weights ``(images, chains)`` and the chains' ends z. The mean of the weights is p(x) in expectation.

    ``z: (images, chains, latents)``; with its weight a chain is a posterior draw.
    """
    u = WIDENED * torch.randn(len(target.images) * chains, target.mean.shape[1], generator=generator)
    log_weight = torch.zeros(len(u), dtype=torch.float64)
    for b0, b1, step_size in tqdm(schedule.moves, "annealing"):
        log_weight += (b1 - b0) * target.log_ratio(u)
        u = move(target, u, b1, step_size, schedule.leapfrogs, generator)[0].x
    shape = len(target.images), chains
    z = target.mean[:, None] + target.std[:, None] * u.unflatten(0, shape)
    return log_weight.unflatten(0, shape), z


def backward(target: Posterior, schedule: Schedule, z: Tensor, chains: int, generator: torch.Generator) -> Tensor:
    """The same from exact posterior draws ``z: (images, latents)``, down to b = 0: ``(images, chains)``.

    The mean of ``exp(-log weight)`` is 1 / p(x) in expectation.
    """
    u = ((z - target.mean) / target.std).repeat_interleave(chains, 0)
    log_weight = torch.zeros(len(u), dtype=torch.float64)
    for b0, b1, step_size in tqdm(schedule.moves[::-1], "annealing back"):
        u = move(target, u, b1, step_size, schedule.leapfrogs, generator)[0].x
        log_weight += (b1 - b0) * target.log_ratio(u)
    return log_weight.unflatten(0, (len(z), chains))


def simulated(decoder: Decoder, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Codes and the images that the model makes of them: each code is an exact posterior draw given its image."""
    z = torch.randn(count, decoder.latents, generator=generator)
    with torch.no_grad():
        return z, torch.bernoulli(decoder(z).sigmoid(), generator=generator)
