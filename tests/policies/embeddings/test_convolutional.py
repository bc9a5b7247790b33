"""Images with and without channels, from 8 by 8 pixels on."""

import pytest
import torch

from amortized.policies.embeddings import Convolutional


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (1, 9, 17), (3, 32, 32)])
def test_images_of_any_size_and_channels(shape: tuple[int, ...]):
    embedding = Convolutional(size=5, width=4)
    found = embedding(torch.randn(2, *shape))
    assert found.shape == (2, embedding.size)
    found.sum().backward()
    assert all(weights.grad is not None for weights in embedding.parameters())


def test_a_channel_may_be_left_out():
    embedding, images = Convolutional(size=5), torch.randn(2, 9, 9)
    torch.testing.assert_close(embedding(images[:, None]), embedding(images))


def test_far_apart_pixels_both_count():
    embedding, images = Convolutional(width=4), torch.zeros(1, 28, 28, requires_grad=True)
    embedding(images).square().sum().backward()
    assert images.grad is not None and (images.grad[0, [0, 0, -1, -1], [0, -1, 0, -1]] != 0).all()


@pytest.mark.parametrize("shapes", [[(2, 9)], [(2, 7, 9)], [(2, 9, 9), (2, 9, 9)], []])
def test_what_is_no_image_is_refused(shapes: list[tuple[int, ...]]):
    with pytest.raises(ValueError, match=r"context: \[.*\], should be one tensor of images"):
        Convolutional()(*map(torch.zeros, shapes))
