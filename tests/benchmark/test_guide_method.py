"""A whole guide as a method: it gets the budget's seconds, and its draws come back in the problem's own space."""

import math
from functools import partial

import pytest
import torch

from amortized import DiffusionGuide, Recipe
from amortized.benchmark import truth
from amortized.benchmark.budget import Budget
from amortized.benchmark.guide_method import GuideMethod
from amortized.benchmark.measurement import measure_sampler
from amortized.benchmark.methods import GUIDES
from amortized.guide.named import MixtureGuide
from tests.known import isotropic

NARROW_CHILDREN = """
import pyro, pyro.distributions as dist

LOG_EVIDENCE = (0.0, 0.0)

def model():
    scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
    with pyro.plate("children", 4):
        pyro.sample("child", dist.Normal(2.0, scale))

def sample(n):
    scale = dist.LogNormal(0.0, 1.0).sample((n,))
    return {"scale": scale, "child": dist.Normal(2.0, scale[:, None].expand(n, 4)).sample()}
"""


def test_the_default_in_its_own_coordinates_is_measured_in_those_of_the_problem(tmp_path):
    """A small funnel, which the guide moves: draws, log Z and backward paths still belong to the file's density.

    With even weights Δ is near 0; log Z of 2,000 paths is then known to .02, and five of these are allowed.
    """
    file = tmp_path / "funnel.py"
    file.write_text(NARROW_CHILDREN)
    problem = truth.load_problem(file)
    trained = GuideMethod()(problem.target, 1.0, Budget(seconds=20), 0)
    assert trained.steps == len(trained.losses) and trained.energy_calls > 0
    found = measure_sampler(problem, trained, 2_000, 0)
    assert -0.05 < found["delta"] < 0.2 and abs(found["rw"]) < 0.1
    assert found["reverse_ess_fraction"] > 0.5
    assert problem.sample is not None
    exact = problem.sample(500, 1)
    assert torch.allclose(trained.unwhiten(trained.whiten(exact)), exact, atol=1e-3)
    scale = trained.unwhiten(trained.sampler.sample(trained.target, 2_000)[0])[:, 0]  # the log of the scale, N(0, 1)
    assert abs(float(scale.std()) - 1) < 0.1 and abs(float(scale.mean())) < 5 / math.sqrt(2_000)


def test_each_guide_is_its_class():
    assert GUIDES["guide"].kind is DiffusionGuide and GUIDES["guide-mixture"].kind is MixtureGuide
    assert isinstance(GUIDES["guide-long"].kind, partial) and isinstance(
        GUIDES["guide-long"].kind.keywords["recipe"], Recipe
    )


@pytest.mark.parametrize("budget", [Budget(steps=5), Budget(energy_calls=5)])
def test_only_a_budget_of_seconds_is_taken(budget):
    with pytest.raises(ValueError, match="write --seconds 120"):
        GuideMethod()(isotropic(2), 1.0, budget, 0)


def test_a_density_without_a_model_is_refused():
    with pytest.raises(TypeError, match="needs a file with def model"):
        GuideMethod()(isotropic(2), 1.0, Budget(seconds=5), 0)
