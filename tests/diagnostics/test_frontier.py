"""Walks beyond the draws find where a bent posterior goes on, and nothing where the draws are all of it."""

import math

import pytest
import torch

from amortized.diagnostics.frontier import _starts, frontier
from amortized.mixtures.gaussian import fit_mixture
from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.weights import Estimate
from tests.known import seeded

WIDE, NARROW = 2.0, 0.3


def log_density(x: torch.Tensor) -> torch.Tensor:
    """x₁ ~ N(0, 4), x₂ | x₁ ~ N(x₁², .09): a valley that bends and grows steep; Z is 1."""
    along, across = x[:, 0] / WIDE, (x[:, 1] - x[:, 0].square()) / NARROW
    return -0.5 * (along.square() + across.square()) - math.log(2 * math.pi * WIDE * NARROW)


@pytest.fixture(scope="module")
def exact() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    first = WIDE * torch.randn(4_096, generator=generator)
    return torch.stack([first, first.square() + NARROW * torch.randn(4_096, generator=generator)], 1)


def seen(draws: torch.Tensor, share: float):
    """The frontier of a sampler that is a mixture fitted to the draws, which are this share of the posterior."""
    generator = torch.Generator().manual_seed(1)
    white = WhitenedTarget(
        DensityTarget(log_density, dim=2), draws.mean(0), torch.cov(draws.T).sqrt().diagonal().diag()
    )
    ends = white.whiten(draws).double()
    proposal = fit_mixture(ends, generator).mixture.widened((1.0, 1.5), (0.9, 0.1))

    def log_weights(found: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return found[1] - proposal.log_prob(found[0])

    return frontier(white, ends, log_weights, math.log(share), generator)


def test_half_of_a_valley_is_missed(exact):
    known = exact[exact[:, 0].abs() < 1.2]
    share = len(known) / len(exact)
    found = seen(known, share)
    # 55 % of the mass lies beyond; a lower bound counts, since only what is far beyond is unseen
    assert found.value - 2 * found.std_error > 0.1


def test_nothing_lies_beyond_all_draws(exact):
    found = seen(exact, 1.0)
    assert found.value - 2 * found.std_error < 0.02


def test_it_ends_when_told_to(exact):
    white = WhitenedTarget(DensityTarget(log_density, dim=2), torch.zeros(2), torch.eye(2))
    half = exact[exact[:, 0] > 0]
    assert (
        frontier(white, half, lambda found: found[1] + 50, 0.0, torch.Generator().manual_seed(0), lambda: True) is None
    )


def test_starts_that_all_lie_outside_find_nothing():
    """Draws on a circle and no density beside it: starts lie farther out, and a climb has nowhere to begin."""
    circle = DensityTarget(lambda x: torch.where((x.norm(dim=1) - 1).abs() < 1e-6, 0.0, -torch.inf), dim=2)
    white = WhitenedTarget(circle, torch.zeros(2), torch.eye(2))
    draws = torch.nn.functional.normalize(torch.randn(512, 2, generator=seeded()).double(), dim=1)
    assert (white.log_prob(draws) == 0).all() and (white.log_prob(_starts(draws, seeded())) == -torch.inf).all()
    found = frontier(white, draws, lambda found: found[1], 0.0, seeded())
    assert isinstance(found, Estimate) and found.value == 0.0


def test_what_importance_sampling_cannot_weigh_is_no_zero(exact, monkeypatch):
    monkeypatch.setattr("amortized.diagnostics.frontier.unseen_mass", lambda *_: None)
    known = exact[exact[:, 0].abs() < 1.2]
    assert seen(known, len(known) / len(exact)) == "not settled: the importance sampling has too few effective draws"
