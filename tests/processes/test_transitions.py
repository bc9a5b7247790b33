"""The laws of a step: densities that integrate to one, draws with the stated deviation."""

import math

import pytest
import torch

from amortized.processes.transitions import Gaussian, StudentT, log_normal, standard_normal
from tests.known import seeded

LAWS = [Gaussian(), StudentT(3.5), StudentT(5.0), StudentT(50.0)]
every_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: f"{type(law).__name__}{getattr(law, 'degrees', '')}")


def test_log_normal_is_the_density_of_independent_gaussians(in_double_precision):
    x, mean, std = torch.randn(3, 4, 2), torch.randn(4, 2), torch.rand(2) + 0.1
    expected = torch.distributions.Normal(mean, std).log_prob(x).sum(-1)
    torch.testing.assert_close(log_normal(x, mean, std), expected)
    common = torch.distributions.Normal(mean, std[0]).log_prob(x).sum(-1)
    torch.testing.assert_close(log_normal(x, mean, std[:1]), common)


@every_law
def test_the_density_integrates_to_one_with_the_stated_deviation(law, in_double_precision):
    """x = sinh u on 200 001 points to |x| = 1e8, where 3.5 degrees leave less than 1e-11 of the variance."""
    mean, std = torch.tensor([0.7]), torch.tensor([1.3])
    u = torch.linspace(-19, 19, 200_001)
    x = mean + u.sinh()
    weight = law.log_prob(x[:, None], mean, std).exp() * u.cosh() * (u[1] - u[0])
    assert abs(float(weight.sum()) - 1) < 1e-9
    assert abs(float((weight * x).sum()) - 0.7) < 1e-7
    assert abs(float((weight * (x - mean).square()).sum()) / 1.3**2 - 1) < 1e-6


@every_law
def test_draws_follow_the_density(law, in_double_precision):
    """20 000 draws at 19 quantiles by the law's own distribution function: five standard errors of a share."""
    count, mean, std = 20_000, torch.tensor([0.7]), torch.tensor([1.3])
    drawn = law.draw(mean.expand(count, 1), std, seeded())[:, 0]
    u = torch.linspace(-12, 12, 50_001)
    x = mean + u.sinh()
    cumulative = (law.log_prob(x[:, None], mean, std).exp() * u.cosh() * (u[1] - u[0])).cumsum(0)
    for share in torch.linspace(0.05, 0.95, 19):
        quantile = x[torch.searchsorted(cumulative, share)]
        found = float((drawn < quantile).double().mean())
        assert abs(found - float(share)) < 5 * math.sqrt(float(share * (1 - share)) / count)


@pytest.mark.parametrize("degrees", [2.5, 5.0, 30.0])
def test_student_is_the_library_density_scaled_to_its_deviation(degrees, in_double_precision):
    x, mean, std = torch.randn(3, 4, 2) * 5, torch.randn(4, 2), torch.rand(4, 2) + 0.1
    scale = std * math.sqrt((degrees - 2) / degrees)
    expected = torch.distributions.StudentT(torch.tensor(degrees), mean, scale).log_prob(x).sum(-1)
    torch.testing.assert_close(StudentT(degrees).log_prob(x, mean, std), expected)
    torch.testing.assert_close(StudentT(degrees).log_prob(x, mean, std[:, :1]).shape, expected.shape)


def test_many_degrees_are_nearly_gaussian(in_double_precision):
    x = torch.linspace(-3, 3, 7)[:, None]
    normal = log_normal(x, torch.zeros(1), torch.ones(1))
    torch.testing.assert_close(StudentT(1e6).log_prob(x, torch.zeros(1), torch.ones(1)), normal, atol=1e-4, rtol=0)


@every_law
def test_draws_are_seeded_typed_and_differentiable(law):
    mean, std = torch.zeros(5, 2, requires_grad=True), torch.full((5, 2), 2.0, requires_grad=True)
    drawn = law.draw(mean, std, seeded())
    assert torch.equal(drawn, law.draw(mean, std, seeded())) and drawn.dtype == torch.float32
    drawn.sum().backward()
    assert mean.grad is not None and torch.equal(mean.grad, torch.ones(5, 2))
    torch.testing.assert_close(std.grad, (drawn / 2.0).detach())
    assert law.draw(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)).dtype == torch.float64


def test_noise_is_like_what_it_is_for():
    noise = standard_normal(torch.zeros(2, 3, dtype=torch.float64), seeded())
    assert noise.shape == (2, 3) and noise.dtype == torch.float64


@pytest.mark.parametrize("degrees", [2.0, 1.0, -3.0])
def test_too_few_degrees_are_refused_by_name(degrees):
    with pytest.raises(ValueError, match=f"degrees={degrees}.*degrees=5.0"):
        StudentT(degrees)
