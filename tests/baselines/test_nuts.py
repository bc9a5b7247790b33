"""NUTS on targets of known moments, in processes and alone."""

import numpy as np
import pytest
import torch

from amortized.baselines import nuts
from amortized.targets.callable import DensityTarget
from tests.baselines import known

MEAN = torch.tensor([1.0, -2.0, 0.5])
SCALE = torch.tensor([0.5, 2.0, 1.0])


def gaussian() -> DensityTarget:
    return DensityTarget(lambda x: -0.5 * ((x - MEAN) / SCALE).square().sum(-1), dim=3)


def test_moments_of_a_gaussian():
    """Standard error of a mean is scale / √ess, of a scale about scale / √(ess of the squares) ≤ scale · √(2 / ess)."""
    draws = nuts.run(gaussian(), chains=2, draws=250, warmup=150, seed=0)
    x, ess = draws.sites["x"], float(draws.attributes["ess"])
    assert x.shape == (500, 3) and draws.chains == 2 and draws.method == "nuts"
    assert ess > 100
    assert torch.all((x.mean(0) - MEAN).abs() <= 4 * SCALE / ess**0.5)
    assert torch.all((x.std(0) / SCALE - 1).abs() <= 4 * (2 / ess) ** 0.5)
    assert draws.attributes["divergences"] == 0
    assert float(draws.attributes["rhat"]) < 1.05


def test_draws_depend_on_the_seed_alone():
    one, two, other = (
        nuts.run(gaussian(), chains=2, draws=10, warmup=10, seed=seed, jobs=jobs)
        for seed, jobs in ((3, 1), (3, 2), (4, 2))
    )
    assert torch.equal(one.sites["x"], two.sites["x"])
    assert not torch.equal(one.sites["x"], other.sites["x"])


def test_each_chain_has_a_start_and_a_seed_of_its_own(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def recorded(target, start, draws, warmup, seed, full_mass):
        asked.append((*start.tolist(), seed))
        return nuts.Chain(np.random.default_rng(seed).normal(size=(draws, 3)), 0, 0)

    monkeypatch.setattr(nuts, "run_chain", recorded)
    for seed in (0, 1):
        nuts.run(gaussian(), chains=3, draws=4, warmup=0, jobs=1, seed=seed)
    assert all(len(set(column)) == 6 for column in zip(*asked, strict=True))


def test_the_warm_up_is_thrown_away(monkeypatch: pytest.MonkeyPatch):
    class Counting:
        def __init__(self, potential_fn, full_mass):
            self.step = 0.0

        def setup(self, warmup):
            self.warmup = warmup

        def sample(self, params):
            self.step += 1
            return {"x": torch.tensor([self.step])}

        def diagnostics(self):
            return {"divergences": {}}

    monkeypatch.setattr(nuts, "NUTS", Counting)
    assert nuts.run_chain(gaussian(), torch.zeros(1), 4, 5, 0).states[:, 0].tolist() == [6.0, 7.0, 8.0, 9.0]


def test_callers_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    nuts.run(gaussian(), chains=1, draws=5, warmup=5)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_density_call_is_counted(jobs: int):
    target = gaussian()
    draws = nuts.run(target, chains=2, draws=10, warmup=10, jobs=jobs)
    assert draws.target_calls == target.calls > 2 * 20


def test_no_finite_start_is_an_error_that_says_what_to_check():
    nowhere = DensityTarget(lambda x: x.sum(-1) * torch.nan, dim=2)
    with pytest.raises(ValueError, match="finite log density"):
        nuts.run(nowhere, chains=2, draws=5, warmup=5)


def test_an_error_in_a_process_reaches_the_caller():
    class Failing(DensityTarget):
        def _log_prob_and_score(self, x):
            if self.calls > 100:
                raise ZeroDivisionError("the model divided by zero")
            return super()._log_prob_and_score(x)

    target = Failing(lambda x: -0.5 * x.square().sum(-1), dim=2)
    with pytest.raises(ZeroDivisionError, match="divided by zero"):
        nuts.run(target, chains=2, draws=50, warmup=50, jobs=2)


def test_a_model_is_run_with_its_arguments():
    draws = nuts.run(known.conjugate, (known.CONJUGATE_DATA,), {"scale": 1.0}, chains=2, draws=150, warmup=80, seed=0)
    error = abs(float(draws.sites["mean"].mean()) - known.CONJUGATE_MEAN)
    assert error < 5 * known.CONJUGATE_DEVIATION / float(draws.attributes["ess"]) ** 0.5
