"""A guide's draws as Pyro takes them: ``Delta`` sites, and a factor with their log density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine

from amortized._types import Sites, Tensor
from amortized.guide.fitted import Fitted
from amortized.targets.pyro.trace import LatentSite


def emit(fitted: Fitted, args: Sequence, kwargs: Mapping[str, Any], device: torch.device) -> Sites:
    """Draw as many times as the enclosing plates ask for, and give Pyro the latents and one factor.

    The factor is ``log p₀ + Σ (log P_F − log P_B) − log |det dz/dx|``. If the paths belong to the rows of a plate, each
    row has a factor of its own there.
    """
    plates = dist.Normal(torch.zeros((), device=device), 1.0).mask(False)
    shape = pyro.sample("_amortized_plates", plates, infer={"is_auxiliary": True}).shape
    with poutine.block():
        proposal = fitted.propose(args, kwargs, shape.numel())
    values, local = proposal.values, proposal.plate
    log_factor = proposal.path.log_proposal - proposal.log_dets
    rows = len(log_factor) // shape.numel()
    frames = {frame for site in fitted.latents.values() for frame in site.plates}
    opened = {name: pyro.plate(name, rows if name == local else size, dim=dim) for name, size, dim in sorted(frames)}
    if local is None:
        pyro.factor("_amortized_path", log_factor.reshape(shape), has_rsample=True)
    else:
        dim = next(dim for name, _, dim in frames if name == local)
        outer = torch.Size((1,) * (-dim - len(shape))) + shape
        each = log_factor.reshape(outer.numel(), rows)
        place = len(outer) + dim
        with opened[local]:
            factor = each.reshape(*outer[:place], *outer[place + 1 :], rows).movedim(-1, place)
            pyro.factor("_amortized_path", factor, has_rsample=True)
    draws = {}
    for name, site in fitted.latents.items():
        value = values[name] if local is None else _in_plate(values[name], site, local, rows)
        plate_dims = len(site.shape) - site.event_dim
        value = value.reshape(shape[: max(0, len(shape) - plate_dims)] + value.shape[1:])
        with ExitStack() as stack:
            for plate, _, _ in site.plates:
                stack.enter_context(opened[plate])
            draws[name] = pyro.sample(name, dist.Delta(value, event_dim=site.event_dim))
    return draws


def _in_plate(value: Tensor, site: LatentSite, local: str, rows: int) -> Tensor:
    """``(n · M, *shape)`` to ``(n, *shape)``: the M rows move into their plate, which had size 1."""
    dim = next(dim for name, _, dim in site.plates if name == local)
    place = 1 + len(site.shape) - site.event_dim + dim
    return value.unflatten(0, (-1, rows)).movedim(1, place).squeeze(place + 1)


def quantiles_of(draws: Sites, latents: Mapping[str, LatentSite], levels: Sequence[float]) -> Sites:
    """Quantiles ``{site: (levels, ..., *event)}`` of the latent sites, from draws ``{site: (..., N, *event)}``.

    Raises:
        ValueError: A level outside 0 to 1.
    """
    if not all(0 <= level <= 1 for level in levels):
        raise ValueError(f"quantiles={levels}: write levels between 0 and 1, for instance [0.05, 0.5, 0.95]")
    found = {}
    for name, site in latents.items():
        wanted = torch.as_tensor(levels, dtype=draws[name].dtype, device=draws[name].device)
        found[name] = draws[name].quantile(wanted, dim=draws[name].ndim - 1 - len(site.shape))
    return found
