"""What every objective promises: nothing to learn at the solution, true gradients, no poison from a stray path."""

from dataclasses import fields, replace
from functools import partial

import pytest
import torch

import amortized.objectives
import amortized.processes
from amortized.objectives import Objective
from amortized.path import ScoredPath, log_probs, with_log_targets
from amortized.policies import Policy
from amortized.processes.base import Process
from amortized.processes.transitions import log_normal
from amortized.simulation import rollout
from tests.contracts.discovery import build, concrete_classes, options
from tests.known import gaussian, isotropic, network, perturbed, seeded

OBJECTIVES = concrete_classes(amortized.objectives, Objective)
PROCESSES = concrete_classes(amortized.processes, Process)
LOOKING = [partial(found, forward_looking=True) for found in OBJECTIVES if options(found, forward_looking=True)]
every_objective = pytest.mark.parametrize("objective_class", OBJECTIVES)
every_process = pytest.mark.parametrize("process_class", PROCESSES)
SCALE, STEPS, DIM, LOG_PARTITION = 1.4, 5, 2, 0.7


def name(case) -> str:
    return f"{case.func.__name__}-looking" if isinstance(case, partial) else case.__name__


def declares(case) -> type[Objective]:
    return case.func if isinstance(case, partial) else case


CASES = [*OBJECTIVES, *LOOKING]
every_case = pytest.mark.parametrize("objective_class", CASES, ids=name)


def state_dim(process: Process) -> int:
    return process.sample_prior(1, DIM).shape[-1]


def parts(process: Process) -> dict:
    return {"dim": state_dim(process), "steps": STEPS, "process": process}


def small(process: Process, spread: float = 0.0) -> Policy:
    return network(DIM, spread, depth=1, state_dim=state_dim(process))


def skewed():
    return gaussian([1.0, -1.0], [[0.5, 0.0], [0.0, 2.0]])


def scored(objective: Objective, process: Process, policy: Policy, target, batch: int = 12) -> ScoredPath:
    """Paths that the objective takes, as ``fit`` makes them: fair ones, or inflated ones where it may see any."""
    with torch.set_grad_enabled(objective.differentiates_rollout):
        path = rollout(process, policy, target, batch, seeded(), inflation=1.0 if objective.on_policy_only else 1.5)
    if objective.needs_log_targets:
        path = with_log_targets(process, target, path)
    return path if objective.differentiates_rollout else log_probs(process, policy, path)


@every_process
@every_objective
def test_at_the_solution_there_is_nothing_to_learn(objective_class, process_class, in_double_precision):
    """Target = Z × reference law, zero control: loss 0, a bound −log Z, a likelihood log p₀ − log N − Σ log P_B.

    The gradient is 0 for every single batch, unless the objective declares that only its mean is.
    """
    process = process_class(STEPS, SCALE)
    policy, objective = small(process), build(objective_class, **parts(process))
    path = scored(objective, process, policy, isotropic(DIM, SCALE, LOG_PARTITION))
    objective.initialise(path)
    loss = objective(path)
    expected = torch.zeros(12)
    if objective.needs_draws:
        end = log_normal(path.ends, torch.zeros(DIM), torch.full((DIM,), SCALE))
        expected = path.log_prior - end - path.log_backward.sum(0)
    elif not objective.zero_at_optimum:
        expected = expected - LOG_PARTITION
    assert loss.shape == (12,)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    if objective.still_at_optimum:
        loss.mean().backward()
        assert all(p.grad is None or p.grad.abs().max() < 1e-6 for p in policy.parameters())


@every_process
@every_case
def test_away_from_the_solution_there_is(objective_class, process_class, in_double_precision):
    process = process_class(STEPS, SCALE)
    policy, objective = small(process), build(objective_class, **parts(process))
    path = scored(objective, process, policy, skewed())
    objective.initialise(path)
    loss = objective(path).mean()
    loss.backward()
    assert loss > 0.1
    assert max(float(p.grad.abs().max()) for p in policy.parameters() if p.grad is not None) > 0.01


@every_process
@pytest.mark.parametrize("objective_class", [case for case in CASES if declares(case).gradient_is_slope], ids=name)
def test_the_gradient_is_the_slope_of_the_loss(objective_class, process_class, in_double_precision):
    """Central differences of step 1e-5 along two random directions: rounding 1e-10, truncation 1e-9 of a loss of 1.

    A gradient that is a slope only on average has a test of its own beside its objective's others.
    """
    process = process_class(STEPS, SCALE)
    policy, target, objective = small(process, 0.2), skewed(), build(objective_class, **parts(process))
    fixed = scored(objective, process, policy, target)
    objective.initialise(fixed)
    if list(objective.parameters()):
        perturbed(objective, 0.2)
    weights = [*policy.parameters(), *objective.parameters()]

    def loss() -> torch.Tensor:
        if objective.differentiates_rollout:
            return objective(scored(objective, process, policy, target)).mean()
        return objective(log_probs(process, policy, fixed)).mean()

    gradients = torch.autograd.grad(loss(), weights)
    for seed in range(2):
        generator = seeded(seed)
        directions = [torch.randn(weight.shape, generator=generator) for weight in weights]
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
        values = []
        for sign in (1, -2):
            with torch.no_grad():
                for weight, direction in zip(weights, directions, strict=True):
                    weight += sign * 1e-5 * direction
            values.append(float(loss().detach()))
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight += 1e-5 * direction
        assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7)


@every_case
def test_paths_outside_the_support_do_not_poison_the_batch(objective_class):
    """What is learned is what the other paths alone would teach, up to the share that they have of the mean."""
    process = PROCESSES[0](STEPS, SCALE)
    policy, objective = small(process, 0.2), build(objective_class, **parts(process))
    path = scored(objective, process, policy, skewed())
    gradients = []
    for stray in ([], [-torch.inf, torch.nan, torch.inf]):
        batch = replace(path, log_target=torch.cat([torch.tensor(stray or [0.0] * 3), path.log_target[3:]]))
        batch = batch if stray else without(batch, 3)
        objective.initialise(batch)
        loss = objective(batch)
        assert loss.isfinite().all()
        unread = loss[:3].sum() if stray and objective.needs_draws else 0.0
        weights = [*policy.parameters(), *objective.parameters()]
        gradients.append(torch.autograd.grad(loss.sum() - unread, weights, retain_graph=True))
    for alone, beside in zip(*gradients, strict=True):
        assert alone.isfinite().all() and alone.shape == beside.shape
        torch.testing.assert_close(alone, beside, rtol=1e-4, atol=1e-4)


def without(path: ScoredPath, count: int) -> ScoredPath:
    """The path record less its first ``count`` paths."""
    kept = {}
    for field in fields(path):
        value = getattr(path, field.name)
        if isinstance(value, torch.Tensor) and field.name != "times":
            kept[field.name] = value[count:] if value.ndim == 1 else value[:, count:]
    assert path.log_marginal is not None
    marginal = path.log_marginal[:, count:]
    return replace(path, marginal=lambda: marginal, **kept)
