"""Effective sample sizes of the middle and of the tails, beside ArviZ, and chains that seldom enter a tail."""

import arviz
import pytest
import torch

from amortized.mcmc.convergence import are_apart, bulk_ess, least_ess, rank_normalized_rhat, tail_ess
from tests.known import seeded


def autoregressive(chains, count, memory):
    """Chains ``(C, N, 1)`` with N(0, 1) as their law and ``memory`` as their correlation."""
    noise = torch.randn(chains, count, generator=seeded(), dtype=torch.float64)
    x = noise[:, 0]
    states = [x]
    for step in range(1, count):
        x = memory * x + (1 - memory**2) ** 0.5 * noise[:, step]
        states.append(x)
    return torch.stack(states, 1)[..., None]


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.95])
def test_both_sizes_are_those_of_arviz(memory):
    x = autoregressive(8, 400, memory)
    for ours, options in ((bulk_ess, {"method": "bulk"}), (tail_ess, {"method": "tail", "prob": (0.05, 0.95)})):
        known = float(arviz.ess(x[..., 0].numpy(), **options))
        # ArviZ interpolates the quantile, and ends the sum of autocorrelations a term earlier or later
        assert abs(ours(x) / known - 1) < 0.1


def test_chains_that_seldom_enter_a_tail_have_few_effective_draws_there():
    """A twentieth of a chain is one visit of 20 moves to the tail; the middle is drawn afresh at each move."""
    x = torch.randn(64, 400, 1, generator=seeded(), dtype=torch.float64)
    for chain in range(64):
        first = 5 * chain
        x[chain, first : first + 20] += 6.0
    # 64 visits have a relative error of 1 / 8, as 0.95 / 0.05 * 64 = 1,216 independent draws have in such a tail
    assert abs(tail_ess(x) / 1_216 - 1) < 0.2 and bulk_ess(x) > 2 * tail_ess(x)
    assert least_ess(x) == tail_ess(x)


def test_too_few_draws_are_worth_nothing():
    assert tail_ess(torch.randn(64, 3, 1)) == 0.0


def test_wells_are_apart_and_slow_chains_are_not():
    """Independent draws around -3 and 3; and walks of a correlation of .99, which have hardly left their starts."""
    wells = torch.randn(64, 100, 3, generator=seeded())
    wells[:32, :, 1] += 6.0
    assert are_apart(wells, 1.3)
    walks = autoregressive(64, 100, 0.99)
    assert rank_normalized_rhat(walks) > 1.3 and not are_apart(walks, 1.3)
