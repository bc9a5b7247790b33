"""Time features: cosines that tell times apart."""

import math

import torch

from amortized.policies.embeddings import CosineTime


def test_features_are_cosines_of_whole_half_turns():
    t = torch.tensor([[0.0], [0.3], [1.0]])
    expected = torch.stack([torch.cos(math.pi * j * t[:, 0]) for j in range(5)], -1)
    torch.testing.assert_close(CosineTime(5)(t), expected)


def test_any_leading_shape_and_the_dtype_of_time():
    features = CosineTime(4)(torch.rand(3, 2, 1, dtype=torch.float64))
    assert features.shape == (3, 2, 4) and features.dtype == torch.float64


def test_times_of_a_fine_grid_differ():
    features = CosineTime()(torch.linspace(0, 1, 101)[:, None])
    distances = torch.cdist(features, features) + 9 * torch.eye(101)
    assert distances.min() > 0.1
