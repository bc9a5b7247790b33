"""The lean form of the perceptron: the same controls, and the slopes that one forward pass gives."""

import copy
import dataclasses

import pytest
import torch

from amortized.objectives import LogVariance, SubTrajectoryBalance
from amortized.path import log_probs
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian, Underdamped
from amortized.processes.mixture_reference import MixtureReference
from amortized.simulation import simulate
from tests.known import SameFeatures, gaussian, network, seeded, steering

X, T = torch.linspace(-2, 2, 10).reshape(5, 2), torch.linspace(0, 1, 5)[:, None]
PROCESSES = [PinnedBrownian(6), OrnsteinUhlenbeck(6), Underdamped(6)]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)


@pytest.mark.parametrize("learned_variance", [False, True])
@pytest.mark.parametrize("tempered", [None, False, True], ids=["plain", "langevin", "tempered"])
@pytest.mark.parametrize("contexts", [False, True])
def test_at_fixed_times_it_is_the_same_network(learned_variance, tempered, contexts, in_double_precision):
    embedding = SameFeatures(1) if contexts else None
    options = {"learned_variance": learned_variance, "langevin": tempered is not None, "tempered": bool(tempered)}
    policy = network(2, 0.3, embedding=embedding, **options)
    x, t = X.double(), T.double()
    langevin = None if tempered is None else 2.0 * x
    context = torch.full((5, 1), 0.7) if contexts else None
    with torch.no_grad():
        steer = policy.at(t[:, 0])
        for k in range(len(t)):
            lean, whole = steer(k, x, langevin, context), policy(x, t[k : k + 1], langevin, context)
            torch.testing.assert_close(lean.shift, whole.shift, rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(torch.as_tensor(lean.log_variance), torch.as_tensor(whole.log_variance))


def target():
    return gaussian([1.0, -1.0], [[0.5, 0.2], [0.2, 1.5]], log_partition=2.0)


@every_process
@pytest.mark.parametrize("langevin", [False, True])
@pytest.mark.parametrize("learned_variance", [False, True])
@pytest.mark.parametrize("objective", [LogVariance(), SubTrajectoryBalance(2)], ids=["vargrad", "subtb"])
def test_what_is_recalled_has_the_slopes_of_scoring(
    process, langevin, learned_variance, objective, in_double_precision
):
    if isinstance(objective, SubTrajectoryBalance) and isinstance(process, Underdamped):
        objective = SubTrajectoryBalance(4)
    policy = steering(process, 2, 0.2, langevin=langevin, learned_variance=learned_variance)
    objective = objective.double()
    weights = list(policy.parameters())
    path = simulate(process, policy, target(), 7, seeded(), 1.2, record=True)
    recalled, scored = log_probs(process, policy, path), log_probs(process, policy, plain(path))
    torch.testing.assert_close(recalled.log_weight, scored.log_weight, rtol=1e-10, atol=1e-10)
    slopes = [torch.autograd.grad(objective(each).mean(), weights) for each in (recalled, scored)]
    for mine, want in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, want, rtol=1e-8, atol=1e-10)
    assert any(bool(slope.abs().max() > 1e-3) for slope in slopes[1])


@pytest.mark.parametrize("process", PROCESSES[:2], ids=lambda process: type(process).__name__)
@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("tempered", [None, False, True], ids=["plain", "langevin", "tempered"])
def test_an_affine_walk_visits_the_states_of_single_steps(process, record, tempered, in_double_precision):
    """Scores of up to 100, so that some are clipped."""
    options = {"learned_variance": False, "langevin": tempered is not None, "tempered": bool(tempered)}
    policy = steering(process, 2, 0.2, **options)
    x, noise = process.sample_prior(7, 2, seeded()), torch.randn(6, 7, 2, generator=seeded(1))
    affine, asked = process.affine(x), []

    def score(x):
        asked.append(x.clone())
        return 30.0 * (1.0 - x)

    with torch.no_grad():
        walk = policy.at(process.times[:-1], record).walk(affine, x, noise, score)
        steer = policy.at(process.times[:-1])
        for k, drawn in enumerate(noise):
            belief = process.belief(k, x)
            langevin = None if tempered is None else process.langevin(x, 30.0 * (1.0 - x), belief)
            mean, std = process.forward(k, x, None, steer(k, process.features(k, x), langevin, None))
            if tempered is not None:
                torch.testing.assert_close(asked[k], x, rtol=1e-10, atol=1e-12)
            x = mean + std * drawn
            torch.testing.assert_close(walk[k + 1], x, rtol=1e-10, atol=1e-12)
    assert len(asked) == (0 if tempered is None else 6)


def test_steps_that_are_not_affine_are_walked_one_by_one():
    """Those of a mixture, of another state, and of a learned variance."""
    mixture = MixtureReference(torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None])
    assert OrnsteinUhlenbeck(6, reference=mixture).affine(X) is None and Underdamped(6).affine(X) is None
    affine, noise = PROCESSES[0].affine(X), torch.randn(6, 5, 2, generator=seeded())
    with torch.no_grad():
        steer = steering(PROCESSES[0], 2, 0.2, learned_variance=True).at(PROCESSES[0].times[:-1].float())
    assert steer.walk(affine, X, noise, lambda x: -x) is None


def test_a_large_batch_has_the_same_slopes_in_parts(monkeypatch, in_double_precision):
    process = PROCESSES[0]
    policy = steering(process, 2, 0.2, learned_variance=False)
    path = simulate(process, policy, target(), 7, seeded(), record=True)
    weights = list(policy.parameters())
    found = []
    for numbers in (10**6, 1, 2 * 7 * policy.shift.in_features):
        monkeypatch.setattr("amortized.policies.lean_mlp.IN_CACHE", numbers)
        found.append(torch.autograd.grad(LogVariance()(log_probs(process, policy, path)).mean(), weights))
    for parts in found[1:]:
        torch.testing.assert_close(parts, found[0], rtol=1e-10, atol=1e-12)


def plain(path):
    return dataclasses.replace(path, steering=None)


def test_a_policy_that_has_learned_since_is_asked_again(in_double_precision):
    process = PROCESSES[0]
    policy = steering(process, 2, 0.2)
    path = simulate(process, policy, target(), 7, seeded(), record=True)
    features = process.features(torch.arange(6), path.states[:-1])
    assert path.steering.recall(policy, features, None) is not None
    assert path.steering.recall(steering(process, 2, 0.2), features, None) is None
    with torch.no_grad():
        policy.shift.bias += 0.1
    assert path.steering.recall(policy, features, None) is None
    again, want = log_probs(process, policy, path), log_probs(process, policy, plain(path))
    torch.testing.assert_close(again.log_weight, want.log_weight)


def test_the_contexts_embedding_learns_by_scoring(in_double_precision):
    """A policy that reads contexts keeps nothing, since its embedding has slopes too."""
    policy = network(2, 0.3, embedding=SameFeatures(1))
    with torch.no_grad():
        lean = policy.at(T[:, 0].double(), record=True)
        lean(0, X.double(), None, torch.zeros(5, 1))
    assert lean.recall(policy, X.double().expand(5, 5, 2), None) is None


@pytest.mark.parametrize("tempered", [False, True])
def test_a_learned_reference_has_its_slopes_through_the_network_too(tempered, in_double_precision):
    """The network reads the score of the target less that of the reference; a recall would take it as a constant."""
    trils = torch.stack([torch.eye(2), 0.5 * torch.eye(2)])
    mixture = MixtureReference(torch.tensor([0.4, 0.6]), torch.tensor([[-1.0, 0.0], [1.0, 0.5]]), trils, learned=True)
    process = OrnsteinUhlenbeck(6, reference=mixture)
    policy = steering(process, 2, 0.2, langevin=True, tempered=tempered)
    path = simulate(process, policy, target(), 7, seeded(), record=True)
    weights = [*mixture.parameters(), *policy.parameters()]
    losses = [LogVariance()(log_probs(process, policy, each)).mean() for each in (path, plain(path))]
    mine, want = (torch.autograd.grad(loss, weights) for loss in losses)
    torch.testing.assert_close(mine, want, rtol=1e-8, atol=1e-10)


def through_data(policy):
    policy.shift.bias.data.add_(0.1)


def by_assignment(policy):
    policy.shift.bias.data = policy.shift.bias.data + 0.1


def by_another_module(policy):
    policy.shift = copy.deepcopy(policy.shift)
    policy.shift.bias.data.add_(0.1)


@pytest.mark.parametrize("change", [through_data, by_assignment, by_another_module])
def test_changes_that_torch_does_not_count_are_seen(change, in_double_precision):
    process = PROCESSES[0]
    policy = steering(process, 2, 0.2)
    path = simulate(process, policy, target(), 7, seeded(), record=True)
    change(policy)
    again, want = log_probs(process, policy, path), log_probs(process, policy, plain(path))
    torch.testing.assert_close(again.log_weight, want.log_weight)


def test_weights_that_change_before_the_backward_pass_raise():
    process = PROCESSES[0]
    policy = steering(process, 2, 0.2)
    loss = LogVariance()(log_probs(process, policy, simulate(process, policy, target(), 7, seeded(), record=True)))
    with torch.no_grad():
        for weight in policy.parameters():
            weight += 0.1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.mean().backward()
