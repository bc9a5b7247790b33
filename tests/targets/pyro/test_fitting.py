"""The Gaussian fit behind the choice of coordinates, where the answer is known, and its clock."""

import time

import torch

from amortized.targets.pyro.fitting import PARTICLES, STEPS, Effort, Gaussian, effort_within, fitted

COVARIANCE = torch.tensor([[1.0, 0.8], [0.8, 1.0]])


class Normal:
    """N(1, COVARIANCE) on two coordinates; a third is a logit without a say."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def log_prob_and_score(self, x):
        time.sleep(self.seconds)
        away = (x[:, :2] - 1) @ torch.linalg.inv(COVARIANCE)
        return -0.5 * (away * (x[:, :2] - 1)).sum(1), torch.cat([-away, torch.zeros_like(x[:, 2:])], 1)


def start():
    return Gaussian(torch.zeros(2), torch.full((2,), -1.0), torch.zeros(2, 2), torch.zeros(1))


def test_the_fit_finds_a_correlated_gaussian():
    generator = torch.Generator().manual_seed(0)
    fit = fitted(Normal(), start(), Effort(STEPS, PARTICLES), generator, full=False)
    assert torch.allclose(fit.log_scale.exp() ** 2, torch.full((2,), 0.36), atol=0.04)  # 1 / precision
    fit = fitted(Normal(), fit, Effort(STEPS, PARTICLES), generator, full=True)
    x, _ = fit.at(torch.randn(20_000, 2, generator=generator))
    assert torch.allclose(fit.mean, torch.ones(2), atol=0.05) and torch.allclose(x.T.cov(), COVARIANCE, atol=0.06)


def test_the_clock_decides_the_effort():
    assert effort_within(Normal(), start(), 2, 60.0) == Effort(STEPS, PARTICLES)
    slow = effort_within(Normal(2e-3), start(), 1, 0.5)
    assert slow is None or slow.particles < PARTICLES
    assert effort_within(Normal(2e-3), start(), 2, 0.1) is None
