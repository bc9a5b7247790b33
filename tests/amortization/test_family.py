"""A family shows some contexts at a time, by their numbers, each whitened by its own map."""

import torch

from amortized.amortization.family import Family
from amortized.policies.conditional_gaussian import ConditionalGaussian
from amortized.targets.conditional.target import ConditionalTarget
from tests.amortization.quick import SIZE, conjugate, data_sets, truth
from tests.known import SameFeatures, perturbed, seeded


def family(data: int = 40, contexts: int = 8) -> Family:
    given = data_sets(data)
    target = ConditionalTarget(conjugate, "y", (given,), capture_seconds=0.0)
    gaussian = perturbed(ConditionalGaussian(SameFeatures(SIZE), torch.zeros(1), torch.ones(1)), 0.1)
    return Family(target, gaussian, torch.cat([data_sets(60, seed=1), given]), simulated=60, contexts=contexts)


def test_half_of_what_is_shown_are_data():
    made = family()
    white = made.presented(seeded())
    assert white.contexts == 8 and torch.equal(white.context, made.rows[white.indices])
    assert int((white.indices >= 60).sum()) == 4
    indices = torch.cat([made.choose(9, seeded(seed)) for seed in range(200)])
    assert len(indices) == 1_800 and set(indices.tolist()) == set(range(100))
    assert int((indices >= 60).sum()) == 800


def test_few_data_are_not_shown():
    made = family(data=5)
    assert int((made.choose(100, seeded()) >= 60).sum()) == 0


def test_among_some_only_these_are_shown():
    made = family()
    some = made.among(torch.tensor([3, 70, 3, 71, 72, 73, 74, 75, 76, 77, 78]))
    assert set(some.choose(50, seeded()).tolist()) <= {3, *range(70, 79)}
    assert len(made.indices) == 100 and torch.equal(some.rows, made.rows)


def test_each_context_is_seen_through_its_own_map():
    """Whitened or not, the density at a point is the conjugate model's joint one."""
    made, y = family(), data_sets(3, seed=5)
    white = made.at(y, torch.tensor([4, 5, 6]))
    u = torch.randn(6, 1, generator=seeded())
    mean, deviation, evidence = truth(y)
    expected = torch.distributions.Normal(mean.repeat(2), deviation).log_prob(
        white.unwhiten(u)[:, 0]
    ) + evidence.repeat(2)
    torch.testing.assert_close(white.log_prob(u) - white.log_dets(6), expected.double(), rtol=1e-4, atol=1e-4)
    assert white.log_dets(6)[:3].unique().numel() == 3 and white.indices.tolist() == [4, 5, 6]


def test_the_map_is_learned_where_gradients_are_on():
    made = family()
    made.at(made.rows[:4]).log_prob(torch.zeros(4, 1)).sum().backward()
    assert any(weight.grad is not None and bool(weight.grad.any()) for weight in made.gaussian.parameters())
    assert not made.presented(seeded()).shift.requires_grad
