"""Repair by rounds of bridges: what it keeps, what it mends, what it costs."""

import math
import time

import pytest
import torch

from amortized.mcmc.state import State
from amortized.samplers import UDS, GFlowNet
from amortized.samplers.base import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.training.proximal import PATHS, _work, proximal_rounds, tempering_power
from amortized.weights import effective_sample_fraction
from tests.known import isotropic, seeded


def white_of(target: DensityTarget) -> WhitenedTarget:
    return WhitenedTarget(target, torch.zeros(target.dim), torch.eye(target.dim))


def sampler_of(dim: int, steps: int = 16) -> DiffusionSampler:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GFlowNet(dim, steps=steps, langevin=False)


def two_modes() -> DensityTarget:
    """Half of the mass at −1.5 and half at 1.5 in the first of four coordinates; Z = 1."""

    def log_prob(x):
        first = torch.logaddexp(*(-0.5 * ((x[:, 0] - side) / 0.3).square() for side in (-1.5, 1.5)))
        rest = -0.5 * x[:, 1:].square().sum(-1)
        return first + rest - math.log(2 * 0.3) - 0.5 * x.shape[1] * math.log(2 * math.pi)

    return DensityTarget(log_prob, dim=4)


def draws_of_two_modes(count: int, right: float) -> torch.Tensor:
    x = torch.randn(count, 4, generator=seeded(5))
    side = torch.where(torch.rand(count, generator=seeded(6)) < right, 1.5, -1.5)
    return torch.cat([(side + 0.3 * x[:, 0])[:, None], x[:, 1:]], 1)


def test_right_draws_of_a_gaussian_need_no_round_and_each_score_is_asked_once():
    target = isotropic(2)
    record = proximal_rounds(sampler_of(2), white_of(target), torch.randn(700, 2, generator=seeded()), 1.5, seeded(1))
    assert len(record.rounds) == 1 and record.best == 0
    assert record.evaluation.ess_fraction > 0.9
    assert abs(record.evaluation.log_evidence) < 0.03  # five standard errors of 4,096 weights of 95 % are 0.02
    assert "no round followed" in record.status
    assert target.calls <= 700 + 2 * 4_096


@pytest.mark.parametrize(("enough", "batches"), [(0.2, 2), (1.1, 1)])
def test_a_share_that_would_do_is_seen_on_as_many_paths_again(enough, batches):
    """An untrained sampler draws N(0, I), the target: all of its weights are nearly even."""
    white = white_of(isotropic(2))
    work, draws = _work(sampler_of(2), white, seeded()), torch.randn(300, 2, generator=seeded())
    held = State(draws, *white.log_prob_and_score(draws))
    ends, log_weights, found = work.weighed(held, time.perf_counter() + 600.0, enough)
    assert len(ends) == len(log_weights) == batches * PATHS
    assert found.ess_fraction == pytest.approx(effective_sample_fraction(log_weights))


def test_the_time_is_kept_where_each_particle_is_slow():
    """A particle takes .2 ms. No stage runs on after its time by more than a chunk of 512 and a few optimiser steps."""

    def slow(x):
        time.sleep(2e-4 * len(x))
        return -0.5 * x.square().sum(-1) + 100 * x[:, 0].clamp(min=0).square()  # no draws will ever be enough

    began = time.perf_counter()
    record = proximal_rounds(sampler_of(2), white_of(DensityTarget(slow, 2)), torch.randn(900, 2), 0.8, seeded())
    assert time.perf_counter() - began < 4.0  # 0.8, chunks of 0.1 each, and a machine that others use
    assert record.rounds


def test_the_policy_that_is_left_is_the_one_of_the_record():
    target, sampler = isotropic(2), sampler_of(2)
    record = proximal_rounds(sampler, white_of(target), torch.randn(600, 2, generator=seeded()), 1.0, seeded(1))
    log_weights = sampler.sample(white_of(target), 4_000, seeded(2))[1]
    share = effective_sample_fraction(log_weights)
    assert abs(share - record.evaluation.ess_fraction) < 0.05  # the error of 4,000 weights of 90 % is under 0.01


def test_the_power_is_the_largest_that_leaves_enough():
    log_weights = 3 * torch.randn(4_000, generator=seeded())
    power = tempering_power(log_weights, 0.2)
    assert effective_sample_fraction(power * log_weights) >= 0.2
    assert effective_sample_fraction((power + 1e-3) * log_weights) < 0.2


def test_draws_without_density_are_refused():
    nowhere = DensityTarget(lambda x: torch.full_like(x[:, 0], -torch.inf) + 0 * x.sum(-1), dim=2)
    with pytest.raises(ValueError, match="fewer than two draws"):
        proximal_rounds(sampler_of(2), white_of(nowhere), torch.randn(10, 2), 1.0)


def test_processes_without_bridges_are_refused():
    with pytest.raises(ValueError, match="no bridges in closed form"):
        proximal_rounds(UDS(2), white_of(isotropic(2)), torch.randn(10, 2), 1.0)


@pytest.mark.slow
def test_draws_with_wrong_weights_are_mended():
    """One in fifty draws is on the left, where half of the mass is; a round ends with 60 % effective weights.

    Such weights may leave a share of .2 on the left uneven; the weighted share, of 2,400 effective draws, has an error
    of .01.
    """
    target, sampler = white_of(two_modes()), sampler_of(4, 32)
    record = proximal_rounds(sampler, target, draws_of_two_modes(3_000, 0.98), 120.0, seeded(), enough=0.6)
    assert record.best > 0
    assert record.evaluation.ess_fraction > 0.5
    assert abs(record.evaluation.log_evidence) < 0.1
    draws, log_weights = sampler.sample(target, 4_000, seeded(1))
    left = (draws[:, 0] < 0).double()
    assert left.mean() > 0.1
    assert abs(float((left * log_weights.softmax(0)).sum()) - 0.5) < 0.04


@pytest.mark.slow
def test_right_draws_are_not_made_worse():
    target = white_of(two_modes())
    record = proximal_rounds(sampler_of(4, 32), target, draws_of_two_modes(3_000, 0.5), 60.0, seeded(), True, 0.75)
    assert record.evaluation.overlap == max(each.evaluation.overlap for each in record.rounds)
    assert record.evaluation.ess_fraction > 0.5
    assert abs(record.evaluation.log_evidence) < 0.1
