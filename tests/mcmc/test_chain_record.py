"""Chains that go on: as long as they are asked to, and no longer than they may."""

import torch

from amortized.mcmc.chain_record import PLENTY
from amortized.mcmc.many_chains import run_chains
from amortized.targets.callable import DensityTarget
from tests.known import seeded


def found():
    target = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=3)
    return target, run_chains(target, torch.randn(16, 3, generator=seeded()), 20.0, seeded(1))


def test_chains_go_on_until_their_draws_are_plenty():
    target, chains = found()
    longer = chains.lengthened(target, PLENTY, seeded(2), lambda: False)
    assert chains.ess < PLENTY <= longer.ess
    assert torch.equal(longer.draws[:, : chains.draws.shape[1]], chains.draws)
    assert longer.lengthened(target, PLENTY, seeded(2), lambda: False) is longer


def test_the_clock_ends_chains_that_go_on():
    target, chains = found()
    assert chains.lengthened(target, PLENTY, seeded(2), lambda: True) is chains
    # asked after each draw: one more is made
    assert chains.continued(target, 20, seeded(2), lambda: True).draws.shape[1] == chains.draws.shape[1] + 1
    others = chains.kernel_moves(target, torch.zeros(5, 3), 20, seeded(), lambda: True)
    assert others.shape == (5, 1, 3)
