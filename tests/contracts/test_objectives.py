"""What every objective promises: nothing to learn at the solution, true gradients, no poison from a stray path."""

import pytest
import torch

import amortized.objectives
import amortized.processes
from amortized.objectives import MaximumLikelihood, Objective
from amortized.path import Path, rollout, score
from amortized.policies import Policy
from amortized.processes.base import Process
from amortized.processes.transitions import log_normal
from tests.contracts.discovery import build, concrete_classes
from tests.known import gaussian, isotropic, network, perturbed, seeded

OBJECTIVES = concrete_classes(amortized.objectives, Objective)
every_objective = pytest.mark.parametrize("objective_class", OBJECTIVES)
PROCESSES = concrete_classes(amortized.processes, Process)
every_process = pytest.mark.parametrize("process_class", PROCESSES)
SCALE, STEPS, DIM = 1.4, 5, 2


def parts(process: Process) -> dict:
    return {"dim": DIM, "steps": STEPS, "process": process}


def scored(objective: Objective, process: Process, policy: Policy, target, batch: int = 12) -> Path:
    """Paths that the objective takes: fair ones, or inflated ones where it may see any."""
    if objective.differentiates_rollout:
        return rollout(process, policy, target, batch, seeded())
    with torch.no_grad():
        path = rollout(process, policy, target, batch, seeded(), inflation=1.0 if objective.on_policy_only else 1.5)
    return score(process, policy, path)


@every_process
@every_objective
def test_at_the_solution_there_is_nothing_to_learn(objective_class, process_class, in_double_precision):
    """Target = reference law, zero control, where maximum likelihood is log p₀ − log N − Σ log P_B."""
    process, policy = process_class(STEPS, SCALE), network(DIM)
    objective = build(objective_class, **parts(process))
    path = scored(objective, process, policy, isotropic(DIM, SCALE))
    objective.initialise(path)
    loss = objective(path)
    expected = torch.zeros(12)
    if objective_class is MaximumLikelihood:
        end = log_normal(path.ends, torch.zeros(DIM), torch.full((DIM,), SCALE))
        expected = path.log_prior - end - path.log_backward.sum(0)
    assert loss.shape == (12,)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    if objective_class is not MaximumLikelihood:
        loss.mean().backward()
        assert all(p.grad is None or p.grad.abs().max() < 1e-6 for p in policy.parameters())


@every_process
@every_objective
def test_away_from_the_solution_there_is(objective_class, process_class, in_double_precision):
    process, policy = process_class(STEPS, SCALE), network(DIM)
    objective = build(objective_class, **parts(process))
    path = scored(objective, process, policy, gaussian([1.0, -1.0], [[0.5, 0.0], [0.0, 2.0]]))
    objective.initialise(path)
    loss = objective(path).mean()
    loss.backward()
    assert loss > 0.1
    assert max(float(p.grad.abs().max()) for p in policy.parameters() if p.grad is not None) > 0.01


@every_process
@every_objective
def test_the_gradient_is_the_slope_of_the_loss(objective_class, process_class, in_double_precision):
    """Central differences of step 1e-5 along five random directions: rounding 1e-10, truncation 1e-9 of a loss of 1."""
    process, policy = process_class(STEPS, SCALE), network(DIM, 0.2, depth=1)
    target = gaussian([1.0, -1.0], [[0.5, 0.0], [0.0, 2.0]])
    objective = build(objective_class, **parts(process))
    fixed = scored(objective, process, policy, target)
    objective.initialise(fixed)
    if list(objective.parameters()):
        perturbed(objective, 0.5)
    weights = [*policy.parameters(), *objective.parameters()]

    def loss() -> torch.Tensor:
        if objective.differentiates_rollout:
            return objective(scored(objective, process, policy, target)).mean()
        return objective(score(process, policy, fixed)).mean()

    gradients = torch.autograd.grad(loss(), weights)
    for seed in range(5):
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


@every_objective
def test_paths_outside_the_support_do_not_poison_the_batch(objective_class):
    """What is learned is what the other paths alone would teach, up to the share that they have of the mean."""
    process, policy = PROCESSES[0](STEPS, SCALE), network(DIM, 0.2, depth=1)
    target = gaussian([1.0, -1.0], [[0.5, 0.0], [0.0, 2.0]])
    objective = build(objective_class, **parts(process))
    path = scored(objective, process, policy, target)
    gradients = []
    for stray in ([], [-torch.inf, torch.nan, torch.inf]):
        spoiled = path.log_target.clone()
        if stray:
            spoiled[:3] = torch.tensor(stray)
        kept = slice(None) if stray else slice(3, None)
        batch = Path(
            path.states[:, kept],
            spoiled[kept],
            log_prior=path.log_prior[kept],
            log_forward=path.log_forward[:, kept],
            log_backward=path.log_backward[:, kept],
        )
        objective.initialise(batch)
        loss = objective(batch)
        assert loss.isfinite().all()
        lost = loss[:3].sum() if stray and objective_class is MaximumLikelihood else 0.0
        weights = [*policy.parameters(), *objective.parameters()]
        gradients.append(torch.autograd.grad(loss.sum() - lost, weights, retain_graph=True))
    for alone, beside in zip(*gradients, strict=True):
        assert alone.isfinite().all() and alone.shape == beside.shape
        torch.testing.assert_close(alone, beside, rtol=1e-4, atol=1e-4)
