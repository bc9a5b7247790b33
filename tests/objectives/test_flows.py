"""State flows: known ends, a start at the reference, and potentials that differ by the path's weight."""

from dataclasses import replace

import pytest
import torch

from amortized.objectives import StateFlow, SubTrajectoryBalance
from amortized.path import States, with_log_targets
from amortized.processes import OrnsteinUhlenbeck, Underdamped, VariancePreserving
from amortized.simulation import rollout
from tests.known import gaussian, isotropic, network, perturbed, seeded


@pytest.mark.parametrize("looking", [False, True])
@pytest.mark.parametrize("process_class", [OrnsteinUhlenbeck, Underdamped])
@torch.no_grad()
def test_the_last_less_the_first_is_the_log_weight_less_log_z(looking, process_class, in_double_precision):
    process, target = process_class(4), gaussian([1.0, 0.0], [[0.5, 0.0], [0.0, 2.0]])
    size = process.sample_prior(1, 2).shape[-1]
    path = with_log_targets(process, target, rollout(process, network(2, 0.3, state_dim=size), target, 6, seeded()))
    potential = perturbed(StateFlow(size, forward_looking=looking), 0.3)(path, torch.tensor(1.3))
    torch.testing.assert_close(potential[-1] - potential[0], path.log_weight - 1.3)


@pytest.mark.parametrize("process_class", [OrnsteinUhlenbeck, VariancePreserving])
@torch.no_grad()
def test_a_fresh_forward_looking_flow_is_exact_for_a_stationary_reference(process_class, in_double_precision):
    """Whose marginal is the target at every time, so that any power mean of the two is the flow itself."""
    process, target = process_class(5, 1.4), isotropic(2, 1.4, log_partition=0.7)
    path = with_log_targets(process, target, rollout(process, network(2), target, 6, seeded()))
    potential = StateFlow(2, forward_looking=True)(path, torch.tensor(0.7))
    torch.testing.assert_close(potential, potential[:1].expand_as(potential))
    objective = SubTrajectoryBalance(2, forward_looking=True)
    objective.initialise(path)
    torch.testing.assert_close(objective(path), torch.zeros(6))


@torch.no_grad()
def test_a_forward_looking_flow_looks_at_the_reference_first_and_at_the_target_last(in_double_precision):
    """``log F_k = (1 − t_k) log (Z marginal) + t_k log R`` for a fresh correction, less what the steps weigh so far."""
    process, target = OrnsteinUhlenbeck(4), gaussian([1.0, 0.0], [[0.5, 0.0], [0.0, 2.0]])
    path = with_log_targets(process, target, rollout(process, network(2, 0.3), target, 6, seeded()))
    potential = StateFlow(2, forward_looking=True)(path, torch.tensor(1.3))
    weighed = (path.log_forward - path.log_backward).cumsum(0)
    for k in range(1, 4):
        time = float(process.times[k])
        expected = (1 - time) * (1.3 + path.log_marginal[k]) + time * path.log_targets[k]
        torch.testing.assert_close(potential[k], expected - weighed[k - 1])


@torch.no_grad()
def test_a_state_without_density_is_unknown_alone_and_a_path_without_weight_altogether():
    process, target = OrnsteinUhlenbeck(3), isotropic(1)
    path = with_log_targets(process, target, rollout(process, network(1), target, 3, seeded()))
    log_targets, ends = path.log_targets.clone(), path.log_target.clone()
    log_targets[1, 0], ends[1] = -torch.inf, -torch.inf
    potential = StateFlow(1, forward_looking=True)(
        replace(path, log_targets=log_targets, log_target=ends), torch.tensor(0.0)
    )
    unknown = torch.tensor([[0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]], dtype=torch.bool)
    assert torch.equal(potential.isnan(), unknown)


def test_what_is_missing_is_named_with_the_line_to_write():
    with pytest.raises(AttributeError, match=r"path = log_probs\("):
        StateFlow(1)(States(torch.zeros(2, 1, 1), torch.zeros(1)), torch.tensor(0.0))
    process, target = OrnsteinUhlenbeck(3), isotropic(1)
    with pytest.raises(ValueError, match=r"path = with_log_targets\("):
        StateFlow(1, forward_looking=True)(rollout(process, network(1), target, 3), torch.tensor(0.0))
