"""An embedding of images."""

from __future__ import annotations

from torch import nn

from amortized._types import Tensor

SMALLEST = 8
"""Pixels a side: three halvings leave one."""


class Convolutional(nn.Module):
    """Three strided convolutions and a linear layer: images ``(B, H, W)`` or ``(B, C, H, W)`` to ``(B, size)``.

    Each convolution halves both sides. The first call fixes the image's size.

    Args:
        size: features.
        width: channels of the first convolution; the others have twice as many.

    Raises:
        ValueError: in a call, for anything but one tensor of images of at least 8 by 8 pixels.

    >>> import torch
    >>> Convolutional(size=8)(torch.randn(5, 28, 28)).shape
    torch.Size([5, 8])
    """

    def __init__(self, size: int = 64, width: int = 32):
        super().__init__()
        self.size = size
        self.network = nn.Sequential(
            nn.LazyConv2d(width, kernel_size=3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, kernel_size=3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, kernel_size=3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.LazyLinear(size),
        )

    def forward(self, *context: Tensor) -> Tensor:
        shapes = [tuple(tensor.shape) for tensor in context]
        if len(context) != 1 or context[0].ndim not in (3, 4) or min(context[0].shape[-2:]) < SMALLEST:
            raise ValueError(
                f"context: {shapes}, should be one tensor of images (B, H, W) or (B, C, H, W) of at least "
                f"{SMALLEST} by {SMALLEST} pixels; write embedding=Perceptron() for other data"
            )
        [images] = context
        return self.network(images if images.ndim == 4 else images[:, None])
