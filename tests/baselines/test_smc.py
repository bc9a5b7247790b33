"""Tempered islands: log Z with an honest error, weights of modes, what is not finite, MALA for HMC."""

import math

import pytest
import torch

from amortized.baselines import smc
from amortized.baselines.reference import DiagonalGaussian
from amortized.mcmc import tempered_smc
from amortized.mcmc.state import State
from amortized.targets.callable import DensityTarget
from amortized.weights import Estimate
from tests.baselines import known
from tests.known import seeded


@pytest.mark.parametrize("max_num_steps", [1, 8])
def test_evidence_and_moments_of_a_skewed_mixture(max_num_steps: int):
    """log Z within four errors, each off by a quarter itself; moments within four errors for ``ess`` families."""
    draws = smc.run(known.skewed_mixture(), particles=512, max_num_steps=max_num_steps, seed=0)
    assert draws.log_evidence is not None and 0 < draws.log_evidence.std_error < 0.15
    assert abs(draws.log_evidence.value - known.LOG_Z) < 4 * 1.25 * draws.log_evidence.std_error
    x, ess = draws.sites["x"], float(draws.attributes["ess"])
    assert ess > 300
    assert torch.all((x.mean(0) - known.MEAN).abs() < 4 * known.DEVIATION / ess**0.5)
    assert torch.all((x.std(0) / known.DEVIATION - 1).abs() < 4 * (2 / ess) ** 0.5)
    assert abs(float((x[:, 0] < -1.0).float().mean()) - (0.2 + 0.8 * 0.0062)) < 4 * math.sqrt(0.16 / ess)


@pytest.mark.slow
def test_the_error_is_honest():
    """20 runs: their spread against the mean reported error, within 1.5 as the issue asks; bias below four errors."""
    found = [smc.run(known.skewed_mixture(), particles=128, seed=seed).log_evidence for seed in range(20)]
    values = torch.tensor([evidence.value for evidence in found if evidence])
    claimed = torch.tensor([evidence.std_error for evidence in found if evidence]).mean()
    assert 1 / 1.5 < float(values.std() / claimed) < 1.5
    assert abs(float(values.mean()) - known.LOG_Z) < 4 * float(claimed) / math.sqrt(20)


def test_a_model_from_its_prior():
    draws = smc.run(known.conjugate, (known.CONJUGATE_DATA,), particles=256, seed=2)
    assert draws.log_evidence is not None
    truth = known.conjugate_log_evidence()
    assert abs(draws.log_evidence.value - truth) < 5 * draws.log_evidence.std_error
    ess = float(draws.attributes["ess"])
    assert abs(float(draws.sites["mean"].mean()) - known.CONJUGATE_MEAN) < 4 * known.CONJUGATE_DEVIATION / ess**0.5


def test_a_skewed_density_with_holes_by_quadrature():
    """NaN where x < 0, +inf in a far corner: Z = ∫₀^∞ x² e^{−x³} dx = 1/3."""

    def density(x: torch.Tensor) -> torch.Tensor:
        x = x[:, 0]
        inside = 2 * x.clamp(min=1e-30).log() - x.clamp(min=0).pow(3)
        return torch.where(x > 0, torch.where(x > 30, torch.inf, inside), torch.nan)

    target = DensityTarget(density, dim=1)
    draws = smc.run(target, particles=256, seed=0)
    assert draws.log_evidence is not None and bool((draws.sites["x"] > 0).all()) and target.nonfinite > 0
    assert abs(draws.log_evidence.value - math.log(1 / 3)) < 5 * draws.log_evidence.std_error


def test_draws_depend_on_the_seed_alone_and_callers_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (smc.run(known.skewed_mixture(), particles=32, islands=2, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.sites["x"], two.sites["x"]) and one.log_evidence == two.log_evidence
    assert one.log_evidence != other.log_evidence


def island(place: float, log_z: float, count: int = 400) -> tempered_smc.Result:
    """Particles ``place, place + .001, …`` of a run that found ``log_z``."""
    x = place + torch.arange(count)[:, None] / 1_000
    return tempered_smc.Result(State(x, 0 * x[:, 0], 0 * x), Estimate(log_z, 0.0), (0.0, 1.0), count, 0.8, True)


def test_islands_are_pooled_by_their_z_and_shuffled():
    """Systematic resampling: 3/4 of the draws from the island of three times the Z, to one draw, in no order."""
    states = smc.pool_islands([island(0.0, math.log(3)), island(5.0, 0.0)], torch.tensor([math.log(3), 0.0]), seeded())
    assert states.shape == (800, 1)
    assert abs(int((states < 4).sum()) - 600) <= 1
    rises = (states[:, 0].diff() >= 0).double().mean()
    assert abs(float(rises) - 0.5) < 5 * (0.25 / 800) ** 0.5


def test_each_island_has_a_base_of_its_own(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def recorded(target, seed):
        asked.append(seed)
        return DiagonalGaussian(torch.zeros(2), torch.ones(2))

    monkeypatch.setattr(smc, "broad_gaussian", recorded)
    for seed in (0, 1, 2):
        smc.bases(known.skewed_mixture(), seed, 4)
    assert len(set(asked)) == 12


def test_one_island_has_no_spread():
    with pytest.raises(ValueError, match="islands=1: .* write islands=8"):
        smc.run(known.skewed_mixture(), islands=1)
