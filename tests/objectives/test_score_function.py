"""The score function has the slope of reverse KL on average, with a baseline that leaves each path out."""

from dataclasses import replace

import torch

from amortized.objectives import ReverseKL, ScoreFunction
from amortized.path import ScoredPath, log_probs
from amortized.processes import OrnsteinUhlenbeck
from amortized.simulation import rollout
from tests.known import gaussian, network, seeded
from tests.objectives.test_trajectory_balance import weighing


def apart(log_weights: list[float]) -> ScoredPath:
    """Forward kernels with a tensor of their own, to ask for its slope."""
    path = weighing(log_weights)
    return replace(path, log_forward=torch.zeros(1, len(log_weights), requires_grad=True))


def test_each_path_is_compared_with_the_mean_of_the_others():
    path = apart([1.0, 2.0, 6.0, -torch.inf])
    loss = ScoreFunction()(path)
    (slope,) = torch.autograd.grad(loss.sum(), path.log_forward)
    assert loss.tolist() == [-1.0, -2.0, -6.0, 0.0]
    assert slope.tolist() == [[3.0, 1.5, -4.5, 0.0]]


def test_a_path_alone_has_no_slope():
    path = apart([3.0])
    assert torch.autograd.grad(ScoreFunction()(path).sum(), path.log_forward)[0].tolist() == [[0.0]]


def test_noising_that_is_learned_has_the_slope_of_the_bound():
    """The log weight itself holds log P_B: a slope of −1 for each path that has a weight, whatever the others'."""
    path = weighing([1.0, 2.0, 6.0, -torch.inf])
    path = replace(path, log_backward=torch.zeros(1, 4, requires_grad=True))
    (slope,) = torch.autograd.grad(ScoreFunction()(path).sum(), path.log_backward)
    assert slope.tolist() == [[-1.0, -1.0, -1.0, 0.0]]


def test_its_mean_gradient_is_that_of_reverse_kl(in_double_precision):
    """40 batches of 500 paths each way; the difference of the means within 4 of its own standard errors."""
    process, policy = OrnsteinUhlenbeck(3), network(1, 0.2, depth=1)
    target, generator = gaussian([0.7], [[0.5]]), seeded()
    gradients = {ReverseKL: [], ScoreFunction: []}
    for _ in range(40):
        for objective_class, found in gradients.items():
            objective = objective_class()
            with torch.set_grad_enabled(objective.differentiates_rollout):
                path = rollout(process, policy, target, 500, generator)
            path = path if objective.differentiates_rollout else log_probs(process, policy, path)
            (slope,) = torch.autograd.grad(objective(path).mean(), policy.shift.bias)
            found.append(slope)
    through, around = torch.stack(gradients[ReverseKL]), torch.stack(gradients[ScoreFunction])
    error = ((through.var(0) + around.var(0)) / 40).sqrt()
    assert through.mean(0).abs() > 10 * error
    assert (through.mean(0) - around.mean(0)).abs() < 4 * error
