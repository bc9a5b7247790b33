"""Data that are known in part: the two halves into which Pyro splits a site with ``obs_mask``."""

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


class Halves:
    """Follows one pass through a model and says which elements of a latent ``obs_mask`` has observed already.

    ``pyro.sample("x", fn, obs=y, obs_mask=known)`` is three sites to Pyro: ``x_observed`` masked to the known elements,
    ``x_unobserved`` masked to the others though it is sampled whole, and ``x``, which takes each element from its half.
    """

    def __init__(self):
        self._first: dict[str, Any] | None = None
        self._mask: Tensor | None = None
        self._given = True

    def first_is_latent(self) -> bool:
        return not self._given

    def observe(self, message: dict[str, Any]) -> None:
        """Notes the first half; a NaN of it that is not known becomes a number, whose gradient is not NaN."""
        if not message["name"].endswith(FIRST) or not _is_split():
            return
        self._first, self._mask, self._given = message, _own_mask(), message["is_observed"]
        value = message["value"]
        if self._mask is not None and isinstance(value, Tensor) and value.is_floating_point():
            known = _over_events(self._mask, message["fn"].event_dim)
            message["value"] = torch.where(known | ~value.isnan(), value, _any_value(message["fn"], value))

    def known(self, message: dict[str, Any]) -> Tensor | None:
        """Which elements of the batch of a latent are known, broadcastable to it; None for any other latent."""
        first, mask = self._first, _own_mask()
        if first is None or self._mask is None or mask is None:
            return None
        second = message["name"].startswith(first["name"][: -len(FIRST)] + SECOND)
        return self._mask if second and _is_split() else None

    def completed(self, message: dict[str, Any], value: Tensor) -> Tensor:
        """The value of a second half with what is known in its place, as far as the site is not reparametrized."""
        known, first = self.known(message), self._first
        if known is None or first is None or not message["name"].endswith(SECOND) or first["value"] is None:
            return value
        observed = first["value"].to(value.dtype)
        while observed.ndim > value.ndim:  # Pyro repeats data along the states of a summed-out latent, on the left
            observed = observed[0]
        return torch.where(_over_events(known, message["fn"].event_dim), observed, value)


def whole_name(name: str, sites: Collection[str]) -> str:
    """The user's own name of a site: of a first half that of the whole, which is beside it in the trace.

    >>> whole_name("y_observed", ["y_observed", "y_unobserved", "y"]), whole_name("y_observed", ["y_observed", "y"])
    ('y', 'y_observed')
    """
    whole = name.removesuffix(FIRST)
    return whole if whole in sites and whole + SECOND in sites else name


def unknown_only(each: Tensor, known: Tensor | None, batch: torch.Size) -> Tensor:
    """Terms ``(*batch, ...)`` of elements, 0 for those that are known."""
    if known is None:
        return each
    by_element = each.reshape(batch + (-1,)).sum(-1)
    return torch.where(known, torch.zeros_like(by_element), by_element)


def _is_split() -> bool:
    """Whether Pyro itself makes this statement out of one with ``obs_mask``; a user's own site may have such a name."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not _masked_observe.__code__:
        frame = frame.f_back
    return frame is not None


def _own_mask() -> Tensor | None:
    """The mask of the innermost handler: ``obs_mask`` itself, without the masks around the statement."""
    handler = _PYRO_STACK[-1] if _PYRO_STACK else None
    mask = handler.mask if isinstance(handler, MaskMessenger) else None
    return mask if isinstance(mask, Tensor) else None


def _over_events(mask: Tensor, event_dim: int) -> Tensor:
    return mask.reshape(mask.shape + (1,) * event_dim)


def _any_value(fn: Any, like: Tensor) -> Tensor:
    """An element of the support, in the shape of a value."""
    try:
        transform: Any = bijection(fn.support)
    except NotImplementedError:  # a discrete support, of which 0 is an element
        return torch.zeros_like(like)
    shape = torch.Size(fn.batch_shape + fn.event_shape)
    return transform(like.new_zeros(transform.inverse_shape(shape))).detach()
