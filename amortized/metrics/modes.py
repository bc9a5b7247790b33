"""Whether a sampler visits every mode, and each as often as it should."""

from __future__ import annotations

import torch

from amortized._types import Tensor


def mode_weights(labels: Tensor, count: int) -> Tensor:
    """The fraction of the draws in each mode, ``(*groups, count)`` float64.

    Args:
        labels: the mode of every draw, ``(N, *groups)`` int64. Groups are separate questions about one draw, such as
            the two wells of each block of Manywell.
        count: number of modes.

    Raises:
        ValueError: a label is not in ``0 … count − 1``.

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
    """``EMC = 1 − KL(h ‖ w) / log(1 / min w)``, averaged over groups; h is the histogram of the modes, w the truth.

    It is 1 if h = w, and 0 if all draws lie in the rarest mode. For equal weights it is ``H(h) / log(count)``, the EMC
    of "Beyond ELBOs", arXiv 2406.07423; for unequal weights the formula is ours. It is biased down by about
    ``(count − 1) / (2 N log(1 / min w))``.

    Args:
        labels: the mode of every draw, ``(N, *groups)`` int64.
        weights: the true weights ``(count,)`` or ``(*groups, count)``.

    Raises:
        ValueError: the weights are not positive, or do not sum to one.

    >>> entropic_mode_coverage(torch.tensor([0, 1, 0, 1]), torch.full((4,), 0.25))
    0.5
    """
    weights = _checked(weights).to(labels.device)
    histogram = mode_weights(labels, weights.shape[-1])
    divergence = torch.special.xlogy(histogram, histogram / weights).sum(-1)
    return float((1 + divergence / weights.amin(-1).log()).mean())


def largest_mode_weight_error(labels: Tensor, weights: Tensor) -> float:
    """``max |h − w|`` over all modes and groups, between 0 and 1; arguments as in ``entropic_mode_coverage``.

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
