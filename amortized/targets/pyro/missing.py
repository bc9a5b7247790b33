"""Data known in part: the two halves into which Pyro splits a site with ``obs_mask``."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

import torch
from pyro.poutine.mask_messenger import MaskMessenger
from pyro.poutine.runtime import _PYRO_STACK
from pyro.primitives import _masked_observe

from amortized._types import Tensor
from amortized.targets.pyro.bijections import bijection

FIRST, SECOND = "_observed", "_unobserved"
"""What Pyro adds to the name of a site for its two halves (``pyro.primitives._masked_observe``)."""


class Halves:
    """Follows one pass through a model, and tells which elements of a latent ``obs_mask`` has observed.

    Pyro makes three sites of ``pyro.sample("x", fn, obs=y, obs_mask=known)``. ``x_observed`` is masked to the known
    elements, ``x_unobserved`` to the others, though it is sampled whole. ``x`` takes each element from its half.
    """

    def __init__(self):
        self._first: dict[str, Any] | None = None
        self._mask: Tensor | None = None
        self.first_is_latent = False

    def observe(self, message: dict[str, Any]) -> None:
        """Notes the first half, and replaces a NaN at an unknown element by a number, whose gradient is not NaN."""
        if not message["name"].endswith(FIRST) or not _is_split():
            return
        self._first, self._mask, self.first_is_latent = message, _own_mask(), not message["is_observed"]
        value = message["value"]
        if self._mask is not None and isinstance(value, Tensor) and value.is_floating_point():
            known = _over_events(self._mask, message["fn"].event_dim)
            message["value"] = torch.where(known | ~value.isnan(), value, _any_value(message["fn"], value))

    def known(self, message: dict[str, Any]) -> Tensor | None:
        """Which elements of a second half are known, bool, broadcastable to its batch; None for other latents."""
        first, mask = self._first, _own_mask()
        if first is None or self._mask is None or mask is None:
            return None
        second = message["name"].startswith(first["name"][: -len(FIRST)] + SECOND)
        return self._mask if second and _is_split() else None

    def completed(self, message: dict[str, Any], value: Tensor) -> Tensor:
        """The value of a second half with the known elements in their places, if the site is not reparametrized."""
        known, first = self.known(message), self._first
        if known is None or first is None or not message["name"].endswith(SECOND) or first["value"] is None:
            return value
        observed = first["value"].to(value.dtype)
        while observed.ndim > value.ndim:  # Pyro repeats data along the states of a summed-out latent, on the left
            observed = observed[0]
        return torch.where(_over_events(known, message["fn"].event_dim), observed, value)


def whole_name(name: str, sites: Collection[str]) -> str:
    """The user's own name of a site; ``sites`` are the names beside it in the trace.

    >>> whole_name("y_observed", ["y_observed", "y_unobserved", "y"]), whole_name("y_observed", ["y_observed", "y"])
    ('y', 'y_observed')
    """
    whole = name.removesuffix(FIRST)
    return whole if whole in sites and whole + SECOND in sites else name


def unknown_only(each: Tensor, known: Tensor | None, batch: torch.Size) -> Tensor:
    """Terms ``(*batch, ...)`` summed by element of the batch, 0 for known elements; unchanged without ``known``."""
    if known is None:
        return each
    by_element = each.reshape(batch + (-1,)).sum(-1)
    return torch.where(known, torch.zeros_like(by_element), by_element)


def _is_split() -> bool:
    """Whether Pyro makes this statement out of one with ``obs_mask``; a user's own site may have such a name too."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not _masked_observe.__code__:
        frame = frame.f_back
    return frame is not None


def _own_mask() -> Tensor | None:
    """The mask of the innermost handler: ``obs_mask`` without the masks around the statement."""
    handler = _PYRO_STACK[-1] if _PYRO_STACK else None
    mask = handler.mask if isinstance(handler, MaskMessenger) else None
    return mask if isinstance(mask, Tensor) else None


def _over_events(mask: Tensor, event_dim: int) -> Tensor:
    return mask.reshape(mask.shape + (1,) * event_dim)


def _any_value(fn: Any, like: Tensor) -> Tensor:
    """A value in the support."""
    try:
        transform: Any = bijection(fn.support)
    except NotImplementedError:  # a discrete support: 0 is in it
        return torch.zeros_like(like)
    shape = torch.Size(fn.batch_shape + fn.event_shape)
    return transform(like.new_zeros(transform.inverse_shape(shape))).detach()
