"""A perceptron of everything that the context holds."""

import pytest
import torch

from amortized.policies.embeddings import Perceptron


def test_tensors_of_any_shape_are_joined():
    torch.manual_seed(0)
    embedding = Perceptron(size=7)
    image, number = torch.randn(4, 3, 2), torch.randn(4)
    first = embedding(image, number)
    assert first.shape == (4, embedding.size)
    torch.testing.assert_close(embedding(torch.cat([image.flatten(1), number[:, None]], -1)), first)


@pytest.mark.parametrize("context", [(), (torch.tensor(1.0),), (torch.zeros(3, 2), torch.zeros(4, 2))])
def test_tensors_without_one_batch_are_refused(context: tuple[torch.Tensor, ...]):
    with pytest.raises(ValueError, match=r"context: \[.*\], should be tensors \(B, \*shape\)"):
        Perceptron()(*context)


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
