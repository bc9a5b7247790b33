"""Whether the data of a site fit its distribution: their shape, and its support."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from amortized._types import Tensor
from amortized.targets.pyro.checks.ranges import described, inside
from amortized.targets.pyro.trace import Message, ModelError, unmasked

Objection = Callable[[], str | None]
"""What Pyro's own validation says against the density of the site; None if nothing."""


def check_shape(name: str, site: Message, objection: Objection, hint: str = "") -> str | None:
    """Whether data and distribution have the same shape, or the distribution can be repeated for the data.

    Args:
        name: The user's name of the site.
        site: The site of a trace.
        objection: What Pyro says against the site.
        hint: The end of every message.

    Returns:
        What to warn of: one value used for all elements; None if nothing.

    Raises:
        ModelError: They do not fit, or values would count several times.
    """
    value, fn = site["value"], site["fn"]
    if isinstance(value, (list, tuple, Tensor)) and math.prod(_shape(value)) == 0:
        raise ModelError(f"observed site {name!r} holds no data, its shape is {_shape(value)}: pass one value or more")
    if not isinstance(value, Tensor) or not hasattr(fn, "batch_shape"):
        return None
    batch, event = tuple(fn.batch_shape), tuple(fn.event_shape)
    fits, place = batch + event, value.ndim - len(event)
    own = tuple(value.shape[: max(0, place)])
    finding = f"observed site {name!r} has data of shape {tuple(value.shape)}, and its distribution has shape {fits}: "
    other_event = place < 0 or own + event != tuple(value.shape)
    if other_event:
        if objection() is not None:
            raise ModelError(f"{finding}pass {name} of shape {fits}{hint}")
        own, batch, event = tuple(value.shape), fits, ()  # Pyro broadcasts the data over the event as over a batch
    try:
        together = tuple(torch.broadcast_shapes(own, batch))
    except RuntimeError as error:
        raise ModelError((_beside_plate(name, site, own) or f"{finding}pass {name} of shape {fits}") + hint) from error
    if together not in (own, batch):
        way = _resize(value, fits, together + event)
        raise ModelError(f"{finding}together they would become {together + event}; write obs={name}.{way}{hint}")
    times = math.prod(together) // max(math.prod(own), 1)
    if math.prod(own) > 1 and times > 1:
        raise ModelError(
            f"{finding}every value would count {times} times; give the distribution the shape of the data{hint}, or "
            f"write obs={name}.expand({_sizes(together + event)}) if you mean that"
        )
    mask = None if other_event else site["mask"]
    if isinstance(mask, Tensor) and tuple(torch.broadcast_shapes(mask.shape, together)) != together:
        argument = "mask" if name == site["name"] else "obs_mask"
        raise ModelError(
            f"the mask of observed site {name!r} has shape {tuple(mask.shape)}, and the site has {together}: write "
            f"{argument}.{_resize(mask, together, together)}"
        )
    count = math.prod(together)
    if math.prod(own) == 1 < count and (own or hint):
        return (
            f"observed site {name!r} has one value for all {count} of its elements: pass {count} values{hint}, or "
            f"write obs={name}.expand({_sizes(together)}) if it stands for all"
        )
    return None


def check_support(name: str, site: Message, objection: Objection) -> None:
    """Raises ``ModelError`` for data outside the distribution's support that no mask leaves out."""
    value, fn = site["value"], site["fn"]
    if not isinstance(value, Tensor) or (in_support := inside(value, fn)) is None or in_support.all():
        return
    per_value, visible = in_support.shape == value.shape, unmasked(site)
    event_dims = (1,) * (value.ndim - in_support.ndim)
    wrong = ~in_support.reshape(in_support.shape + event_dims).expand(value.shape) & visible
    if not wrong.any() or objection() is None:
        return
    nans = int((value.isnan() & visible).sum())
    if nans:
        line = f"obs={name}.nan_to_num() under poutine.mask(mask=~{name}.isnan())"
        if name != site["name"]:  # the half that an obs_mask calls known
            line = f"obs_mask=~{name}.isnan()"
        raise ModelError(
            f"observed site {name!r}: {nans} of its {value.numel()} values are NaN; drop these rows, or write {line}"
        )
    place = tuple(wrong.nonzero()[0].tolist())
    first = f"{value[place].item():g}" + (f" at {list(place)}" if place else "")
    count = f"{int(wrong.sum())} of its {value.numel()} values"
    if not per_value:
        count = f"{int((~in_support).sum())} of its {in_support.numel()} {tuple(fn.event_shape)} vectors"
    raise ModelError(
        f"observed site {name!r}: {count} are outside the support of "
        f"{_kind(fn)}, {described(fn.support)} (the first is {first}); correct the data, or write a distribution "
        "that can have such values"
    )


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else (len(value),)


def _sizes(shape: tuple[int, ...]) -> str:
    """
    >>> _sizes((30,)), _sizes((3, 4))
    ('30', '3, 4')
    """
    return ", ".join(map(str, shape))


def _resize(value: Tensor, shape: tuple[int, ...], larger: tuple[int, ...]) -> str:
    """The call that gives ``value`` its ``shape``, or repeats it to a ``larger`` one if its elements are too few."""
    return f"reshape({_sizes(shape)})" if value.numel() == math.prod(shape) else f"expand({_sizes(larger)})"


def _kind(fn: Any) -> str:
    """The name of the distribution inside its wrappers."""
    while type(fn).__name__ in ("Independent", "MaskedDistribution", "ExpandedDistribution"):
        fn = fn.base_dist
    return type(fn).__name__


def _beside_plate(name: str, site: Message, own: tuple[int, ...]) -> str | None:
    """What to write if the data have other rows than a plate around the site; None if the plates fit."""
    fn, shape = site["fn"], tuple(site["value"].shape)
    by_rows = len(own) == len(fn.batch_shape) and len(own) + len(fn.event_shape) == len(shape)
    for frame in site["cond_indep_stack"] if by_rows else ():
        if frame.vectorized and len(own) >= -frame.dim and own[frame.dim] not in (1, frame.size):
            rows = own[frame.dim]
            return (
                f"observed site {name!r} has data of shape {shape}, and plate {frame.name!r} around it has "
                f"{frame.size} rows: pass {frame.size} values, or write pyro.plate({frame.name!r}, {rows}) for {rows}"
            )
    return None
