"""A perceptron of everything that the context holds."""

import math

import numpy as np
import pytest
import torch

from amortized.policies.embeddings import Perceptron
from amortized.policies.embeddings.perceptron import statistics


def test_tensors_of_any_shape_are_joined():
    torch.manual_seed(0)
    embedding = Perceptron(size=7)
    image, number = torch.randn(4, 2, 3), torch.randn(4)
    first = embedding(image, number)
    assert first.shape == (4, embedding.size)
    for changed in (embedding(image + 1.0, number), embedding(image, number + 1.0)):
        assert (changed != first).any(1).all()


@pytest.mark.parametrize("context", [(), (torch.tensor(1.0),), (torch.zeros(3, 2), torch.zeros(4, 2))])
def test_tensors_without_one_batch_are_refused(context: tuple[torch.Tensor, ...]):
    with pytest.raises(ValueError, match=r"context: \[.*\], should be tensors \(B, \*shape\)"):
        Perceptron()(*context)


def test_statistics_are_those_of_numpy():
    """Of 50 rows in float64, to the 1e-6 that is added to each variance."""
    rows = torch.randn(3, 50, 3, generator=torch.Generator().manual_seed(0)).double()
    found = statistics(rows)
    for each, own in zip(rows.numpy(), found, strict=True):
        correlations = np.corrcoef(each.T)[[1, 2, 2], [0, 0, 1]]
        std = each.std(0)
        expected = np.concatenate([each.mean(0), std, np.log(std), np.arctanh(0.999 * correlations)])
        np.testing.assert_allclose(own.numpy(), expected, atol=1e-5)


def test_statistics_of_equal_rows_and_of_rows_on_a_line_are_finite():
    line = torch.arange(5.0)[None, :, None] * torch.tensor([1.0, -2.0])
    assert statistics(torch.zeros(2, 5, 2)).isfinite().all()
    assert statistics(line)[0, -1].item() == pytest.approx(-math.atanh(0.999), rel=1e-2)


def test_tables_are_read_by_their_statistics_too():
    """6 numbers and 3 · 2 + 1 statistics of three rows of two; an image of nine columns has its numbers alone."""
    assert _inputs(torch.randn(4, 3, 2)) == 6 + 7
    assert _inputs(torch.randn(4, 5)) == 5 + 3
    assert _inputs(torch.randn(4, 3, 9)) == 27
    assert _inputs(torch.randn(4, 2, 2)) == 4


def _inputs(part: torch.Tensor) -> int:
    embedding = Perceptron(size=2)
    embedding(part)
    return embedding.read.in_features


def test_it_learns_a_product():
    """Mean squared error of x₀ x₁ for standard normal x under a tenth of its variance, 1, after 200 steps."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    embedding = Perceptron(size=1, width=32)
    embedding(torch.zeros(1, 2))
    optimiser = torch.optim.Adam(embedding.parameters(), 5e-3)
    for _ in range(200):
        x = torch.randn(128, 2, generator=generator)
        loss = (embedding(x)[:, 0] - x.prod(-1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
