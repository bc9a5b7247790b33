"""Polishing sets the weights of wells along axes right, and knows when a joint law is needed."""

import torch

from amortized.mcmc.state import State, init
from amortized.mixtures.gaussian import GaussianMixture
from amortized.targets.callable import DensityTarget
from amortized.warmup.polish import Polish
from amortized.warmup.tempering import Tempering


def polished(density, dim, x):
    target = DensityTarget(density, dim, torch.float64)
    generator = torch.Generator().manual_seed(0)
    zero, one = torch.zeros(dim, dtype=torch.float64), torch.eye(dim, dtype=torch.float64)
    modes = GaussianMixture(torch.ones_like(zero[:1]), zero[None], 2 * one[None])
    tempering = Tempering(target, modes, zero, one, generator, lambda: False)
    optima = State(x[:1], target.log_prob(x[:1]), x[:1])
    polish = Polish(tempering, optima)
    state, check = polish.run(init(target, x))
    return polish, state, check


def test_even_wells_get_their_true_weights_from_a_product():
    """Sixteen wells of 0.844 to 0.156, all started even; 1.1 points of binomial error at 1,000 draws, four of them."""
    side = torch.where(torch.rand(1000, 16, generator=torch.Generator().manual_seed(1)) < 0.5, 1.0, -1.0)
    x = 1.75 * side.double() + 0.2 * torch.randn(1000, 16, generator=torch.Generator().manual_seed(2)).double()
    polish, state, check = polished(lambda x: (-x.pow(4) + 6 * x.square() + 0.5 * x).sum(-1), 16, x)
    assert polish.product is not None and check.ess_fraction > 0.3
    assert ((state.x > 0).double().mean(0) - 0.84431).abs().max() < 0.046


def test_two_joint_modes_keep_the_joint_mixture():
    side = torch.where(torch.rand(600, 1, generator=torch.Generator().manual_seed(1)) < 0.5, 4.0, -4.0)
    x = side + torch.randn(600, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def density(x):
        return torch.logaddexp(-0.5 * (x - 4).square().sum(-1), -0.5 * (x + 4).square().sum(-1))

    assert polished(density, 4, x)[0].product is None
