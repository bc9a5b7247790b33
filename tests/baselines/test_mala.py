"""Parallel chains of MALA on targets of known moments."""

import torch

from amortized.baselines import mala
from tests.baselines import known


def test_moments_of_a_correlated_gaussian():
    """Standard error of a mean is scale / √ess, of a scale at most scale · √(2 / ess); all within four."""
    draws = mala.run(known.tilted_gaussian(), chains=32, warmup=200, draws=60, thin=2, seed=0)
    x, ess = draws.sites["x"], float(draws.attributes["ess"])
    assert ess > 400 and float(draws.attributes["rhat"]) < 1.05
    scale = torch.tensor([0.5, 2.0])
    assert torch.all((x.mean(0) - torch.tensor([1.0, -2.0])).abs() < 4 * scale / ess**0.5)
    assert torch.all((x.std(0) / scale - 1).abs() < 4 * (2 / ess) ** 0.5)
    assert abs(float(torch.corrcoef(x.mT)[0, 1]) - 0.6) < 4 / ess**0.5


def test_a_diagonal_metric_and_a_model_with_arguments():
    draws = mala.run(
        known.conjugate, (known.CONJUGATE_DATA,), chains=32, warmup=80, draws=40, thin=2, full_mass=False, seed=1
    )
    ess = float(draws.attributes["ess"])
    assert abs(float(draws.sites["mean"].mean()) - known.CONJUGATE_MEAN) < 4 * known.CONJUGATE_DEVIATION / ess**0.5


def test_the_step_is_adapted_to_the_acceptance():
    draws = mala.run(known.tilted_gaussian(), chains=32, warmup=200, draws=30, target_acceptance_rate=0.65, seed=0)
    assert abs(float(draws.attributes["acceptance_rate"]) - 0.65) < 0.12
