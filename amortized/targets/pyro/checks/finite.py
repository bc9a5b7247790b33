"""Whether an argument with NaN or inf is the reason why a model has no finite density."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from amortized._types import Tensor
from amortized.targets.conditional.model import ContextualModel
from amortized.targets.pyro.arguments import Call, parts_by_name
from amortized.targets.pyro.trace import ModelError


def check_finite(call: Call, is_finite: Callable[[Call], bool]) -> None:
    """Raises ``ModelError`` if the density is not finite, and would be without the NaN or inf of an argument.

    NaN behind a mask and inf as a bound are legal: the density is finite with them.

    Args:
        call: The model with its arguments.
        is_finite: Runs a call, and says whether its density is finite.
    """
    model, args, kwargs = call
    program = getattr(model, "__self__", None)
    if isinstance(program, ContextualModel):  # its data sets were judged when read, its other arguments were not
        values = zip(program.contexts.names, program.values(program.first), strict=True)
        plain = program.called_with(dict(values))
        model, args, kwargs = call = (program.model, plain.args, plain.kwargs)
    suspects = {name: value for name, value in parts_by_name(model, args, kwargs).items() if _has_holes(value)}
    if not suspects or is_finite(call):
        return
    each = [[value] for value in suspects.values()]
    for guilty in (*each, list(suspects.values())):  # one alone, or all of them together
        if is_finite((model, *_filled_call(guilty, args, kwargs))):
            name = next(name for name, value in suspects.items() if value is guilty[0])
            raise ModelError(_message(name, guilty[0]))


def _filled_call(guilty: Sequence[Tensor], args: Sequence, kwargs: Mapping[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a call with these tensors filled."""
    chosen = {id(value) for value in guilty}
    return pytree.tree_map(lambda part: _filled(part) if id(part) in chosen else part, (tuple(args), dict(kwargs)))


def _has_holes(value: Any) -> bool:
    dense = isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point()
    return dense and not bool(value.isfinite().all())


def _filled(value: Tensor) -> Tensor:
    """The tensor with its first finite value, which is probably legal, instead of what is not finite."""
    finite = value.isfinite()
    return torch.where(finite, value, value[finite][0] if finite.any() else torch.ones_like(value))


def _message(name: str, value: Tensor) -> str:
    bad = ~value.isfinite()
    kind = " and ".join(word for word, found in (("NaN", value.isnan()), ("inf", value.isinf())) if found.any())
    if value.ndim == 0:
        return f"argument {name!r} is {kind}, and the density of the model is not finite with it: pass a number"
    place = bad.nonzero()[0].tolist()
    keep = f"{name}.isfinite()" + ("" if value.ndim == 1 else ".flatten(1).all(1)" if value.ndim > 2 else ".all(1)")
    return (
        f"argument {name!r} holds {kind} at {int(bad.sum())} of its {value.numel()} values, the first at {place}, and "
        f"the density of the model is not finite with it. Keep the other rows of all arguments, {name}[keep] with "
        f"keep = {keep}"
    )
