"""The models of `benchmarks/sbibm_models.py` against plain formulas, and the classifier test where it is known."""

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:
    import sbibm_tasks
    from sbibm_c2st import c2st
    from sbibm_models import Moon, bernoulli_glm, gaussian_linear, gaussian_mixture, slcp, smooth_precision, two_moons
finally:
    sys.path.remove(str(BENCHMARKS))

DESIGN = torch.randn(100, 10, generator=torch.Generator().manual_seed(0))
CASES = {
    "two_moons": (two_moons, (2,)),
    "slcp": (slcp, (4, 2)),
    "gaussian_mixture": (gaussian_mixture, (2,)),
    "gaussian_linear": (gaussian_linear, (10,)),
    "bernoulli_glm": (bernoulli_glm(DESIGN), (100,)),
}


def log_likelihood(name: str, latent: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    model, _ = CASES[name]
    with pyro.plate("draws", len(latent)):
        trace = poutine.trace(poutine.condition(model, {"parameters": latent})).get_trace(x)
    trace.compute_log_prob()
    return trace.nodes["x"]["log_prob"]


@pytest.mark.parametrize("name", CASES)
def test_a_plate_draws_independent_pairs_that_have_the_density_of_one_alone(name: str):
    pyro.set_rng_seed(0)
    model, shape = CASES[name]
    with pyro.plate("pairs", 5):
        trace = poutine.trace(poutine.uncondition(model)).get_trace(torch.zeros(shape))
    latent, x = trace.nodes["parameters"]["value"], trace.nodes["x"]["value"]
    assert x.shape == (5, *shape)
    trace.compute_log_prob()
    alone = torch.cat([log_likelihood(name, z[None], y) for z, y in zip(latent, x, strict=True)])
    torch.testing.assert_close(trace.nodes["x"]["log_prob"], alone)


def test_a_moon_has_mass_one_and_draws_by_its_density():
    axis = torch.arange(-0.16, 0.16, 4e-4, dtype=torch.float64) + 2e-4
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    density = Moon(torch.zeros(2).double()).log_prob(grid).exp() * 16e-8
    assert float(density.sum()) == pytest.approx(1.0, abs=1e-3)  # cells of 4 % of the width
    pyro.set_rng_seed(0)
    draws = Moon(torch.zeros(2)).expand(torch.Size([100_000])).sample()
    expected = (density[..., None] * grid).sum((0, 1))
    deviation = (density[..., None] * (grid - expected).square()).sum((0, 1)).sqrt()
    z = (draws.double().mean(0) - expected) / deviation * math.sqrt(100_000)
    assert z.abs().max() < 4  # by chance 1 in 8,000
    assert Moon(torch.zeros(2)).log_prob(torch.tensor([-0.01, 0.1])) == -math.inf


def test_slcp_is_four_points_of_the_law_with_the_published_covariance():
    latent = torch.tensor([[0.5, -1.0, 1.2, -0.7, 0.9], [-2.0, 1.0, -0.4, 2.5, -2.0]])
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    for row, found in zip(latent, log_likelihood("slcp", latent, x), strict=True):
        first, second, rho = row[2] ** 2, row[3] ** 2, torch.tanh(row[4])
        cross = rho * first * second
        covariance = torch.stack([first**2 + 1e-6, cross, cross, second**2 + 1e-6]).reshape(2, 2).double()
        law = torch.distributions.MultivariateNormal(row[:2].double(), covariance)
        assert float(found) == pytest.approx(float(law.log_prob(x.double()).sum()), rel=1e-4)


def test_the_mixture_and_the_line_have_the_published_scales():
    x = torch.tensor([0.3, -0.2])
    wide, narrow = (-x.square().sum() / (2 * v) - math.log(2 * math.pi * v) for v in (1.0, 0.01))
    expected = torch.logaddexp(wide, narrow) - math.log(2)
    torch.testing.assert_close(log_likelihood("gaussian_mixture", torch.zeros(1, 2), x), expected[None])
    law = torch.distributions.MultivariateNormal(torch.zeros(10), 0.1 * torch.eye(10))
    torch.testing.assert_close(
        log_likelihood("gaussian_linear", torch.zeros(1, 10), x.repeat(5)), law.log_prob(x.repeat(5))[None]
    )


def test_the_filter_of_the_glm_is_smooth_by_its_second_differences():
    weights = torch.randn(10, generator=torch.Generator().manual_seed(2))
    lagged = torch.cat([torch.zeros(2), weights[1:]])
    second = lagged[2:] - 2 * lagged[1:-1] + lagged[:-2] + (torch.arange(9) / 9).sqrt() * weights[1:]
    expected = 0.5 * weights[0] ** 2 + second.square().sum()
    assert float(weights @ smooth_precision() @ weights) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("shift, expected", [(0.0, 0.5), (1.0, 0.6915)])
def test_the_classifier_is_as_good_as_the_best_one(shift: float, expected: float):
    """Of N(0, 1) and N(shift, 1) the best accuracy is Phi(shift / 2); 200 + 200 draws know it to .025."""
    random = np.random.default_rng(0)
    found = c2st(random.standard_normal((200, 1)), shift + random.standard_normal((200, 1)))
    assert found == pytest.approx(expected, abs=0.1)


def test_draws_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        c2st(np.arange(10.0)[:, None], np.full((10, 1), np.nan))


def test_what_is_there_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sbibm_tasks, "RESULTS", tmp_path)
    task = sbibm_tasks.Task("slcp", tmp_path)
    line = sbibm_tasks.Run("slcp", 2, "npe", 0, 150.0, 0.6, 1.0, 1.0)
    (tmp_path / "slcp.jsonl").write_text(json.dumps(asdict(line)) + "\n")
    assert sbibm_tasks.missing("npe", sbibm_tasks.Asked(task, [1, 2, 3], 0, 150.0)) == [1, 3]
    assert sbibm_tasks.missing("npe", sbibm_tasks.Asked(task, [1, 2, 3], 0, 60.0)) == [1, 2, 3]
