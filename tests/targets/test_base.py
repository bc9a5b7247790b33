"""A target counts its calls and keeps bad particles from stopping a batch."""

import pytest
import torch

from amortized.mcmc import hmc, mala
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.targets.callable import DensityTarget


def spoiled(x: torch.Tensor) -> torch.Tensor:
    """NaN below −1, +inf above 1, −inf between 0.4 and 0.6, else x."""
    value = x[:, 0]
    value = torch.where(value < -1, torch.nan, value)
    value = torch.where(value > 1, torch.inf, value)
    return torch.where((value > 0.4) & (value < 0.6), -torch.inf, value)


X = torch.tensor([[-2.0], [0.25], [0.5], [2.0]])


def test_the_contract_alone_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Target(1, torch.float32, torch.device("cpu"))  # type: ignore[abstract]


def test_bad_densities_become_minus_infinity_and_are_counted():
    target = DensityTarget(spoiled, 1)
    value = target.log_prob(X)
    assert value.tolist() == [-torch.inf, 0.25, -torch.inf, -torch.inf]
    assert (target.calls, target.nonfinite) == (4, 2)


def test_their_score_is_zero_and_the_others_keep_theirs():
    target = DensityTarget(spoiled, 1)
    value, score = target.log_prob_and_score(X)
    assert value.tolist() == [-torch.inf, 0.25, -torch.inf, -torch.inf]
    assert score[:, 0].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert (target.calls, target.nonfinite) == (4, 2)
    assert not value.requires_grad and not score.requires_grad


def test_a_score_that_is_not_finite_becomes_zero_and_the_value_stays():
    """√x at 0 has value 0 and slope +inf."""
    target = DensityTarget(lambda x: x[:, 0].sqrt(), 1)
    x = torch.tensor([[0.0], [4.0]])
    value, score = target.log_prob_and_score(x)
    assert value.tolist() == [0.0, 2.0] == target.log_prob(x).tolist() and score[:, 0].tolist() == [0.0, 0.25]
    assert target.nonfinite == 1
    assert target.troubles() == ["a finite log density without finite gradient at 1 (25 %) of 4 points"]


@pytest.mark.parametrize("kernel", ["hmc", "mala"])
def test_a_zeroed_score_leaves_exact_draws_as_they_are(kernel):
    """A unit normal without gradient below 0: 40,000 exact draws keep mean, variance and share below 0 in 20 moves.

    Four Monte Carlo errors: .02, .028 and .01; all draws move by about one sd, so a biased kernel would show.
    """
    target = DensityTarget(lambda x: (-0.5 * x.square() + torch.where(x > 0, 0 * x.sqrt(), 0.0))[:, 0], 1)
    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(40_000, 1, generator=generator)
    assert target.log_prob_and_score(exact)[1][exact < 0].abs().max() == 0
    state, size, moved = mala.init(target.log_prob_and_score, exact), torch.tensor(0.7), torch.zeros(len(exact))
    for _ in range(20):
        if kernel == "hmc":
            state, _ = hmc.step(target.log_prob_and_score, state, size, torch.ones(1), 3, generator)
        else:
            state, _ = mala.step(target.log_prob_and_score, state, size, generator)
        moved = torch.maximum(moved, (state.x - exact)[:, 0].abs())
    assert moved.median() > 1
    assert (
        abs(state.x.mean()) < 0.02 and abs(state.x.var() - 1) < 0.028 and abs((state.x < 0).float().mean() - 0.5) < 0.01
    )


def test_troubles_are_told_by_kind():
    target = DensityTarget(spoiled, 1)
    assert target.troubles() == []
    target.log_prob(X[1:3])
    assert target.troubles() == []
    target.log_prob_and_score(X)
    nan, infinite = "a log density of NaN", "a log density of +inf"
    assert target.troubles() == [f"{nan} at 1 (17 %) of 6 points", f"{infinite} at 1 (17 %) of 6 points"]


def test_calls_add_up_over_both_ways_to_ask():
    target = DensityTarget(lambda x: x.sum(-1), 2)
    target.log_prob(torch.zeros(3, 2))
    target.log_prob_and_score(torch.zeros(5, 2))
    assert (target.calls, target.nonfinite) == (8, 0)


def test_a_sound_batch_asks_the_device_once_and_a_wrapper_never(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda t: asked.append(t) or bool(t.item()))
    monkeypatch.setattr(torch.Tensor, "__float__", lambda t: asked.append(t) or t.item())
    monkeypatch.setattr(torch.Tensor, "__int__", lambda t: asked.append(t) or int(t.item()))
    white = WhitenedTarget(DensityTarget(spoiled, 1), torch.zeros(1), torch.eye(1))
    white.log_prob_and_score(X[1:2])
    assert len(asked) == 1
    white.log_prob_and_score(X)
    assert white.troubles() == white.target.troubles() and white.nonfinite == 2 and white.calls == 5


def test_log_prob_is_differentiable_and_its_gradient_is_the_score_from_one_call():
    target = DensityTarget(spoiled, 1)
    x = X.clone().requires_grad_()
    (2 * target.log_prob(x)).nan_to_num(neginf=0.0).sum().backward()
    assert target.calls == 4
    assert x.grad is not None and torch.equal(x.grad, 2 * target.log_prob_and_score(X)[1])
    with torch.no_grad():
        assert not target.log_prob(x).requires_grad


def test_a_second_derivative_is_refused():
    x = torch.ones(2, 1, requires_grad=True)
    value = DensityTarget(lambda x: -x.square().sum(-1), 1).log_prob(x)
    (score,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable|does not require grad"):
        torch.autograd.grad(score.sum(), x)
