"""Sequential Monte Carlo along a sampler's paths: unbiased, and importance sampling where it never resamples."""

import math

import pytest
import torch

from amortized.objectives.flows import StateFlow
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian, Underdamped
from amortized.processes.transitions import StudentT
from amortized.samplers import DiffusionSampler
from amortized.samplers.sequential import sample_sequentially
from amortized.targets.callable import DensityTarget
from amortized.weights import effective_sample_size
from tests.known import gaussian, perturbed, seeded, steering

LOG_PARTITION = 1.3


def target():
    return gaussian([0.4, -0.3], [[0.7, 0.1], [0.1, 0.6]], LOG_PARTITION)


def barely_trained(process, langevin: bool = False) -> DiffusionSampler:
    return DiffusionSampler(process, steering(process, 2, 0.05, langevin=langevin))


PROCESSES = [OrnsteinUhlenbeck(4), PinnedBrownian(4, transition=StudentT()), Underdamped(4)]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)


@every_process
@pytest.mark.parametrize("langevin", [False, True], ids=["plain", "langevin"])
def test_without_resampling_the_weights_are_those_of_the_paths(process, langevin, in_double_precision):
    sampler = barely_trained(process, langevin)
    draws = sample_sequentially(sampler, target(), 50, threshold=0.0, generator=seeded(), runs=1)
    ends, log_weights = sampler.sample(target(), 50, seeded())
    assert draws.resampled == 0
    torch.testing.assert_close(draws.ends, ends, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(draws.log_weights, log_weights, rtol=1e-12, atol=1e-12)
    relative = (log_weights - log_weights.logsumexp(0) + math.log(50)).exp()
    assert draws.log_evidence.std_error == pytest.approx(float(relative.std(correction=0)) / math.sqrt(50))


@every_process
@pytest.mark.parametrize("threshold", [0.95, 1.0])
@pytest.mark.parametrize("with_flow", [False, True], ids=["powers", "flow"])
def test_the_evidence_is_unbiased(process, threshold, with_flow, in_double_precision):
    """400 runs of 16 particles, three standard errors; a small population is where a bias would show."""
    size = process.sample_prior(1, 2, seeded()).shape[-1]
    flow = perturbed(StateFlow(size, width=8, forward_looking=threshold == 1.0), 0.15) if with_flow else None
    draws = sample_sequentially(barely_trained(process), target(), 16, threshold, seeded(), runs=400, flow=flow)
    estimates = draws.log_weights.reshape(400, 16).exp().mean(1) / math.exp(LOG_PARTITION)
    error = float(estimates.std()) / math.sqrt(400)
    assert draws.resampled > 0 and error < 0.03
    assert abs(float(estimates.mean()) - 1) < 3 * error
    assert draws.log_evidence.value == pytest.approx(LOG_PARTITION + math.log(float(estimates.mean())))
    assert draws.log_evidence.std_error == pytest.approx(error / float(estimates.mean()))


def test_paths_that_leave_the_support_may_come_back(in_double_precision):
    """Log R is -inf on a half plane that paths cross; 400 runs of 16 particles, three standard errors."""
    half = DensityTarget(
        lambda x: torch.where(x[:, 0] > 0.5, -0.5 * x.square().sum(-1), -torch.inf), 2, dtype=torch.float64
    )
    exact = 2 * math.pi * float(torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(-0.5)))
    draws = sample_sequentially(barely_trained(OrnsteinUhlenbeck(4)), half, 16, 1.0, seeded(), runs=400)
    estimates = draws.log_weights.reshape(400, 16).exp().mean(1)
    assert draws.resampled > 0.5
    assert abs(float(estimates.mean()) - exact) < 3 * float(estimates.std()) / math.sqrt(400)


def test_weighted_ends_follow_the_target(in_double_precision):
    """Means within five standard errors of the effective number of draws."""
    draws = sample_sequentially(barely_trained(OrnsteinUhlenbeck(8)), target(), 4_000, 0.5, seeded(), runs=2)
    weights = draws.log_weights.softmax(0)
    size = float(effective_sample_size(draws.log_weights)) / 4
    mean = (weights[:, None] * draws.ends).sum(0)
    assert (mean - torch.tensor([0.4, -0.3])).abs().max() < 5 * math.sqrt(0.7 / size)


def test_the_family_error_is_that_between_runs(in_double_precision):
    """100 runs: the average of their own squared errors against the variance between them, within a factor of two."""
    sampler = barely_trained(OrnsteinUhlenbeck(6))
    between = sample_sequentially(sampler, target(), 200, 0.9, seeded(), runs=100)
    within = [sample_sequentially(sampler, target(), 200, 0.9, seeded(seed), runs=1) for seed in range(10)]
    error = torch.tensor([single.log_evidence.std_error for single in within]).square().mean().sqrt()
    assert between.resampled > 0.5
    assert 0.5 < float(error) / (between.log_evidence.std_error * 10) < 2.0


@pytest.mark.parametrize(("langevin", "threshold", "calls"), [(False, 0.0, 3), (False, 0.5, 12), (True, 0.5, 15)])
def test_the_target_is_called_once_a_step_that_needs_it(langevin, threshold, calls):
    """Three runs: 3·1, 3·4 and 3·5 calls a particle, and a pilot of 256 where there is resampling."""
    counted = gaussian([1.0, -0.7], [[0.3, 0.1], [0.1, 0.2]])
    sample_sequentially(barely_trained(OrnsteinUhlenbeck(4), langevin), counted, 10, threshold, runs=3)
    assert counted.calls == 10 * calls + (256 * 5 if threshold else 0)


def test_a_flow_that_does_not_look_forward_costs_no_target_call():
    counted = gaussian([1.0, -0.7], [[0.3, 0.1], [0.1, 0.2]])
    sample_sequentially(barely_trained(OrnsteinUhlenbeck(4)), counted, 10, runs=3, flow=StateFlow(2))
    assert counted.calls == 30


def test_impossible_arguments_are_refused_by_name():
    sampler = barely_trained(OrnsteinUhlenbeck(4))
    with pytest.raises(ValueError, match="threshold=2.0"):
        sample_sequentially(sampler, target(), 10, threshold=2.0)
    with pytest.raises(ValueError, match="runs=0"):
        sample_sequentially(sampler, target(), 10, runs=0)
