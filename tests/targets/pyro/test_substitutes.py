"""Replaced operations equal the originals, where those work."""

import pytest
import torch
import torch.nn.functional as functional

from amortized.targets.pyro.substitutes import Substitutes, cholesky_or_nan, cross_entropy


def test_cholesky_fails_alone():
    matrices = torch.stack([torch.eye(2), -torch.eye(2), 4 * torch.eye(2)])
    with Substitutes():
        factors = torch.linalg.cholesky(matrices)
    assert factors.isnan().flatten(1).any(-1).tolist() == [False, True, False]
    assert factors[2].equal(2 * torch.eye(2))
    upper = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    assert cholesky_or_nan(upper, upper=True).equal(torch.linalg.cholesky(upper).T)


@pytest.mark.skipif(tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 14), reason="torch 2.14 took it away")
def test_the_old_name_of_cholesky_is_the_same():
    with Substitutes():
        assert torch.eye(2).cholesky().equal(torch.eye(2))
        assert torch.cholesky(-torch.eye(2)).isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_entropy(dtype):
    logits = torch.linspace(-120, 120, 101, dtype=dtype)
    for target in (0.0, 0.3, 1.0):
        labels = torch.full_like(logits, target)
        want = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        torch.testing.assert_close(cross_entropy(logits, labels), want, rtol=1e-6, atol=1e-7)
        with Substitutes():
            mean = functional.binary_cross_entropy_with_logits(logits, labels)
        torch.testing.assert_close(mean, want.mean())


def test_what_the_model_allocates_can_be_filled():
    def running_sum(x):
        with Substitutes(torch.zeros_like(x[0])):
            sums = torch.zeros(3)
            sums[0] = x[0]
            for i in range(1, 3):
                sums[i] = sums[i - 1].clone() + x[i]
            sums[sums < 0] = 0.0
            return sums

    x = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.5, 4.0]])
    assert torch.func.vmap(running_sum)(x).equal(x.cumsum(-1).clamp(min=0))
    gradient = torch.func.vmap(torch.func.grad(lambda row: running_sum(row).sum()))(x)
    assert gradient.tolist() == [[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]


def test_clamp_and_data_under_vmap():
    def clamped(x):
        with Substitutes():
            return (x * 1).clamp_(min=0.0) + x.data

    assert torch.func.vmap(clamped)(torch.tensor([-1.0, 2.0])).tolist() == [-1.0, 4.0]
