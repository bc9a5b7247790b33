"""Sets: no order, any size, padding that changes nothing."""

import pytest
import torch

from amortized.policies.embeddings import DeepSets
from amortized.policies.embeddings.deep_sets import conditionals


def regression_data(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 20, 3, generator=generator), torch.randn(count, 20, generator=generator)


def test_order_of_rows_does_not_matter():
    torch.manual_seed(0)
    embedding, (x, y) = DeepSets(), regression_data(5)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(embedding(x[:, order], y[:, order]), embedding(x, y))


def test_rows_with_a_nan_are_as_if_absent():
    """Equal to the smaller set to the rounding of a sum in another order; one NaN anywhere drops the whole row."""
    torch.manual_seed(0)
    embedding, (x, y) = DeepSets(), regression_data(5)
    small = embedding(x[:, :12], y[:, :12])
    x[:, 12:16], y[:, 14:] = torch.nan, torch.nan
    x[:, 12:14, 1:] = 7.0
    torch.testing.assert_close(embedding(x, y), small)


def test_sizes_may_differ_within_a_batch():
    torch.manual_seed(0)
    embedding, (x, y) = DeepSets(), regression_data(3)
    sizes = [4, 20, 9]
    alone = torch.cat([embedding(x[i : i + 1, :n], y[i : i + 1, :n]) for i, n in enumerate(sizes)])
    y = torch.where(torch.arange(20) < torch.tensor(sizes)[:, None], y, torch.nan)
    torch.testing.assert_close(embedding(x, y), alone)


def test_size_of_a_set_is_seen():
    torch.manual_seed(0)
    embedding, (x, y) = DeepSets(), regression_data(1)
    twice = embedding(x.repeat(1, 2, 1), y.repeat(1, 2))
    assert (twice - embedding(x, y)).abs().max() > 1e-3


@pytest.mark.parametrize("present", [0, 6])
def test_gradients_are_finite_beside_padding_and_for_the_empty_set(present: int):
    torch.manual_seed(0)
    embedding, (x, y) = DeepSets(), regression_data(4)
    x[:, present:], y[0, 2] = torch.nan, torch.nan
    x.requires_grad_()
    found = embedding(x, y)
    found.square().sum().backward()
    gradients = [x.grad, *(weights.grad for weights in embedding.parameters())]
    assert found.isfinite().all()
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_conditionals_hold_the_posterior_of_a_linear_regression():
    """y ~ N(xᵀβ, s²), β ~ N(0, I), rows (x, y) / s: mean (XᵀX + s² I)⁻¹ Xᵀy and, with y = 0, variance s² (…)⁻¹."""
    noise, (x, y) = 0.3, regression_data(4)
    precision = x.mT @ x + noise**2 * torch.eye(3)
    mean = torch.linalg.solve(precision, x.mT @ y[..., None])[..., 0]
    found = conditionals(torch.cat([x, y[..., None]], -1) / noise)
    torch.testing.assert_close(-found[:, 16:32].reshape(4, 4, 4)[:, 3, :3], mean)
    without = conditionals(torch.cat([x, torch.zeros(4, 20, 1)], -1) / noise)
    variance = noise**2 * precision.inverse().diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(without[:, 32:35].exp(), variance)


def test_rows_far_outside_the_training_range_stay_finite():
    torch.manual_seed(0)
    embedding, (x, y) = DeepSets(), regression_data(2)
    assert embedding(1e5 * x, y).isfinite().all()


@pytest.mark.parametrize("shapes", [[(5,)], [(5, 4), (5, 3, 2)], [(5, 4, 2, 2)], []])
def test_tensors_without_common_rows_are_refused(shapes: list[tuple[int, ...]]):
    with pytest.raises(ValueError, match=r"context: \[.*\], should be tensors \(B, N\) or \(B, N, F\)"):
        DeepSets()(*map(torch.zeros, shapes))
