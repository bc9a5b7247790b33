"""Detailed balance is the mean over steps of what the flow loses or gains."""

from dataclasses import replace

import torch

from amortized.objectives import DetailedBalance
from amortized.path import ScoredPath
from amortized.processes import OrnsteinUhlenbeck
from amortized.simulation import rollout
from tests.known import gaussian, network, perturbed, seeded


def strayed(steps: int = 4, batch: int = 5) -> ScoredPath:
    process, target = OrnsteinUhlenbeck(steps), gaussian([1.0, 0.0], [[0.5, 0.0], [0.0, 2.0]])
    with torch.no_grad():
        return rollout(process, network(2, 0.3), target, batch, seeded())


def test_the_loss_is_the_mean_of_the_squares_of_the_steps(in_double_precision):
    path, objective = strayed(), perturbed(DetailedBalance(2, delta=1e6), 0.2)
    steps = path.log_forward - path.log_backward
    log_flow = objective.log_partition + path.log_marginal + objective.flow.correction(path.features, path.times)
    log_flow = torch.stack([objective.log_partition + path.log_prior, *log_flow[1:], path.log_target])
    expected = (log_flow[:-1] + steps - log_flow[1:]).square().mean(0)
    torch.testing.assert_close(objective(path), expected)


def test_far_off_a_step_counts_linearly(in_double_precision):
    """A shift of one end by c: the last step alone sees it, and 2 δ c / K is added once it is far."""
    path, objective = strayed(), DetailedBalance(2, delta=1.0)
    losses = [objective(replace(path, log_target=path.log_target + far)) for far in (1000.0, 1100.0)]
    torch.testing.assert_close(losses[1] - losses[0], torch.full((5,), 2 * 100.0 / 4))
