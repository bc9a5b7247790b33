"""Bridges with scores have the gradient of plain bridges in expectation, and far less noise."""

import math

import pytest
import torch

from amortized.objectives.maximum_likelihood import bridge_regression
from amortized.objectives.scored_bridges import ScoredBridges
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from amortized.processes.transitions import StudentT
from tests.known import gaussian, network, seeded

every_process = pytest.mark.parametrize("process_class", [OrnsteinUhlenbeck, PinnedBrownian])
BATCHES, ROWS = 100, 100


def gradients(process, policy, target, seed: int, quiet: bool) -> torch.Tensor:
    """Of both heads' biases, a row for each batch of draws of N(0.7, 0.4)."""
    heads, generator = [policy.shift.bias, policy.log_variance.bias], seeded(seed)
    bridges, rows = ScoredBridges(process, policy, target), []
    for batch in range(BATCHES + 20):
        ends = 0.7 + math.sqrt(0.4) * torch.randn(ROWS, 1, generator=generator)
        if quiet:
            loss = bridges(ends, (0.7 - ends) / 0.4, generator).mean()
        else:
            loss = bridge_regression(process, policy, target, ends, generator).mean()
        if batch >= 20:  # the coefficients have settled
            rows.append(torch.cat(torch.autograd.grad(loss, heads)))
    return torch.stack(rows)


@every_process
def test_the_gradient_is_that_of_plain_bridges(process_class, in_double_precision):
    """Four standard errors of the difference of two means of 100 batches."""
    process, policy, target = process_class(4), network(1, 0.3, depth=1), gaussian([0.7], [[0.4]])
    plain, quiet = (gradients(process, policy, target, 1 + kind, bool(kind)) for kind in range(2))
    error = ((plain.var(0) + quiet.var(0)) / BATCHES).sqrt()
    assert (plain.mean(0).abs() > 10 * error).any(), "too noisy to tell"
    assert ((plain.mean(0) - quiet.mean(0)).abs() < 4 * error).all()
    assert float(quiet.var(0)[0]) < 0.7 * float(plain.var(0)[0])


def test_the_value_is_that_of_plain_bridges(in_double_precision):
    process, policy, target = OrnsteinUhlenbeck(4), network(1, 0.3, depth=1), gaussian([0.7], [[0.4]])
    ends, bridges = torch.randn(50, 1, generator=seeded(1)), ScoredBridges(process, policy, target)
    bridges(ends, -ends, seeded(4))
    expected = bridge_regression(process, policy, target, ends, seeded(2))
    torch.testing.assert_close(bridges(ends, -ends, seeded(2)), expected)


def test_a_target_that_is_the_reference_leaves_no_noise(in_double_precision):
    """The reference's mean needs no correction, so that every residual of the shift is 0 at α = 1."""
    process, policy, target = OrnsteinUhlenbeck(8), network(1), gaussian([0.0], [[1.0]])
    bridges, generator = ScoredBridges(process, policy, target), seeded()
    for _ in range(50):
        ends = torch.randn(500, 1, generator=generator)
        loss = bridges(ends, -ends, generator).mean()
    (gradient,) = torch.autograd.grad(loss, policy.shift.bias)
    torch.testing.assert_close(bridges.coefficients, torch.ones(8, 1), atol=1e-9, rtol=0)
    assert float(gradient.abs()) < 1e-9


def test_scores_that_say_nothing_are_not_used(in_double_precision):
    """Noise of std 30 in place of scores: α n² 30 is no more than the residual's own size, so α is about 1 / 900 n²."""
    process, policy, generator = OrnsteinUhlenbeck(8), network(1), seeded()
    bridges = ScoredBridges(process, policy, gaussian([0.0], [[1.0]]))
    for _ in range(50):
        ends = torch.randn(500, 1, generator=generator)
        bridges(ends, 30 * torch.randn(500, 1, generator=generator), generator)
    assert float(bridges.coefficients[:4].max()) < 0.1


@pytest.mark.parametrize("langevin", [False, True], ids=["plain", "langevin"])
def test_the_density_is_asked_only_by_a_policy_that_reads_it(langevin):
    target = gaussian([0.7], [[0.4]])
    bridges = ScoredBridges(OrnsteinUhlenbeck(4), network(1, langevin=langevin), target)
    bridges(torch.randn(8, 1), torch.randn(8, 1))
    assert target.calls == (8 if langevin else 0)


def test_other_transitions_are_refused():
    with pytest.raises(ValueError, match="Gaussian transition"):
        ScoredBridges(OrnsteinUhlenbeck(4, transition=StudentT()), network(1), gaussian([0.7], [[0.4]]))
