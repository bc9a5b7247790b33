"""Whether a model whose data are named by their site looks at the argument behind that site in another place."""

from __future__ import annotations

from typing import Any

import torch
from pyro import poutine

from amortized._types import Tensor
from amortized.targets.conditional.model import ContextualModel
from amortized.targets.pyro.data import Casting
from amortized.targets.pyro.trace import ModelError, differ, sample_sites, undisturbed


def check_held(program: ContextualModel) -> None:
    """Raises ``ModelError``, naming the argument, where its change is felt though the sites that observe it are held.

    Such a model, ``obs=y[t]`` with a mean that reads ``y[t − 1]``, would see the data of ``fit`` there for ever.
    """
    names = [part.name for part in program.contexts.parts if not part.argument]
    if not names:
        return
    plain = program.arguments
    with undisturbed(program.first.device), torch.no_grad(), Casting():
        trace = poutine.trace(program.model).get_trace(*plain.args, **plain.kwargs)
        sites = sample_sites(trace)
        changed = _shifted(plain.arguments, [sites[name]["value"] for name in names])
        held = {name: site["value"] for name, site in sites.items() if name in names or not site["is_observed"]}
        arguments = program.called_with(changed)
        model = poutine.trace(poutine.condition(program.model, held))
        again = model.get_trace(*arguments.args, **arguments.kwargs)
    if differ(float(trace.log_prob_sum()), float(again.log_prob_sum())):
        raise ModelError(
            f"argument {', '.join(map(repr, changed))} is read in another place than at the sites {names} that are "
            "amortized over, and would keep its first values there; read the site's own value instead, "
            "previous = pyro.sample(..., obs=y[t])"
        )


def _shifted(arguments: dict[str, Any], values: list[Tensor]) -> dict[str, Tensor]:
    """The arguments in whose memory some of the values lie, these elements raised by one."""
    shifted = {}
    for name, argument in arguments.items():
        if not isinstance(argument, Tensor) or not argument.is_contiguous():
            continue
        inside = [value for value in values if _same_storage(value, argument)]
        changed = argument.clone()
        for value in inside:
            offset = value.storage_offset() - argument.storage_offset()
            changed.as_strided(value.size(), value.stride(), offset).add_(1)
        if inside:
            shifted[name] = changed
    return shifted


def _same_storage(value: Tensor, argument: Tensor) -> bool:
    return value.untyped_storage().data_ptr() == argument.untyped_storage().data_ptr() and value.numel() > 0
