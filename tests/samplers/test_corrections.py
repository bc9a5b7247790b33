"""Corrected draws: of equal weight, nearer to the target, or refused by name."""

import pytest
import torch

from amortized.processes import OrnsteinUhlenbeck
from amortized.samplers import DiffusionSampler, SequentialDraws
from amortized.samplers.corrections import CORRECTIONS, MAX_POOL, affordable_paths, corrected, pool_size
from amortized.targets.callable import DensityTarget
from amortized.weights import Estimate
from tests.known import Located, SameFeatures, gaussian, network, seeded

COUNT = 4_000


def draws(correction: str):
    target = gaussian([0.5, -0.3], [[0.8, 0.0], [0.0, 0.7]])
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2))
    pilot = sampler.sample(target, 500, seeded(1))
    return corrected(sampler, target, COUNT, correction, pilot, seeded())


@pytest.mark.parametrize("correction", ["resample", "mcmc", "sequential"])
def test_corrected_draws_have_the_targets_moments(correction):
    """The sampler itself draws N(0, I); five standard errors of 4 000 draws at an efficiency of one half."""
    ends, log_weights = draws(correction)
    assert log_weights is None and ends.shape == (COUNT, 2)
    error = 5 * (0.8 / (COUNT / 2)) ** 0.5
    assert (ends.mean(0) - torch.tensor([0.5, -0.3])).abs().max() < error
    assert (ends.var(0) - torch.tensor([0.8, 0.7])).abs().max() < error * 2**0.5


def test_plain_draws_come_with_their_weights():
    ends, log_weights = draws("none")
    assert ends.shape == (COUNT, 2) and log_weights.shape == (COUNT,)
    assert ends.mean(0).abs().max() < 5 * COUNT**-0.5


def test_another_word_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="correction='polish': write one of " + ", ".join(map(repr, CORRECTIONS))):
        draws("polish")


CONTEXTS = torch.tensor([[0.0, 0.0], [0.5, -0.3], [-0.4, 0.6]])


@pytest.mark.parametrize("correction", ["resample", "mcmc"])
@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_every_context_is_corrected_from_its_own_draws(correction, spread):
    """Row i belongs to context i mod 3; moments as above, for each."""
    target = Located(CONTEXTS, 0.9)
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2, spread, embedding=SameFeatures(2)))
    pilot = sampler.sample(target, 1_500, seeded(1))
    ends, found = corrected(sampler, target, COUNT, correction, pilot, seeded())
    assert found is None and ends.shape == (3 * COUNT, 2)
    error = 5 * (0.81 / (COUNT / 2)) ** 0.5
    for m in range(3):
        assert (ends[m::3].mean(0) - CONTEXTS[m]).abs().max() < error
        assert (ends[m::3].var(0) - 0.81).abs().max() < error * 2**0.5


def test_no_draw_changes_its_context():
    """A sampler whose draws say whose they are, under random weights."""

    class Known(DiffusionSampler):
        def sample(self, target, count, generator=None, chunk=4096):
            rows = torch.arange(count)
            return torch.stack([rows % 3, rows // 3], 1).float(), torch.randn(count, generator=generator).double()

    sampler = Known(OrnsteinUhlenbeck(4), network(2))
    ends, _ = corrected(sampler, Located(CONTEXTS), 50, "resample", (torch.zeros(30, 2), torch.zeros(30)), seeded())
    assert ends[:, 0].tolist() == [0.0, 1.0, 2.0] * 50


def test_resampled_draws_come_in_no_order(monkeypatch):
    """A pool that is numbered in order, resampled with weights: rises and falls are as likely, to five errors."""

    class Numbered(DiffusionSampler):
        def sample(self, target, count, generator=None, chunk=4096):
            return torch.arange(count).float()[:, None], torch.rand(count, generator=generator).double()

    def numbered(sampler, target, count, **_):
        return SequentialDraws(torch.arange(count).float()[:, None], torch.zeros(count), Estimate(0.0, 0.0), 0.0)

    monkeypatch.setattr("amortized.samplers.corrections.sample_sequentially", numbered)
    sampler = Numbered(OrnsteinUhlenbeck(4), network(1))
    for correction in ("resample", "sequential"):
        pilot = torch.zeros(30, 1), torch.zeros(30)
        ends, _ = corrected(sampler, gaussian([0.0], [[1.0]]), 1_000, correction, pilot, seeded())
        rises = (ends[:, 0].diff() > 0).double().mean()
        assert abs(float(rises) - 0.5) < 5 * (0.25 / 1_000) ** 0.5


def test_a_context_out_of_reach_keeps_the_samplers_own_draws():
    class Beyond(Located):
        def _log_prob(self, x):
            value = super()._log_prob(x)
            value[1::3] = -torch.inf
            return value

    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2))
    pilot = sampler.sample(Beyond(CONTEXTS), 300, seeded(1))
    ends, _ = corrected(sampler, Beyond(CONTEXTS), COUNT, "resample", pilot, seeded())
    assert ends[1::3].mean(0).abs().max() < 5 * COUNT**-0.5
    assert (ends[2::3].mean(0) - CONTEXTS[2]).abs().max() < 5 * (1 / (COUNT / 2)) ** 0.5


def test_particles_of_several_contexts_are_refused():
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2))
    with pytest.raises(ValueError, match="particles of 3 contexts would replace each other: give one"):
        corrected(sampler, Located(CONTEXTS), 10, "sequential", (torch.zeros(30, 2), torch.zeros(30)), seeded())


def test_one_context_is_corrected_along_the_path_too():
    target = Located(CONTEXTS[1:2], 0.9)
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2, 0.05, embedding=SameFeatures(2)))
    ends, _ = corrected(sampler, target, COUNT, "sequential", (torch.zeros(30, 2), torch.zeros(30)), seeded())
    assert (ends.mean(0) - CONTEXTS[1]).abs().max() < 5 * (0.81 / (COUNT / 2)) ** 0.5


class Normal(DiffusionSampler):
    """N(0, I) with the right weights for a wider target, N(0, scale² I)."""

    def __init__(self, scale: float):
        super().__init__(OrnsteinUhlenbeck(4), network(1))
        self.scale = scale
        self.drawn = 0

    def log_ratio(self, x):
        return 0.5 * (x.square() - (x / self.scale).square()).sum(-1).double()

    def sample(self, target, count, generator=None, chunk=4096):
        self.drawn += count
        x = torch.randn(count, 1, generator=generator)
        return x, self.log_ratio(x)


def wide(scale: float) -> DensityTarget:
    return DensityTarget(lambda x: -0.5 * (x / scale).square().sum(-1), dim=1)


def test_draws_tell_the_spread_as_well_as_independent_ones():
    """The sd of 200 exact draws of N(0, s²) has variance s² / 400, that of resampled ones was 1.1 times as large.

    Of 400 calls it is known to 7 %, so 1.6 is four errors. With 1.5 paths over their effective fraction of .90 it was
    2.0 to 2.2.
    """
    scale, generator = 1.2, seeded(2)
    sampler = Normal(scale)
    pilot = sampler.sample(None, 8_000, generator)
    sds = [corrected(sampler, wide(scale), 200, "resample", pilot, generator)[0].std() for _ in range(400)]
    assert float(torch.stack(sds).var()) < 1.6 * scale**2 / 400


def test_the_pool_grows_with_the_largest_weights():
    even, one = torch.zeros(1_000, 1), torch.tensor([9.0, *[0.0] * 999])[:, None]
    assert pool_size(even, 100) == 200
    assert pool_size(one, 100) == MAX_POOL * 100 == pool_size(torch.full((1_000, 1), -torch.inf), 100)
    assert pool_size(even.expand(1_000, 7), 100) == 150
    known = torch.cat([torch.full((100, 1), 4.0).log(), torch.zeros(900, 1)])
    assert pool_size(known, 100) == round(100 * 2 * 4 / 1.3)  # weights of 4 over a mean of 1.3 hold the last hundredth


def test_time_bounds_the_pool_but_not_the_draws():
    assert affordable_paths(1_600, 100, seconds_a_path=1e-3, seconds=0.8) == 800
    assert affordable_paths(1_600, 100, seconds_a_path=0.0, seconds=0.8) == 1_600
    with pytest.warns(UserWarning, match=r"100 draws take about 2 s here: write sample\(40\)"):
        assert affordable_paths(1_600, 100, seconds_a_path=0.02, seconds=0.8) == 100


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_draws_come_in_random_order(correction):
    """From as many paths as draws, some of which are taken often: unshuffled, equal draws stand side by side.

    The correlation of successive draws of n is known to 1/√n, the difference of the halves' means to 2/√n sd.
    """
    target = gaussian([1.5, -0.3], [[0.3, 0.0], [0.0, 0.4]])
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2))
    pilot = sampler.sample(target, 2_000, seeded(1))
    ends, _ = corrected(sampler, target, COUNT, correction, pilot, seeded(), paths=COUNT)
    unit = (ends - ends.mean(0)) / ends.std(0)
    assert (unit[1:] * unit[:-1]).mean(0).abs().max() < 4.5 / COUNT**0.5
    assert (unit[: COUNT // 2].mean(0) - unit[COUNT // 2 :].mean(0)).abs().max() < 2 * 4.5 / COUNT**0.5


def test_a_common_step_serves_every_context_its_own():
    """Of contexts with deviations of .9 and .009 each gets a step: both move, and stay what they were."""

    class TwoScales(Located):
        def _log_prob(self, x):
            scale = torch.tensor([0.9, 0.009]).repeat(len(x) // 2)
            return -0.5 * (x / scale[:, None]).square().sum(-1)

        def _log_prob_and_score(self, x):
            scale = torch.tensor([0.9, 0.009]).repeat(len(x) // 2)
            return self._log_prob(x), -x / scale[:, None].square()

    class Right(DiffusionSampler):
        def sample(self, target, count, generator=None, chunk=4096):
            scale = torch.tensor([0.9, 0.009]).repeat(count // 2)
            return scale[:, None] * torch.randn(count, 2, generator=generator), torch.zeros(count)

    sampler, target = Right(OrnsteinUhlenbeck(4), network(2)), TwoScales(torch.zeros(2, 2))
    pilot = sampler.sample(target, 512, seeded(1))
    before, _ = corrected(sampler, target, COUNT, "resample", pilot, seeded())
    after, _ = corrected(sampler, target, COUNT, "mcmc", pilot, seeded())
    for m, scale in enumerate((0.9, 0.009)):
        assert (after[m::2] != before[m::2]).any(-1).double().mean() > 0.99
        assert ((after[m::2].std(0) / scale - 1).abs() < 5 / (2 * COUNT) ** 0.5).all()
