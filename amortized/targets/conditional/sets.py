"""Whether a model treats a set with missing rows as it treats the smaller set itself."""

from __future__ import annotations

import torch
from pyro import poutine
from pyro.poutine.subsample_messenger import _Subsample

from amortized._types import Tensor
from amortized.targets.conditional.model import ContextualModel
from amortized.targets.pyro.trace import Message, ModelError, differ, sample_sites, undisturbed


def check_sets(program: ContextualModel, rows: Tensor) -> None:
    """Raises ``ModelError``, naming the site, where the smallest of ``rows: (N, C)`` has another density alone.

    That is so where a model uses the number of rows: the rows that a smaller set lacks are masked, not taken out.
    """
    known = program.present(rows)
    if known is None:
        return
    present = known.sum(1)
    smallest, count, total = int(present.argmin()), int(present.min()), int(present.max())
    values = zip(program.contexts.names, program.values(rows[smallest]), strict=True)
    arguments = program.called_with({name: value[:count] for name, value in values})
    with undisturbed(rows.device), torch.no_grad():
        padded = _statements(poutine.trace(program.run).get_trace(rows[smallest]))
        latents = {name: _kept(site, total, count) for name, site in padded.items() if not site["is_observed"]}
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


def _kept(site: Message, total: int, count: int) -> Tensor:
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
