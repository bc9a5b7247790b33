"""A plain callable as a target."""

import pytest
import torch

from amortized.targets.callable import DensityTarget
from amortized.targets.compiler import REPAID, has_compiler


def test_value_score_and_site():
    target = DensityTarget(lambda x: -(x**4).sum(-1), dim=2, dtype=torch.float64, name="position")
    x = torch.randn(5, 2, dtype=torch.float64)
    value, score = target.log_prob_and_score(x)
    torch.testing.assert_close(value, -(x**4).sum(-1))
    torch.testing.assert_close(score, -4 * x**3)
    assert (target.dim, target.dtype, target.device.type) == (2, torch.float64, "cpu")
    assert list(target.constrain(x)) == ["position"] and target.constrain(x)["position"] is x


def test_the_score_is_there_without_grad_mode_and_leaves_the_input_alone():
    target = DensityTarget(lambda x: -(x**2).sum(-1), dim=2)
    x = torch.randn(5, 2)
    with torch.no_grad():
        _, score = target.log_prob_and_score(x)
    torch.testing.assert_close(score, -2 * x)
    assert not x.requires_grad


def test_a_plain_value_can_be_differentiated():
    x = torch.randn(5, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(DensityTarget(lambda x: -(x**2).sum(-1), dim=2).log_prob(x).sum(), x)
    torch.testing.assert_close(gradient, -2 * x.detach())


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler here")
def test_a_compiled_density_has_the_same_values_and_scores():
    plain, fast = (DensityTarget(lambda x: -(x**4).sum(-1) + x[:, 0].cos(), dim=2) for _ in range(2))
    assert fast.quicken(REPAID)
    for size in (1, 2, 7, 300):
        x = torch.randn(size, 2, generator=torch.Generator().manual_seed(size))
        for mine, want in zip(fast.log_prob_and_score(x), plain.log_prob_and_score(x), strict=True):
            torch.testing.assert_close(mine, want, rtol=1e-5, atol=1e-5)


def test_short_runs_are_not_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    target = DensityTarget(lambda x: -(x**2).sum(-1), dim=2)
    assert not target.quicken(REPAID - 1) and target._compiled is None
    assert target.quicken(REPAID)


def test_a_compiled_density_of_other_values_is_not_taken(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: lambda x: (function(x)[0], 1.1 * function(x)[1]))
    target = DensityTarget(lambda x: -(x**2).sum(-1), dim=2)
    assert not target.quicken(REPAID) and target.not_compiled == "its values differ"
    torch.testing.assert_close(target.log_prob_and_score(torch.ones(3, 2))[1], torch.full((3, 2), -2.0))


def test_a_density_that_no_compiler_takes_stays_as_it_is(monkeypatch):
    def fails(function, dynamic):
        raise RuntimeError("unsupported")

    monkeypatch.setattr(torch, "compile", fails)
    target = DensityTarget(lambda x: -(x**2).sum(-1), dim=2)
    assert not target.quicken(REPAID) and target.not_compiled == "RuntimeError: unsupported"
    assert target.log_prob_and_score(torch.ones(3, 2))[0].tolist() == [-2.0] * 3
