"""What every process promises: a reversible reference, one density for a draw, grids that share what learns."""

import math

import pytest
import torch

import amortized.processes
from amortized._types import Control
from amortized.path import States, log_probs
from amortized.processes.base import Process
from amortized.processes.grids import Coarse, Power, Random
from amortized.processes.transitions import StudentT, log_normal, standard_normal
from amortized.simulation import rollout
from tests.contracts.discovery import concrete_classes
from tests.known import gaussian, isotropic, seeded, steering

PROCESSES = concrete_classes(amortized.processes, Process)
every_process = pytest.mark.parametrize("process_class", PROCESSES)
every_size = pytest.mark.parametrize(("steps", "scale"), [(1, 1.0), (2, 0.3), (7, 2.5), (33, 1.0)])


def anywhere(process: Process, batch: int, dim: int, spread: float = 1.0) -> torch.Tensor:
    """States ``(K+1, B, S)`` that steps of any length reach: the contract holds off the chain's own paths too."""
    generator = seeded(1)
    states = [spread * standard_normal(process.sample_prior(batch, dim, seeded()), generator)]
    for k in range(process.steps):
        states.append(process.layout.advance(k, states[-1], spread * torch.randn(batch, dim, generator=generator)))
    return torch.stack(states)


@every_process
@every_size
def test_zero_control_is_reversible(process_class, steps, scale, in_double_precision):
    process = process_class(steps, scale)
    policy = steering(process, 3)
    path = rollout(process, policy, isotropic(3), 16, seeded())
    end = log_normal(path.ends, torch.zeros(3), torch.full((3,), scale))
    assert (path.log_proposal - end).abs().max() < 1e-10
    path = log_probs(process, policy, States(anywhere(process, 16, 3, 3 * scale), torch.zeros(16), dim=3))
    end = log_normal(path.ends, torch.zeros(3), torch.full((3,), scale))
    assert ((path.log_proposal - end) / path.log_proposal.abs().clamp(min=1)).abs().max() < 1e-10


@every_process
@every_size
def test_the_reference_runs_from_the_prior_to_the_end(process_class, steps, scale, in_double_precision):
    """Moments of 20 000 ends: five standard errors of a mean and of a variance."""
    process = process_class(steps, scale)
    ends = rollout(process, steering(process, 1), isotropic(1), 20_000, seeded()).ends
    assert ends.mean().abs() < 5 * scale / math.sqrt(20_000)
    assert (ends.var() / scale**2 - 1).abs() < 5 * math.sqrt(2 / 20_000)


@every_process
@every_size
def test_noised_reference_ends_have_the_marginals_that_are_stated(process_class, steps, scale, in_double_precision):
    """20 000 features have mean 0 and deviation 1, five errors of each, and log_marginal is their density."""
    process, count = process_class(steps, scale), 20_000
    states = process.bridge(scale * torch.randn(count, 1, generator=seeded(1)), seeded())
    features = process.features(torch.arange(steps), states[:-1])
    pinned = bool((process.sample_prior(2, 1, seeded()) == 0).all())
    for k in range(int(pinned), steps):
        assert features[k].mean(0).abs().max() < 5 / math.sqrt(count)
        assert (features[k].std(0) - 1).abs().max() < 5 / math.sqrt(2 * count)
        size = features.shape[-1]
        offset = process.log_marginal(k, states[k]) - log_normal(features[k], torch.zeros(size), torch.ones(size))
        assert offset.std() < 1e-8


@every_process
@pytest.mark.parametrize("langevin", [False, True], ids=["plain", "langevin"])
def test_scoring_finds_the_densities_that_a_rollout_records(process_class, langevin, in_double_precision):
    process = process_class(5, 1.3, transition=StudentT(), grid=Power(2.0))
    policy, target = steering(process, 2, 0.2, langevin=langevin), gaussian([1.0, -1.0], torch.eye(2))
    path = rollout(process, policy, target, 8, seeded())
    again = log_probs(process, policy, States(path.states, path.log_target, path.scores, dim=2))
    for name in ("log_prior", "log_forward", "log_backward", "features", "times", "log_marginal"):
        torch.testing.assert_close(getattr(again, name), getattr(path, name), rtol=1e-10, atol=1e-10)


@every_process
@every_size
def test_what_a_step_draws_is_read_back_from_both_of_its_states(process_class, steps, scale, in_double_precision):
    process = process_class(steps, scale)
    for k, x in enumerate(anywhere(process, 4, 2, scale)[:-1]):
        moved = scale * torch.randn(4, 2)
        y = process.layout.advance(k, x, moved)
        torch.testing.assert_close(process.layout.moved(k, y), moved, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(process.layout.advance(k, x, process.layout.moved(k, y)), y, rtol=1e-10, atol=1e-10)
        assert process.layout.visited(k, x).shape == process.layout.retraced(k, x).shape == (4, 2)


@every_process
@every_size
def test_bridges_draw_from_the_noising_kernel(process_class, steps, scale, in_double_precision):
    """Mean and deviation of 20 000 retraced draws in units of the kernel's own: five standard errors of each."""
    process, count = process_class(steps, scale), 20_000
    ends = torch.full((count, 1), 1.7 * scale)
    states = process.bridge(ends, seeded())
    assert (states[-1][..., :1] == ends).all()
    for k in range(steps):
        mean, std = process.backward(k, states[k + 1])
        residual = (process.layout.retraced(k, states[k]) - mean) / std
        if residual.abs().max() == 0:
            continue
        assert residual.mean().abs() < 5 / math.sqrt(count)
        assert (residual.std() - 1).abs() < 5 / math.sqrt(2 * count)
        moved = process.layout.moved(k, states[k + 1])
        rebuilt = process.layout.advance(k, states[k], moved)
        torch.testing.assert_close(rebuilt, states[k + 1], rtol=1e-9, atol=1e-9)


@every_process
def test_one_call_over_all_steps_equals_a_loop(process_class, in_double_precision):
    process = process_class(5, 1.3)
    x, control = anywhere(process, 4, 2)[:-1], Control(torch.randn(5, 4, 2), torch.randn(5, 4, 2))
    steps = torch.arange(5)
    maps = (
        process.features,
        process.layout.visited,
        process.layout.moved,
        process.layout.retraced,
        process.log_marginal,
    )
    belief = process.belief(steps, x)
    together = [*process.forward(steps, x, belief, control), *process.backward(steps, x), *(f(steps, x) for f in maps)]
    for k in range(5):
        belief, log_variance = process.belief(k, x[k]), torch.as_tensor(control.log_variance)[k]
        forward = process.forward(k, x[k], belief, Control(control.shift[k], log_variance))
        alone = [*forward, *process.backward(k, x[k]), *(f(k, x[k]) for f in maps)]
        for one, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(one.expand_as(all_of_them[k]), all_of_them[k].expand_as(all_of_them[k]))


@every_process
def test_other_times_change_the_tables_and_nothing_else(process_class):
    process = process_class(4, 1.7, transition=StudentT(7.0), grid=Power(2.0))
    before = {name: table.clone() for name, table in process.named_buffers()}
    for twin in (process.with_steps(9), Coarse(9)(process), Random(9)(process, seeded())):
        assert type(twin) is process_class
        assert (twin.steps, twin.scale, len(twin.times)) == (9, 1.7, 10)
        assert twin.transition is process.transition and twin.grid is process.grid
        fresh = process_class(9, 1.7, grid=lambda steps, times=twin.times: times)
        for name, table in twin.named_buffers():
            torch.testing.assert_close(table, dict(fresh.named_buffers())[name])
    assert process.steps == 4
    for name, table in process.named_buffers():
        assert torch.equal(table, before[name])


@every_process
@pytest.mark.parametrize(("arguments", "named"), [((0,), "steps=0"), ((4, 0.0), "scale=0"), ((4, -1.0), "scale=-1")])
def test_impossible_sizes_are_refused_by_name(process_class, arguments, named):
    with pytest.raises(ValueError, match=named):
        process_class(*arguments)


@every_process
def test_times_that_do_not_rise_are_refused_by_name(process_class):
    for times in ([0.0, 0.5, 0.5, 1.0], [0.1, 1.0], [0.0, 0.9]):
        with pytest.raises(ValueError, match="times="):
            process_class(4).on(torch.tensor(times, dtype=torch.float64))
        with pytest.raises(ValueError, match="times="):
            process_class(4, grid=lambda steps, times=times: torch.tensor(times, dtype=torch.float64))
