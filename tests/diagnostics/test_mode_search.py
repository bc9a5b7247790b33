"""A mode that a sampler does not know is found and weighed; one that it knows is no cause for alarm."""

from functools import partial

import pytest
import torch

from amortized.diagnostics.mode_search import ModeSearch, search_modes
from amortized.mixtures.gaussian import GaussianMixture
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.mixture_reference import MixtureReference
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.training.evaluation import reverse_log_weights
from amortized.weights import Estimate
from tests.known import network, seeded

DISTANCE = 10.0


def centres(dim: int) -> torch.Tensor:
    return torch.stack([torch.zeros(dim), torch.full((dim,), DISTANCE / dim**0.5)])


def found(lost: float, dim: int, knows_both: bool = False, seed: int = 0) -> ModeSearch:
    """What is found beside the sampler of ``N(0, I)`` in ``(1 − lost) N(0, I) + lost N(10, I)``."""
    shares, places = torch.tensor([1 - lost, lost]), centres(dim)
    constant = 0.5 * dim * torch.log(torch.tensor(2 * torch.pi))

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        distance = (x[:, None] - places.to(x)).square().sum(-1)
        return (shares.log() - 0.5 * distance).logsumexp(-1) - constant

    white = WhitenedTarget(DensityTarget(log_prob, dim), torch.zeros(dim), torch.eye(dim))
    both = MixtureReference(shares, places, torch.eye(dim).expand(2, dim, dim))
    sampler = DiffusionSampler(OrnsteinUhlenbeck(16, reference=both if knows_both else None), network(dim))
    identity = torch.eye(dim, dtype=torch.float64)
    base = GaussianMixture(torch.ones(1).double(), 0 * identity[:1], 6 * identity[None])
    generator = seeded(seed)
    weigh = partial(reverse_log_weights, sampler.process, sampler.policy, white, generator=generator)
    known = 0.0 if knows_both else float(torch.tensor(1 - lost).log())
    result = search_modes(white, base, weigh, known, generator)
    assert result is not None
    return result


@pytest.mark.parametrize("dim", [1, 8])
@pytest.mark.parametrize("lost", [0.5, 0.1])
def test_a_lost_mode_is_found_and_weighed(lost, dim):
    """Importance sampling from the fitted mode has an error of its own, of which four are allowed, and a point."""
    result = found(lost, dim)
    assert result.found_more
    assert abs(result.unseen.value - lost) < 4 * result.unseen.std_error + 0.01
    assert abs(result.log_evidence.value) < 4 * result.log_evidence.std_error + 0.05


@pytest.mark.parametrize("lost", [0.5, 0.1])
def test_modes_that_the_sampler_knows_are_seen(lost):
    result = found(lost, 4, knows_both=True)
    assert not result.found_more and result.unseen.value == 0


def test_a_mode_that_hardly_matters_is_no_alarm():
    result = found(0.01, 2)
    assert not result.found_more and result.unseen.value < 0.02


def test_out_of_time():
    white = WhitenedTarget(DensityTarget(lambda x: -x.square().sum(-1), 1), torch.zeros(1), torch.eye(1))
    base = GaussianMixture(*(torch.ones(shape).double() for shape in ((1,), (1, 1), (1, 1, 1))))
    assert search_modes(white, base, lambda ends: ends[1], 0.0, seeded(), stop=lambda: True) is None


@pytest.mark.parametrize(("unseen", "error", "more"), [(0.1, 0.03, True), (0.1, 0.05, False), (0.03, 0.001, True)])
def test_two_errors_above_the_share_that_may_be_missing(unseen, error, more):
    assert ModeSearch(Estimate(unseen, error), Estimate(0.0, 0.1)).found_more is more


def test_it_says_what_it_found():
    text = str(ModeSearch(Estimate(0.1, 0.01), Estimate(-3.0, 0.05)))
    assert text == "10.0% of the mass unseen, log Z -3.000 ± 0.050"
