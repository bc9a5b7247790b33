"""Whether a sampler visits every mode, and as often as it should."""

from __future__ import annotations

import torch

from amortized._types import Tensor


def mode_weights(labels: Tensor, count: int) -> Tensor:
    """Fraction of the draws in each of ``count`` modes; ``(N, *groups)`` int64 -> ``(*groups, count)`` float64.

    Groups are independent questions about one draw, such as the two wells of each block of Manywell.
    Raises ValueError for a label outside ``0 … count − 1``.

    >>> mode_weights(torch.tensor([0, 2, 2, 2]), 3).tolist()
    [0.25, 0.0, 0.75]
    """
    if labels.numel() == 0 or labels.is_floating_point():
        raise ValueError(f"labels: {labels.dtype}, shape {tuple(labels.shape)}; should be (N, *groups) whole numbers")
    if int(labels.min()) < 0 or int(labels.max()) >= count:
        low, high = int(labels.min()), int(labels.max())
        raise ValueError(
            f"labels: from {low} to {high}, should lie in 0 … {count - 1}; write mode_weights(labels, {high + 1})"
        )
    modes = torch.arange(count, device=labels.device)
    return torch.stack([(labels == mode).double().mean(0) for mode in modes], -1)


def entropic_mode_coverage(labels: Tensor, weights: Tensor) -> float:
    """``EMC = 1 − KL(h ‖ w) / log(1 / min w)``: 1 where the histogram h of modes is the truth w, 0 at worst.

    For equal weights this is ``H(h) / log(number of modes)``, the EMC of "Beyond ELBOs", arXiv 2406.07423; for unequal
    ones the formula is ours, so that one number covers both: 0 means that all draws lie in the rarest mode.
    ``labels: (N, *groups)``, averaged over groups; ``weights: (count,)`` or ``(*groups, count)``. Biased down by about
    ``(count − 1) / (2 N log(1 / min w))``. Raises ValueError unless the weights are positive and sum to one.

    >>> entropic_mode_coverage(torch.tensor([0, 1, 0, 1]), torch.full((4,), 0.25))
    0.5
    """
    weights = _checked(weights).to(labels.device)
    histogram = mode_weights(labels, weights.shape[-1])
    divergence = torch.special.xlogy(histogram, histogram / weights).sum(-1)
    return float((1 + divergence / weights.amin(-1).log()).mean())


def largest_mode_weight_error(labels: Tensor, weights: Tensor) -> float:
    """``max |h − w|`` over all modes and groups, between 0 and 1; shapes as in ``entropic_mode_coverage``.

    >>> largest_mode_weight_error(torch.tensor([0, 1, 0, 1]), torch.full((4,), 0.25))
    0.25
    """
    weights = _checked(weights).to(labels.device)
    return float((mode_weights(labels, weights.shape[-1]) - weights).abs().amax())


def _checked(weights: Tensor) -> Tensor:
    """Weights as float64 that sum to one."""
    if weights.shape[-1] < 2 or not bool((weights > 0).all()):
        raise ValueError(f"weights: {weights.tolist()}, should be two or more positive numbers; leave absent modes out")
    total = weights.double().sum(-1, keepdim=True)
    if not bool(((total - 1).abs() < 1e-4).all()):
        raise ValueError(
            f"weights: they sum to {total.flatten().tolist()}; write weights / weights.sum(-1, keepdim=True)"
        )
    return weights.double() / total
