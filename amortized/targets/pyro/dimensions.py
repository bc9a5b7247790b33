"""Which plate stands behind each dimension of a site's value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from amortized._types import Sites
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.predictive import at_the_first
from amortized.targets.pyro.trace import Message

Names = tuple[str | None, ...]
"""A plate's name for each dimension of a value; None where no plate is behind it."""


class Dimensions(NamedTuple):
    """Plates behind the values of every site.

    Args:
        values: Names of the dimensions of each site's value.
        terms: Those of each observed site's log likelihood, which has no event dimensions.
        sizes: Of each plate.
    """

    values: dict[str, Names]
    terms: dict[str, Names]
    sizes: dict[str, int]


def dimensions_of(target: ModelTarget, sites: Sites) -> Dimensions:
    """The plates of all latent, deterministic and observed sites.

    A deterministic site outside its plates, such as ``mu + tau * z`` below them, gets a plate's name where only one
    plate has that size.

    Args:
        target: The density with the model behind it.
        sites: Draws of the latents, ``{name: (B, *shape)}``; the model runs at the first.
    """
    messages = at_the_first(target, sites)
    sizes = _sizes(messages)
    values: dict[str, Names] = {}
    terms: dict[str, Names] = {}
    for name, message in messages.items():
        found = message["value"]
        if name in target.latents or name in target.observed:
            batch = found.ndim - message["fn"].event_dim
            names = _names(found.shape[:batch], message, sizes)
            values[name], terms[name] = (*names, *[None] * (found.ndim - batch)), names
        elif name in target.deterministic:
            names = _names(found.shape, message, sizes)
            values[name] = names if any(names) else by_size(found.shape, sizes)
    return Dimensions(values, {name: names for name, names in terms.items() if name in target.observed}, sizes)


def _sizes(messages: Mapping[str, Message]) -> dict[str, int]:
    """Sizes of the vectorized plates; a name that two plates of different size share is left out."""
    found: dict[str, set[int]] = {}
    for message in messages.values():
        for frame in message["cond_indep_stack"]:
            if frame.vectorized:
                found.setdefault(frame.name, set()).add(frame.size)
    return {name: sizes.pop() for name, sizes in found.items() if len(sizes) == 1}


def _names(shape: Sequence[int], message: Message, sizes: Mapping[str, int]) -> Names:
    """The plate at each dimension of a batch of this shape; a plate along which the batch has size 1 is not there."""
    names: list[str | None] = [None] * len(shape)
    for frame in message["cond_indep_stack"]:
        place = len(shape) + frame.dim if frame.vectorized else -1
        if place >= 0 and frame.name in sizes and shape[place] == frame.size:
            names[place] = frame.name
    return tuple(names)


def by_size(shape: Sequence[int], sizes: Mapping[str, int]) -> Names:
    """The only plate of each size; None where there are none or several, and for a size that appears twice.

    >>> by_size((8, 3, 2), {"schools": 8, "years": 3, "months": 3})
    ('schools', None, None)
    """
    found = {size: [name for name, other in sizes.items() if other == size] for size in shape if size > 1}
    alone = {size: names[0] for size, names in found.items() if len(names) == 1 and list(shape).count(size) == 1}
    return tuple(alone.get(size) for size in shape)
