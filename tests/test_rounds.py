"""Rounds start from the same policy and keep what the objective knows."""

import pytest
import torch

from amortized._types import TrainingStep
from amortized.behaviours import Alternate, OnPolicy, Replay, ReplayBuffer
from amortized.objectives import TrajectoryBalance
from amortized.processes import OrnsteinUhlenbeck
from amortized.rounds import fit_in_rounds
from tests.known import gaussian, network, seeded


def test_the_policy_starts_anew_and_log_z_goes_on():
    target, policy, objective = gaussian([0.5, -0.5], [[0.6, 0.1], [0.1, 0.7]], 3.0), network(2), TrajectoryBalance()
    buffer, seen = ReplayBuffer(2), []

    def watch(step: TrainingStep) -> bool:
        bias = step.parts["policy"].shift.bias.detach().abs().max()
        seen.append((step.number, float(bias), float(objective.log_partition.detach())))
        return False

    parts = OrnsteinUhlenbeck(4), policy, target, objective, Alternate(OnPolicy(), Replay(buffer))
    fit_in_rounds(2, *parts, steps=40, batch=64, callbacks=[watch], generator=seeded())
    (_, first_bias, start), (_, last_bias, last), (number, again, kept) = seen[0], seen[39], seen[40]
    assert number == 1 and len(seen) == 80
    assert first_bias == pytest.approx(again, rel=1e-3) and again < last_bias
    assert abs(kept - last) < 0.5 and abs(kept - 3.0) < 0.5 and abs(start - 3.0) > abs(last - 3.0)
    assert len(buffer) == 2 * 20 * 64
    assert torch.isfinite(torch.tensor(seen)).all()


def test_no_round_is_refused():
    with pytest.raises(ValueError, match="rounds=0"):
        fit_in_rounds(0, OrnsteinUhlenbeck(2), network(1), gaussian([0.0], [[1.0]]), TrajectoryBalance(), OnPolicy())


def test_a_callback_that_stops_ends_all_rounds_and_keeps_the_policy():
    policy, steps = network(2), []

    def stop(step: TrainingStep) -> bool:
        steps.append(step.number)
        return step.number == 20

    parts = OrnsteinUhlenbeck(4), policy, gaussian([0.5, -0.5], [[0.6, 0.1], [0.1, 0.7]]), TrajectoryBalance()
    fit_in_rounds(3, *parts, OnPolicy(), steps=30, batch=32, callbacks=[stop], generator=seeded())
    assert steps == list(range(1, 21))
    assert policy.shift.bias.abs().max() > 1e-3
