"""Chains that agree hold; an optimum that they have not reached is met by other chains."""

import torch

from amortized.diagnostics.chain_check import JOINED, ChainCheck, checked, joined
from amortized.diagnostics.finding import TRUSTWORTHY, UNTRUSTED, USABLE, verdict
from amortized.diagnostics.remedies import GENERIC
from amortized.diagnostics.rows import chain_findings
from amortized.mcmc.many_chains import run_chains
from amortized.targets.callable import DensityTarget
from tests.known import seeded

FAR = 12.0


def two_modes(far: float = FAR) -> DensityTarget:
    """Equal Gaussians of unit spread in two dimensions, ``far`` apart."""
    centres = torch.tensor([[0.0, 0.0], [far, 0.0]])
    return DensityTarget(lambda x: (-0.5 * (x[..., None, :] - centres).square().sum(-1)).logsumexp(-1), dim=2)


def chains_at(target: DensityTarget, centre: float):
    starts = torch.randn(16, 2, generator=seeded()) + torch.tensor([centre, 0.0])
    return run_chains(target, starts, 20.0, seeded(1))


def test_chains_of_one_gaussian_hold_and_other_chains_join_them():
    target = two_modes(far=0.0)
    found = chains_at(target, 3.0)
    assert checked(found).holds
    assert joined(target, found, 20.0, 7) < JOINED


def test_a_mode_that_no_chain_has_reached_is_met_by_other_chains():
    """All 16 chains stay in one of two equal modes: their own R-hat is perfect."""
    target = two_modes()
    found = chains_at(target, 0.0)
    assert checked(found).holds
    assert joined(target, found, 20.0, 7) > 1.3


def test_many_dimensions_are_not_searched():
    target = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=101)
    found = run_chains(target, torch.randn(8, 101, generator=seeded()), 20.0, seeded(1))
    assert joined(target, found, 1.0, 7) == "not looked at: 101 dimensions, over 100"


def test_limits():
    assert ChainCheck(64, 100, 1.04, 500.0).agrees and ChainCheck(64, 100, 1.06, 500.0).holds
    assert not ChainCheck(64, 100, 1.06, 500.0).agrees and not ChainCheck(64, 100, 1.12, 500.0).holds
    assert not ChainCheck(64, 100, 1.04, 300.0).holds


def test_chains_that_agree_roughly_leave_usable_draws():
    for rhat, leaves in ((1.04, TRUSTWORTHY), (1.07, USABLE), (1.2, UNTRUSTED)):
        assert verdict(chain_findings(ChainCheck(64, 100, rhat, 500.0), GENERIC)) == leaves
    assert verdict(chain_findings(ChainCheck(64, 100, 1.01, 500.0, joined=1.4), GENERIC)) == UNTRUSTED
