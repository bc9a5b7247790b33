"""What a model must not do with its data for one sampler to serve every data set."""

from __future__ import annotations

from typing import Any

import torch
from pyro import poutine
from pyro.poutine.subsample_messenger import _Subsample

from amortized._types import Tensor
from amortized.targets.conditional.model import ContextualModel, is_data
from amortized.targets.pyro.data import Casting
from amortized.targets.pyro.trace import (
    Message,
    ModelError,
    differ,
    is_deterministic,
    is_discrete,
    is_random_choice,
    sample_sites,
    undisturbed,
)


def check_observed(program: ContextualModel, rows: Tensor) -> None:
    """Refuses a model in which data of the context enter a site in another form than their own.

    Args:
        program: The model of one context.
        rows: ``(N, C)``, the contexts.

    Raises:
        ModelError: If no site observes a part as it is, if another observed site is computed from a part, or if no
            continuous latent site is there.
    """
    names = program.contexts.names
    if not program.sites:
        raise ModelError(
            f"amortize={names}: no site observes any of these as it is, so data sets cannot be simulated from the "
            "model; name an observed site, amortize='site', or the argument that it observes (a factor draws no data)"
        )
    other = rows[-1] if len(rows) > 1 else rows[0] + 1.0
    with undisturbed(rows.device), torch.no_grad():
        traces = []
        for row in (rows[0], other):
            torch.manual_seed(0)
            traces.append(poutine.trace(program.run).get_trace(row))
    latents = [site for site in sample_sites(traces[0]).values() if is_random_choice({**site, "done": False})]
    if not any(not is_discrete(site) for site in latents):
        raise ModelError("the model has no continuous latent site beside its context; leave one without obs=")
    for name, site in sample_sites(traces[0]).items():
        if is_data(site) and name not in program.sites and not is_deterministic(site):
            again = traces[1].nodes[name]["value"]
            if site["value"].numel() and not torch.equal(site["value"], again):
                raise ModelError(
                    f"observed site {name!r} is computed from {names}, so data sets cannot be simulated from the "
                    f"model; name the site itself, amortize={name!r}, or pass its value as an argument of its own"
                )


def check_held(program: ContextualModel) -> None:
    """Refuses a model that reads an argument in another place than at the sites that observe it.

    An example is ``obs=y[t]`` with a mean of ``y[t − 1]``: that mean would keep the data of ``fit`` for ever. The check
    changes the argument and holds those sites: the density must not move.

    Raises:
        ModelError: It names the argument.
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
    """The arguments in whose memory some of the values lie, with these elements raised by one."""
    shifted = {}
    for name, argument in arguments.items():
        if not isinstance(argument, Tensor) or not argument.is_contiguous():
            continue
        inside = [value for value in values if _same_storage(value, argument)]
        if not inside:
            continue
        shifted[name] = argument.clone()
        for value in inside:
            offset = value.storage_offset() - argument.storage_offset()
            shifted[name].as_strided(value.size(), value.stride(), offset).add_(1)
    return shifted


def _same_storage(value: Tensor, argument: Tensor) -> bool:
    return value.untyped_storage().data_ptr() == argument.untyped_storage().data_ptr() and value.numel() > 0


def check_sets(program: ContextualModel, rows: Tensor) -> None:
    """Refuses a model that uses the number of rows of a set: missing rows are masked and still counted.

    The check compares the smallest set of ``rows: (N, C)``, with its missing rows, with the same set alone.

    Raises:
        ModelError: It names the site whose density differs.
    """
    present = program.present(rows)
    if present is None:
        return
    counts = present.sum(1)
    smallest, count, total = int(counts.argmin()), int(counts.min()), int(counts.max())
    values = zip(program.contexts.names, program.values(rows[smallest]), strict=True)
    arguments = program.called_with({name: value[:count] for name, value in values})
    with undisturbed(rows.device), torch.no_grad():
        padded = _statements(poutine.trace(program.run).get_trace(rows[smallest]))
        latents = {name: _present_value(site, total, count) for name, site in padded.items() if not site["is_observed"]}
        alone = poutine.trace(poutine.condition(program.model, latents))
        for name, site in _statements(alone.get_trace(*arguments.args, **arguments.kwargs)).items():
            one, other = float(_log_prob(site, count, count)), float(_log_prob(padded[name], total, count))
            if differ(one, other):
                raise ModelError(
                    f"site {name!r} has log density {one:.6g} for a set of {count} rows, and {other:.6g} for the same "
                    f"set with missing rows up to {total}: the model uses the number of rows itself; pass data sets of "
                    "one size, or that number as an argument of its own"
                )


def _statements(trace: poutine.Trace) -> dict[str, Message]:
    """The sample statements that are no plates."""
    return {name: site for name, site in sample_sites(trace).items() if not isinstance(site["fn"], _Subsample)}


def _present_value(site: Message, total: int, count: int) -> Tensor:
    """A latent's value without the rows that are missing."""
    return _first(site["value"], site, total, count, site["fn"].event_dim)


def _log_prob(site: Message, total: int, count: int) -> Tensor:
    value = site["fn"].log_prob(site["value"])
    return _first(value, site, total, count, 0).sum()


def _first(value: Tensor, site: Message, total: int, count: int, event_dim: int) -> Tensor:
    for frame in site["cond_indep_stack"]:
        dim = frame.dim - event_dim if frame.vectorized else 0
        if frame.vectorized and frame.size == total and value.ndim >= -dim and value.shape[dim] == total:
            value = value.narrow(dim, 0, count)
    return value
