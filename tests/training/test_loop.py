"""The training loop: what it refuses, what it learns, when it stops, what it survives."""

import math
from itertools import cycle

import pytest
import torch
from torch import nn

import amortized.behaviours
import amortized.objectives
import amortized.processes
from amortized._types import TrainingStep
from amortized.behaviours import Alternate, Behaviour, Exploration, Mixture, OnPolicy, Replay, ReplayBuffer, Sleep
from amortized.objectives import (
    LogVariance,
    MaximumLikelihood,
    Objective,
    ReverseKL,
    SubTrajectoryBalance,
    TrajectoryBalance,
)
from amortized.path import ScoredPath
from amortized.policies import Policy
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.base import Process
from amortized.processes.linear import LinearProcess
from amortized.simulation import rollout
from amortized.targets.callable import DensityTarget
from amortized.training.adam import EMA_DECAY, rate
from amortized.training.callbacks import History
from amortized.training.loop import Schedule, check_pair, draws_of, fit, fit_bridges, optimise
from tests.contracts.discovery import build, concrete_classes
from tests.known import gaussian, isotropic, network, seeded

OBJECTIVES = concrete_classes(amortized.objectives, Objective)
BEHAVIOURS = concrete_classes(amortized.behaviours, Behaviour)
PROCESSES = concrete_classes(amortized.processes, Process)
every_objective = pytest.mark.parametrize("objective_class", OBJECTIVES)
every_behaviour = pytest.mark.parametrize("behaviour_class", BEHAVIOURS)
every_process = pytest.mark.parametrize("process_class", PROCESSES)
MEAN, COVARIANCE = torch.tensor([0.8, -0.6]), torch.tensor([[0.5, 0.2], [0.2, 0.6]])
LOG_PARTITION = 2.0


def normal() -> DensityTarget:
    return gaussian(MEAN.tolist(), COVARIANCE, LOG_PARTITION)


def remembered(count: int = 4000) -> ReplayBuffer:
    ends = MEAN + torch.randn(count, 2, generator=seeded(9)) @ torch.linalg.cholesky(COVARIANCE).mT
    buffer = ReplayBuffer(dim=2, capacity=count)
    buffer.add(ends, normal().log_prob(ends))
    return buffer


def behaving(behaviour_class: type[Behaviour]) -> Behaviour:
    """The behaviour over draws of the target; several of them where it takes several."""
    replay = Replay(remembered(), remember=False)
    return build(behaviour_class, buffer=replay.buffer, replay=replay, behaviours=(OnPolicy(), replay, Exploration()))


def parts(policy: Policy) -> nn.ModuleDict:
    return nn.ModuleDict({"policy": policy})


def suited(objective: Objective) -> Behaviour:
    if objective.needs_draws:
        return behaving(Replay)
    return OnPolicy() if objective.on_policy_only else Mixture(OnPolicy(), behaving(Replay))


@torch.no_grad()
def bound_and_evidence(process: Process, policy) -> tuple[float, float]:
    log_weight = rollout(process, policy, normal(), 4000, seeded(8)).log_weight
    return float(log_weight.mean()), float(log_weight.logsumexp(0)) - math.log(4000)


def trains(process: Process, objective_class: type[Objective], behaviour: Behaviour | None, steps: int) -> Objective:
    """ELBO from 1.5 nats below log Z to half a nat; log Z to 0.05, four standard errors of 4 000 weights of ESS 0.6."""
    state_dim = process.sample_prior(1, 2).shape[-1]
    policy = network(2, width=32, depth=1, state_dim=state_dim)
    objective = build(objective_class, dim=state_dim, steps=process.steps, process=process)
    behaviour = behaviour or suited(objective)
    assert bound_and_evidence(process, policy)[0] < LOG_PARTITION - 1.5
    fit(process, policy, normal(), objective, behaviour, Schedule(steps, 64, 2e-2), seeded())
    bound, evidence = bound_and_evidence(process, policy)
    assert LOG_PARTITION - 0.5 < bound < LOG_PARTITION + 0.02
    assert abs(evidence - LOG_PARTITION) < 0.05
    return objective


@pytest.mark.parametrize(
    "behaviour", [Exploration(), Mixture(OnPolicy(), Exploration()), Alternate(OnPolicy(), Sleep()), behaving(Replay)]
)
def test_a_biased_pair_is_refused_with_the_fix(behaviour):
    with pytest.raises(ValueError, match=r"ReverseKL is biased on .*OnPolicy\(\).*LogVariance\(\)"):
        fit(OrnsteinUhlenbeck(4), network(2), normal(), ReverseKL(), behaviour)


@pytest.mark.parametrize(
    "behaviour", [OnPolicy(), Exploration(), Mixture(Sleep(), Exploration()), Alternate(Exploration(), Sleep())]
)
def test_likelihood_of_what_the_policy_drew_is_refused_with_the_fix(behaviour):
    with pytest.raises(ValueError, match=r"MaximumLikelihood learns nothing .*Replay\(buffer, remember=False\)"):
        fit(OrnsteinUhlenbeck(4), network(2), normal(), MaximumLikelihood(), behaviour)


def test_a_fair_pair_is_taken():
    check_pair(ReverseKL(), OnPolicy())
    check_pair(ReverseKL(), Mixture(OnPolicy(), OnPolicy()))
    check_pair(LogVariance(), Exploration())
    check_pair(MaximumLikelihood(), Sleep())
    check_pair(MaximumLikelihood(), Alternate(Sleep(), Replay(ReplayBuffer(2))))


@pytest.mark.parametrize(("objective_class", "process_class"), list(zip(OBJECTIVES, cycle(PROCESSES), strict=False)))
def test_every_objective_and_every_process_learns_a_gaussian(objective_class, process_class):
    objective = trains(process_class(4), objective_class, None, 100)
    if isinstance(objective, TrajectoryBalance):
        assert objective.log_partition.item() == pytest.approx(LOG_PARTITION, abs=0.3)


@pytest.mark.slow
@every_process
@every_behaviour
@every_objective
def test_every_pair_learns_or_is_refused(objective_class, behaviour_class, process_class):
    process, behaviour = process_class(4), behaving(behaviour_class)
    objective = build(objective_class, dim=process.sample_prior(1, 2).shape[-1], process=process)
    try:
        check_pair(objective, behaviour)
    except ValueError as refusal:
        assert (objective.on_policy_only or objective.needs_draws) and "Write behaviour=" in str(refusal)
    else:
        policy = network(2, width=32, depth=1, state_dim=process.sample_prior(1, 2).shape[-1])
        fit(process, policy, normal(), objective, behaviour, Schedule(200, 64, 2e-2), seeded())
        assert abs(bound_and_evidence(process, policy)[1] - LOG_PARTITION) < 0.05


@pytest.mark.parametrize("process_class", concrete_classes(amortized.processes, LinearProcess))
def test_bridges_alone_learn_a_gaussian(process_class):
    """ELBO from 1.5 nats below log Z to 0.3; log Z to 0.05, four standard errors of 4 000 weights of ESS 0.6."""
    process, policy = process_class(4), network(2, width=32, depth=1)
    fit_bridges(process, policy, draws_of(normal(), remembered().ends), Schedule(150, 256, 1e-2), seeded())
    bound, evidence = bound_and_evidence(process, policy)
    assert LOG_PARTITION - 0.3 < bound < LOG_PARTITION + 0.02
    assert abs(evidence - LOG_PARTITION) < 0.05


def test_the_same_seed_trains_the_same_policy():
    policies = []
    for seed in (0, 0, 1):
        policies.append(network(2))
        fit(OrnsteinUhlenbeck(4), policies[-1], normal(), LogVariance(), OnPolicy(), Schedule(5, 16), seeded(seed))
    weights = [torch.cat([p.detach().flatten() for p in policy.parameters()]) for policy in policies]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_the_first_batch_initialises_and_every_batch_is_observed():
    class Watching(LogVariance):
        first: list[int] = []

        def initialise(self, path: ScoredPath) -> None:
            self.first.append(path.states.shape[1])

    class Remembering(OnPolicy):
        seen: list[torch.Size] = []

        def observe(self, path: ScoredPath) -> None:
            self.seen.append(path.log_weight.shape)

    fit(OrnsteinUhlenbeck(4), network(2), normal(), Watching(), Remembering(), Schedule(3, 7))
    assert Watching.first == [7] and Remembering.seen == [(7,)] * 3


def test_any_callback_stops_the_run_and_all_of_them_see_the_step():
    def third(step: TrainingStep) -> bool:
        return step.number == 3

    history = History()
    fit(
        OrnsteinUhlenbeck(4),
        network(2),
        normal(),
        LogVariance(),
        OnPolicy(),
        Schedule(50, 8, callbacks=[third, history]),
    )
    assert len(history.losses) == 3 and history.skipped == 0


def test_callbacks_are_told_where_the_run_stands():
    records: list[TrainingStep] = []
    fit(
        OrnsteinUhlenbeck(4),
        network(2),
        normal(),
        LogVariance(),
        OnPolicy(),
        Schedule(3, 8, callbacks=[records.append]),
    )
    assert [(record.number, record.planned) for record in records] == [(1, 3), (2, 3), (3, 3)]
    assert all(math.isfinite(record.loss) for record in records)


def test_the_policy_ends_with_the_average_of_its_weights():
    """The loss is linear in one weight, so Adam moves it by the learning rate: weights by hand, averaged by hand."""
    policy = network(1)
    weight = policy.shift.bias
    visited = []

    def loss(step: int) -> torch.Tensor:
        visited.append(weight.item())
        return weight.sum()

    optimise(parts(policy), loss, Schedule(30, learning_rate=1e-2))
    optimised = [*visited[1:], None]
    average = optimised[0]
    for value in optimised[1:-1]:
        average = EMA_DECAY * average + (1 - EMA_DECAY) * value
    assert visited[-1] < -0.05
    assert weight.item() == pytest.approx(EMA_DECAY * average + (1 - EMA_DECAY) * visited[-1], abs=5e-4)
    assert weight.item() > visited[-1] + 0.01


def test_what_a_policy_counts_is_not_averaged_and_not_taken_back():
    """An embedding with batch normalization keeps running means in buffers, which no gradient moves."""
    policy = network(1)
    policy.register_buffer("seen", torch.zeros(()))
    counts = []

    def loss(step: int) -> torch.Tensor:
        policy.seen += 1
        return policy.shift.bias.sum()

    def look(step):
        counts.append(float(step.parts["policy"].seen))
        return False

    optimise(parts(policy), loss, Schedule(3, learning_rate=1e-2, callbacks=[look]))
    assert counts == [1.0, 2.0, 3.0] and policy.seen == 3


def test_log_z_and_the_flow_move_at_rates_of_their_own():
    """Adam's first step is its learning rate, whatever the slope; the schedule leaves rate(0, 1) of it."""
    policy, objective = network(1), SubTrajectoryBalance(1, partition_rate=0.7)
    before = {name: weight.detach().clone() for name, weight in objective.named_parameters()}

    def loss(step: int) -> torch.Tensor:
        return sum(100.0 * weight.double().sum() for weight in [*policy.parameters(), *objective.parameters()])

    optimise(parts(policy), loss, Schedule(1, learning_rate=1e-3), objective)
    now = dict(objective.named_parameters())
    assert float(before["log_partition"] - now["log_partition"].detach()) == pytest.approx(0.7 * rate(0, 1), rel=1e-4)
    moved = before["flow.head.weight"] - now["flow.head.weight"]
    expected = torch.full_like(moved, objective.learning_rate * rate(0, 1))
    torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-6)


def test_the_norm_of_the_gradient_is_clipped():
    """Beyond norm 1 only the direction counts: a loss a thousand times as steep trains the same."""
    ends = []
    for steepness in (10.0, 10_000.0):
        policy = network(1)

        def loss(step: int, policy=policy, steepness=steepness) -> torch.Tensor:
            return steepness * (policy.shift.bias - 1).square().sum()

        optimise(parts(policy), loss, Schedule(10, learning_rate=1e-2))
        ends.append(policy.shift.bias.item())
    assert ends[0] == pytest.approx(ends[1], rel=1e-4) and ends[0] > 0.005


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_skipped_and_counted(bad):
    policy, history = network(1), History()

    def loss(step: int) -> torch.Tensor:
        return (policy.shift.bias - 1).square().sum() * (bad if step in (0, 3) else 1.0)

    optimise(parts(policy), loss, Schedule(10, learning_rate=1e-2, callbacks=[history]))
    assert history.skipped == 2 and len(history.losses) == 10
    assert all(bool(parameter.isfinite().all()) for parameter in policy.parameters())
    assert policy.shift.bias.item() > 0.001


def test_what_the_objective_learns_is_protected_too():
    """A NaN that reaches log Z alone must not stay there."""
    policy, objective, history = network(1), TrajectoryBalance(), History()

    def loss(step: int) -> torch.Tensor:
        return policy.shift.bias.sum() + objective.log_partition * (math.nan if step == 1 else 1.0)

    optimise(parts(policy), loss, Schedule(4, learning_rate=1e-2, callbacks=[history]), objective)
    assert objective.log_partition.isfinite() and history.skipped == 1


def test_training_goes_on_where_half_of_the_space_has_no_density():
    """A half-normal: half of the fresh paths weigh nothing, and no step is lost for it."""
    constant = 0.5 * math.log(2 / math.pi)
    target = DensityTarget(lambda x: torch.where(x[:, 0] > 0, constant - 0.5 * x[:, 0].square(), -torch.inf), 1)
    process, policy, history = OrnsteinUhlenbeck(8), network(1, width=32), History()
    for objective in (LogVariance(), TrajectoryBalance()):
        fit(process, policy, target, objective, OnPolicy(), Schedule(20, 64, callbacks=[history]), seeded())
        assert history.skipped == 0
        assert all(math.isfinite(loss) for loss in history.losses)
        assert all(bool(parameter.isfinite().all()) for parameter in [*policy.parameters(), *objective.parameters()])


def test_off_policy_losses_need_no_gradient_through_the_simulation():
    modes = []

    class Asking(OnPolicy):
        def propose(self, *arguments, **options) -> ScoredPath:
            modes.append(torch.is_grad_enabled())
            return super().propose(*arguments, **options)

    for objective in (LogVariance(), ReverseKL()):
        fit(OrnsteinUhlenbeck(4), network(2), isotropic(2), objective, Asking(), Schedule(1, 4))
    assert modes == [False, True]
