"""The default recipe: its stages, its judgements, what it keeps apart, and the grid that it samples on."""

import time

import pytest
import torch

from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.mixture_reference import MixtureReference
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.training.evaluation import refined
from amortized.training.recipe import Recipe, train
from tests.known import gaussian, network, seeded

TINY = Recipe(bridge_steps=6, bridge_batch=16, steps=4, batch=8, every=2, enough=2.0, held_out=32, refinements=(1,))


def whitened(target) -> WhitenedTarget:
    return WhitenedTarget(target, torch.zeros(target.dim), torch.eye(target.dim))


def normal() -> WhitenedTarget:
    return whitened(gaussian([0.5, -0.5], [[0.6, 0.1], [0.1, 0.7]]))


def draws(target: WhitenedTarget, count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    factor = torch.linalg.cholesky(torch.tensor([[0.6, 0.1], [0.1, 0.7]]))
    ends = torch.tensor([0.5, -0.5]) + torch.randn(count, 2, generator=seeded(5)) @ factor.mT
    return ends, target.log_prob(ends)


def fresh(steps: int = 4) -> DiffusionSampler:
    return DiffusionSampler(OrnsteinUhlenbeck(steps), network(2))


def weights(sampler: DiffusionSampler) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in sampler.policy.parameters()])


def test_both_stages_run_and_are_recorded():
    target, sampler = normal(), fresh()
    before = weights(sampler)
    record = train(sampler, target, draws(target), TINY, seconds=600, generator=seeded())
    assert len(record.bridge_losses) > 0 and len(record.losses) > 0
    assert torch.tensor(record.bridge_losses + record.losses).isfinite().all()
    numbers = [number for number, _ in record.evaluations]
    assert numbers == sorted(numbers) and numbers[-1] == len(record.bridge_losses) + len(record.losses)
    assert not torch.equal(before, weights(sampler))


def test_a_sampler_that_is_already_good_is_left_alone():
    """Target = reference: the overlap is 1 at once, and no step is made."""
    target = whitened(gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]))
    ends = torch.randn(200, 2, generator=seeded(5))
    sampler = fresh()
    before = weights(sampler)
    recipe = Recipe(bridge_steps=6, steps=4, every=2, held_out=100)
    record = train(sampler, target, (ends, target.log_prob(ends)), recipe, seconds=600, generator=seeded())
    assert record.bridge_losses == record.losses == []
    assert torch.equal(before, weights(sampler))
    assert all(evaluation.overlap > 0.99 for _, evaluation in record.evaluations)


def test_a_method_that_always_trains_keeps_what_it_trained():
    """Target = reference: the untrained overlap is 1. A rate of 5 spoils it, and the spoilt weights stay."""
    target = whitened(gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]))
    ends = torch.randn(200, 2, generator=seeded(5))
    sampler = fresh()
    before = weights(sampler)
    recipe = Recipe(0, steps=8, batch=8, learning_rate=5.0, every=2, enough=0.0, held_out=100, even=1.0, always=True)
    record = train(sampler, target, (ends, target.log_prob(ends)), recipe, seconds=600, generator=seeded())
    assert len(record.losses) == 2 and [step for step, _ in record.evaluations] == [2]
    assert not torch.equal(before, weights(sampler)) and record.kept is None
    assert record.outcome.startswith("2 steps of training on paths: the overlap is")


def test_the_overlap_gets_better():
    target, sampler = normal(), fresh()
    recipe = Recipe(bridge_steps=60, bridge_batch=128, steps=20, batch=64, every=20, held_out=200, refinements=(1,))
    record = train(sampler, target, draws(target, 1000), recipe, seconds=600, generator=seeded())
    overlaps = [evaluation.overlap for _, evaluation in record.evaluations]
    assert overlaps[0] < 0.7 and max(overlaps) > overlaps[0] + 0.1


def test_training_that_makes_it_worse_is_undone():
    """A learning rate of 5 destroys the policy; the best judgement is the first, before any step."""
    target, sampler = normal(), fresh()
    before = weights(sampler)
    recipe = Recipe(6, 16, 4, 8, learning_rate=5.0, every=2, enough=2.0, held_out=100, refinements=(1,))
    record = train(sampler, target, draws(target), recipe, seconds=600, generator=seeded())
    assert len(record.losses) > 0
    assert torch.equal(before, weights(sampler))


def test_the_same_seed_trains_the_same_sampler():
    results = []
    for seed in (0, 0, 1):
        target, sampler = normal(), fresh()
        train(sampler, target, draws(target), TINY, seconds=600, generator=seeded(seed))
        results.append(weights(sampler))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


def test_held_out_draws_never_train():
    """They are NaN here: the losses of either stage would be NaN as well."""
    target, sampler = normal(), fresh()
    ends, log_target = draws(target)
    ends[:32] = torch.nan
    record = train(sampler, target, (ends, log_target), TINY, seconds=600, generator=seeded())
    assert torch.tensor(record.bridge_losses + record.losses).isfinite().all()
    assert weights(sampler).isfinite().all()


def test_time_ends_training():
    target, sampler = normal(), fresh()
    began = time.perf_counter()
    recipe = Recipe(bridge_steps=100_000, steps=100_000, held_out=32, every=1_000_000, refinements=(1,))
    record = train(sampler, target, draws(target), recipe, seconds=0.5, generator=seeded())
    assert time.perf_counter() - began < 10
    assert 0 < len(record.bridge_losses) < 100_000 and len(record.losses) < 100_000


def test_a_grid_is_refined_only_where_it_pays():
    """One step is exact where target = reference; two modes six deviations apart need more."""
    simple = whitened(gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]))
    ends = torch.randn(500, 2, generator=seeded(5))
    process = OrnsteinUhlenbeck(1)
    chosen = refined(process, network(2), simple, (ends, simple.log_prob(ends)), (4, 1, 2), seeded())
    assert chosen.steps == 1
    assert refined(process, network(2), simple, (ends, simple.log_prob(ends)), (2, 4), seeded(), seconds=0.0).steps == 2
    centres = torch.tensor([[-3.0], [3.0]])
    modes = whitened(DensityTarget(lambda x: (-0.5 * (x - centres[:, 0]).square()).logsumexp(-1), 1))
    ends = torch.randn(500, 1, generator=seeded(5)) + centres[torch.arange(500) % 2]
    process = OrnsteinUhlenbeck(1, reference=MixtureReference(torch.ones(2) / 2, centres, torch.ones(2, 1, 1)))
    chosen = refined(process, network(1), modes, (ends, modes.log_prob(ends)), (64, 1), seeded())
    assert chosen.steps == 64 and chosen.reference is process.reference


@pytest.mark.parametrize("progress", [False, True])
def test_progress_is_shown_when_asked(progress, capsys):
    target = normal()
    train(fresh(), target, draws(target), TINY, seconds=600, generator=seeded(), progress=progress)
    assert bool(capsys.readouterr().err) == progress
