"""Rollouts record the densities that scoring finds; a gradient through the simulation is the slope of its loss."""

import dataclasses
import math

import pytest
import torch

from amortized._types import Control
from amortized.path import (
    STATES_IN_MEMORY,
    ScoredPath,
    States,
    kernel,
    log_probs,
    paths_at_once,
    read,
    with_log_targets,
    with_scores,
)
from amortized.policies import Policy
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian, Underdamped
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.transitions import log_normal
from amortized.simulation import reverse_rollout, rollout
from amortized.targets.callable import DensityTarget
from tests.known import Located, SameFeatures, gaussian, network, seeded, steering

DIM, STEPS, BATCH = 2, 5, 6
REFERENCE = MixtureReference(
    torch.tensor([0.4, 0.6]), torch.tensor([[-1.0, 0.0], [1.0, 0.5]]), torch.stack([torch.eye(2), 0.5 * torch.eye(2)])
)
PROCESSES = [OrnsteinUhlenbeck(STEPS, 1.3), PinnedBrownian(STEPS, 1.3), OrnsteinUhlenbeck(STEPS, reference=REFERENCE)]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=["ou", "brownian", "mixture"])


def target() -> DensityTarget:
    return gaussian([1.0, -1.0], [[0.5, 0.2], [0.2, 1.5]], log_partition=2.0)


def log_weight_by_hand(process, policy, path: ScoredPath) -> torch.Tensor:
    """The equation at the head of path.py, a path and a step at a time."""
    total = path.log_target.clone()
    for b in range(path.states.shape[1]):
        total[b] -= process.log_prior(path.states[0, b][None])[0]
        for k in range(process.steps):
            x, y = path.states[k, b][None], path.states[k + 1, b][None]
            visited = None if path.scores is None else path.scores[k, b][None]
            total[b] += log_normal(x, *process.backward(k, y))[0]
            total[b] -= log_normal(y, *kernel(process, policy, k, x, visited))[0]
    return total


@pytest.mark.parametrize("inflation", [1.0, 1.7])
@pytest.mark.parametrize("langevin", [False, True])
@every_process
def test_scoring_finds_what_the_rollout_recorded(process, langevin, inflation, in_double_precision):
    policy = network(DIM, 0.2, langevin=langevin)
    path = rollout(process, policy, target(), BATCH, seeded(), inflation)
    again = log_probs(process, policy, States(path.states, path.log_target, path.scores))
    for name in ("log_prior", "log_forward", "log_backward", "log_weight"):
        torch.testing.assert_close(getattr(path, name), getattr(again, name), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(path.log_weight, log_weight_by_hand(process, policy, path), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(path.log_target, target().log_prob(path.ends))


@every_process
def test_inflation_widens_the_steps_by_its_factor(process, in_double_precision):
    """The residuals in units of the policy's own deviation have the inflation as theirs: 20 000 draws, five errors."""
    policy = network(DIM, 0.2).requires_grad_(False)
    path = rollout(process, policy, target(), 10_000, seeded(), inflation=1.5)
    for k in range(STEPS):
        mean, std = kernel(process, policy, k, path.states[k], None)
        spread = ((path.states[k + 1] - mean) / std).std()
        assert abs(float(spread) / 1.5 - 1) < 5 / math.sqrt(2 * 20_000)


@pytest.mark.parametrize("langevin", [False, True])
@every_process
def test_a_reverse_rollout_ends_where_it_was_told(process, langevin, in_double_precision):
    policy, ends = network(DIM, 0.2, langevin=langevin), torch.randn(BATCH, DIM)
    path = reverse_rollout(process, policy, target(), ends, target().log_prob(ends), seeded())
    assert path.states.shape == (STEPS + 1, BATCH, DIM)
    assert torch.equal(path.ends, ends)
    assert torch.equal(path.states, process.bridge(ends, seeded()))
    scored = log_probs(process, policy, path)
    torch.testing.assert_close(scored.log_weight, log_weight_by_hand(process, policy, scored), rtol=1e-10, atol=1e-10)
    if langevin:
        for k in range(STEPS):
            torch.testing.assert_close(path.scores[k], target().log_prob_and_score(path.states[k])[1])


@every_process
def test_the_gradient_through_the_simulation_is_the_slope_of_the_bound(process, in_double_precision):
    """Reverse KL on eight paths of a fixed seed; central differences of step 1e-5 along five directions."""
    policy = network(DIM, 0.2, depth=1)
    weights = list(policy.parameters())

    def loss() -> torch.Tensor:
        return -rollout(process, policy, quartic, 8, seeded()).log_weight.mean()

    quartic = DensityTarget(lambda x: -(0.1 * x**4 + 0.3 * x.square() - x).sum(-1), DIM, dtype=torch.float64)
    gradients = torch.autograd.grad(loss(), weights)
    for seed in range(5):
        generator = seeded(seed)
        directions = [torch.randn(weight.shape, generator=generator) for weight in weights]
        values = []
        with torch.no_grad():
            for shift in (1e-5, -2e-5, 1e-5):
                for weight, direction in zip(weights, directions, strict=True):
                    weight += shift * direction
                values.append(float(loss()))
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
        assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7)


@every_process
def test_the_policy_is_told_features_time_and_shift(process):
    """At step k: x in units of the reference, t_k, and the reference's deviation times the gap between the scores."""
    told = []

    class Recording(Policy):
        def forward(self, x, t, langevin=None, context=None) -> Control:
            told.append((x, t, langevin, context))
            return Control(torch.zeros_like(x), 0.0)

    x, gradient, context = torch.randn(BATCH, DIM), torch.randn(BATCH, DIM), torch.randn(BATCH, 3)
    for k in range(STEPS):
        kernel(process, Recording(), k, x, gradient, context)
        features, t, langevin, condition = told[-1]
        assert t.shape == (1, 1) and t.item() == pytest.approx(k / STEPS)
        assert torch.equal(features, process.features(k, x)) and condition is context
        assert torch.equal(langevin, process.langevin(x, gradient, process.belief(k, x)))
        kernel(process, Recording(), k, x, None)
        assert told[-1][2] is None


def test_ends_need_not_be_evaluated():
    calls = target()
    path = rollout(PROCESSES[0], network(DIM), calls, BATCH, evaluate_ends=False)
    assert calls.calls == 0
    assert (path.log_target == 0).all()
    torch.testing.assert_close(path.log_weight, -path.log_proposal)


@pytest.mark.parametrize(("langevin", "calls"), [(False, BATCH), (True, BATCH * (STEPS + 1))])
def test_a_rollout_calls_the_target_once_a_visit(langevin, calls):
    counted = target()
    rollout(PROCESSES[0], network(DIM, langevin=langevin), counted, BATCH)
    assert counted.calls == calls


def test_the_same_seed_walks_the_same_path():
    policy = network(DIM, 0.2)
    one, two, other = (rollout(PROCESSES[0], policy, target(), BATCH, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.states, two.states) and torch.equal(one.log_weight, two.log_weight)
    assert not torch.equal(one.states, other.states)


def shown(*rows: list[float]) -> Located:
    return Located(torch.tensor(rows), indices=torch.arange(len(rows)))


@pytest.mark.parametrize("langevin", [False, True])
@every_process
def test_a_context_reaches_the_policy_at_every_step(process, langevin, in_double_precision):
    """Row i of a batch is a path of context i mod M, as that context alone would have it."""
    target = shown([0.0, 0.0], [1.0, -1.0], [2.0, 0.5])
    policy = network(DIM, 0.2, langevin=langevin, embedding=SameFeatures(DIM))
    path = rollout(process, policy, target, BATCH, seeded())
    assert torch.equal(path.context, target.context) and torch.equal(path.indices, target.indices)
    torch.testing.assert_close(path.log_target, target.log_prob(path.ends))
    again = log_probs(process, policy, path)
    torch.testing.assert_close(again.log_weight, path.log_weight, rtol=1e-10, atol=1e-10)
    for m in range(3):
        scores = None if path.scores is None else path.scores[:, m::3]
        alone = States(path.states[:, m::3], path.log_target[m::3], scores, context=target.context[m : m + 1])
        torch.testing.assert_close(log_probs(process, policy, alone).log_forward, path.log_forward[:, m::3])
    turned = log_probs(process, policy, dataclasses.replace(path, context=target.context.roll(1, 0)))
    assert not torch.allclose(turned.log_forward, path.log_forward)


@pytest.mark.parametrize("langevin", [False, True])
def test_noised_ends_keep_their_context(langevin, in_double_precision):
    target = shown([0.0, 0.0], [1.0, -1.0], [2.0, 0.5])
    policy = network(DIM, 0.2, langevin=langevin, embedding=SameFeatures(DIM))
    ends = torch.randn(BATCH, DIM)
    path = reverse_rollout(PROCESSES[0], policy, target, ends, target.log_prob(ends), seeded())
    assert torch.equal(path.context, target.context) and torch.equal(path.indices, target.indices)
    if langevin:
        for m in range(3):
            places = path.states[:-1, m::3].reshape(-1, DIM)
            expected = target.at(m).log_prob_and_score(places)[1].reshape(STEPS, -1, DIM)
            torch.testing.assert_close(path.scores[:, m::3], expected)
            known = with_log_targets(PROCESSES[0], target, path)
            torch.testing.assert_close(known.log_targets[:, m::3].flatten(), target.at(m).log_prob(places))


def test_each_context_is_read_once():
    read_rows = []

    class Reading(SameFeatures):
        def forward(self, context):
            read_rows.append(len(context))
            return super().forward(context)

    target, policy = shown([0.0, 0.0], [1.0, -1.0], [2.0, 0.5]), network(DIM, embedding=Reading(DIM))
    path = rollout(PROCESSES[0], policy, target, BATCH)
    log_probs(PROCESSES[0], policy, path)
    assert read_rows == [3, 3]
    assert read(policy, None, BATCH) is None
    assert torch.equal(read(policy, target.context, BATCH), target.context.repeat(2, 1))


def test_values_stand_in_a_column_for_each_context():
    path = States(torch.zeros(2, 6, 1), torch.arange(6.0))
    assert path.by_context(path.log_target).shape == (6, 1)
    several = dataclasses.replace(path, context=torch.zeros(3, 1))
    assert several.by_context(path.log_target).tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert several.by_context(torch.zeros(4, 6)).shape == (4, 2, 3)


@pytest.mark.parametrize("langevin", [False, True])
@every_process
def test_the_mean_weight_is_each_contexts_own_z(process, langevin):
    """Three standard errors of 20 000 weights for each context; policies fresh, and perturbed with a context to see."""
    target = Located(torch.tensor([[0.0, 0.0], [0.6, -0.9], [-0.5, 1.0]]), 0.8)
    for spread in (0.0, 0.05):
        policy = network(DIM, spread, depth=1, langevin=langevin, embedding=SameFeatures(DIM))
        with torch.no_grad():
            path = rollout(process, policy, target, 60_000, seeded())
        relative = (path.by_context(path.log_weight) - target.log_partitions).exp()
        error = relative.std(0) / math.sqrt(20_000)
        assert error.max() < 0.1
        assert ((relative.mean(0) - 1).abs() < 3 * error).all(), (relative.mean(0) - 1) / error


def test_weights_are_summed_in_double_precision():
    path = rollout(PROCESSES[0], network(DIM), target(), BATCH)
    assert path.states.dtype == torch.float32
    assert path.log_weight.dtype == path.log_proposal.dtype == path.log_target.dtype == torch.float64


def test_an_unscored_path_says_how_to_score_it():
    path = States(states=torch.zeros(2, 1, 1), log_target=torch.zeros(1))
    with pytest.raises(AttributeError, match=r"path = log_probs\(process, policy, path\)"):
        _ = path.log_weight


def test_an_underdamped_path_knows_its_target_variables(in_double_precision):
    process = Underdamped(STEPS, 1.3)
    path = rollout(process, steering(process, DIM, 0.2), target(), BATCH, seeded())
    assert path.dim == DIM and path.states.shape == (STEPS + 1, BATCH, 2 * DIM)
    assert torch.equal(path.ends, path.states[-1][:, :DIM])
    torch.testing.assert_close(path.log_target, target().log_prob(path.ends))
    plain = rollout(PROCESSES[0], network(DIM), target(), BATCH, seeded())
    assert torch.equal(plain.ends, plain.states[-1])


@every_process
def test_a_scored_path_carries_what_flows_read(process, in_double_precision):
    path = rollout(process, network(DIM, 0.2), target(), BATCH, seeded())
    assert path.features is not None and path.log_marginal is not None and path.times is not None
    assert path.log_prior is not None
    assert torch.equal(path.times, process.times[:-1])
    for k in range(STEPS):
        torch.testing.assert_close(path.features[k], process.features(k, path.states[k]))
        torch.testing.assert_close(path.log_marginal[k], process.log_marginal(k, path.states[k]))
    assert torch.equal(path.log_prior, process.log_boundary(path.states[0], path.states[-1]))


@every_process
@pytest.mark.parametrize("langevin", [False, True])
def test_log_targets_are_those_before_each_step_and_called_for_once(process, langevin):
    counted, policy = target(), network(DIM, 0.2, langevin=langevin)
    path = rollout(process, policy, counted, BATCH, seeded())
    before = counted.calls
    known = with_log_targets(process, counted, path)
    assert counted.calls - before == (0 if langevin else STEPS * BATCH)
    assert with_log_targets(process, counted, known) is known
    assert known.log_targets is not None and known.log_targets.dtype == torch.float64
    expected = target().log_prob(path.states[:-1].reshape(-1, DIM)).double().reshape(STEPS, BATCH)
    torch.testing.assert_close(known.log_targets, expected, rtol=1e-4, atol=1e-4)


def test_scores_bring_the_log_targets_along():
    counted = target()
    path = with_scores(PROCESSES[0], counted, States(PROCESSES[0].bridge(torch.randn(BATCH, DIM)), torch.zeros(BATCH)))
    assert counted.calls == STEPS * BATCH
    assert path.scores is not None and path.scores.shape == (STEPS, BATCH, DIM)
    assert path.log_targets is not None and path.log_targets.shape == (STEPS, BATCH)


@pytest.mark.parametrize("steps", [1, 9, 99])
def test_paths_at_once_fill_the_memory_with_all_of_their_states(steps):
    held = paths_at_once(OrnsteinUhlenbeck(steps), 5) * (steps + 1) * 5
    assert 0.99 * STATES_IN_MEMORY < held <= STATES_IN_MEMORY
