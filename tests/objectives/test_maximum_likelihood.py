"""Regression on bridges is maximum likelihood on whole noised paths, in expectation and up to a constant."""

import math

import pytest
import torch

from amortized.objectives import MaximumLikelihood
from amortized.objectives.maximum_likelihood import bridge_regression
from amortized.path import States, kernel, log_probs
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from amortized.processes.transitions import log_normal
from amortized.simulation import reverse_rollout
from tests.known import gaussian, network, seeded

every_process = pytest.mark.parametrize("process_class", [OrnsteinUhlenbeck, PinnedBrownian])


def test_an_unscored_path_is_refused():
    with pytest.raises(AttributeError, match="path = log_probs"):
        MaximumLikelihood()(States(torch.zeros(2, 1, 1), torch.zeros(1)))


@pytest.mark.parametrize("langevin", [False, True], ids=["plain", "langevin"])
@every_process
def test_both_have_the_same_gradient(process_class, langevin, in_double_precision):
    """Gradients of the last biases in 100 batches of 200 paths each: four standard errors of the mean difference."""
    process, policy = process_class(4), network(1, 0.3, depth=1, langevin=langevin)
    target = gaussian([0.7], [[0.4]])
    heads = [policy.shift.bias, policy.log_variance.bias]
    generator, differences = seeded(), []
    for _ in range(100):
        ends = 0.7 + math.sqrt(0.4) * torch.randn(200, 1, generator=generator)
        paths = reverse_rollout(process, policy, target, ends, torch.zeros(200), generator)
        whole = MaximumLikelihood()(log_probs(process, policy, paths)).mean()
        single = bridge_regression(process, policy, target, ends, generator).mean()
        gradients = [torch.cat(torch.autograd.grad(loss, heads)) for loss in (whole, single)]
        differences.append(torch.stack([gradients[0] - gradients[1], gradients[0]]))
    difference, gradient = torch.stack(differences).unbind(1)
    error = difference.std(0) / math.sqrt(100)
    assert (gradient.mean(0).abs() > 10 * error).any(), "too noisy to tell"
    assert (difference.mean(0).abs() < 4 * error).all()


@every_process
def test_the_next_state_is_integrated_out_exactly(process_class, in_double_precision):
    """−log P_F is quadratic in x_{k+1}, so the mean of the points one deviation to either side is exact."""
    process, policy, steps = process_class(4), network(1, 0.3, depth=1), 4
    ends = torch.randn(50, 1, generator=seeded(1))
    generator = seeded(2)
    k = torch.randint(steps, (50,), generator=generator)
    x = process.noised(k, ends, generator)
    mean, std = kernel(process, policy, k, x, None)
    centre, variance = process.bridge_forward(k, x, ends)
    sides = [log_normal(centre + sign * variance.sqrt(), mean, std) for sign in (-1, 1)]
    expected = -steps * (0.5 * (sides[0] + sides[1]) + 0.5 * math.log(2 * math.pi))
    torch.testing.assert_close(bridge_regression(process, policy, gaussian([0.0], [[1.0]]), ends, seeded(2)), expected)


@every_process
def test_the_gap_between_them_is_a_constant(process_class, in_double_precision):
    """Two policies differ by the same loss: 50 000 paths, four standard errors."""
    process, count = process_class(4), 50_000
    target = gaussian([0.7], [[0.4]])
    ends = 0.7 + math.sqrt(0.4) * torch.randn(count, 1, generator=seeded(1))
    paths = process.bridge(ends, seeded(2))
    gains = []
    with torch.no_grad():
        for policy in (network(1), network(1, 0.6, depth=1)):
            whole = MaximumLikelihood()(log_probs(process, policy, States(paths, torch.zeros(count))))
            gains.append((whole, bridge_regression(process, policy, target, ends, seeded(3))))
    first, second = (one - two for one, two in zip(*gains, strict=True))
    error = math.sqrt(float(first.var() + second.var()) / count)
    assert abs(float(first.mean())) > 10 * error, "too noisy to tell"
    assert abs(float(first.mean() - second.mean())) < 4 * error


def test_a_policy_without_langevin_costs_no_target_call():
    target = gaussian([0.7], [[0.4]])
    for langevin, calls in ((False, 0), (True, 8)):
        bridge_regression(OrnsteinUhlenbeck(4), network(1, langevin=langevin), target, torch.randn(8, 1))
        assert target.calls == calls
