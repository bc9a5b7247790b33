"""Pairs of latents and data from a model's own prior: exact posterior draws for contexts that nobody had to observe."""

from __future__ import annotations

import torch
from pyro import poutine

from amortized._types import Sites, Tensor
from amortized.targets.conditional.model import CONTEXT
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.batching import drawn_together
from amortized.targets.pyro.trace import (
    LatentMessenger,
    Message,
    ModelError,
    differ,
    is_random_choice,
    sample_sites,
    undisturbed,
    unmasked,
)

CHUNK = 4_096
COMPARED = 3


class _Sampling(LatentMessenger):
    """Leaves every site to its distribution, and parameters at the values that the density has."""

    def is_latent(self, message: Message) -> bool:
        return False


def simulate(target: ConditionalTarget, rows: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``(z, c) ~ p(z, c)``: one pair for each of ``rows: (N, C)``, whose covariates and sizes of sets are kept.

    Returns unconstrained ``x: (N, D)`` and contexts ``(N, C)``. The model runs on all rows together where vmap can
    take its draws, else row by row. The same seed gives the same pairs.
    """
    with undisturbed(target.device), torch.no_grad():
        torch.manual_seed(seed)
        chunks = rows.to(target.device).split(CHUNK)
        pieces = [drawn_together(lambda row: _one(target, row), part) for part in chunks]
    contexts = torch.cat([contexts for _, contexts in pieces])
    sites = {name: torch.cat([latents[name] for latents, _ in pieces]) for name in target.latents}
    coordinates = target.program.coordinates(contexts).to(target.dtype)
    x = [
        target.joint.unconstrain({CONTEXT: places, **dict(zip(sites, values, strict=True))})
        for places, *values in zip(
            coordinates.split(CHUNK), *(value.split(CHUNK) for value in sites.values()), strict=True
        )
    ]
    return torch.cat(x)[:, target.program.size :].detach(), contexts


def _one(target: ConditionalTarget, row: Tensor) -> tuple[Sites, Tensor]:
    """The latents and the context of one draw of the joint law."""
    sites = sample_sites(_trace(target, row))
    return {name: sites[name]["value"] for name in target.latents}, _drawn(target, row, sites)


def _trace(target: ConditionalTarget, row: Tensor) -> poutine.Trace:
    with _Sampling(target.joint.structure.parameters):
        return poutine.trace(target.program.run).get_trace(row, simulate=True)


def _drawn(target: ConditionalTarget, row: Tensor, sites: dict[str, Message]) -> Tensor:
    """The row with what was drawn in the place of its data; what is masked there stays as it is, or missing."""
    program = target.program
    parts = dict(zip(program.contexts.names, program.contexts.split(row), strict=True))
    for site, name in program.sites.items():
        message = sites[site]
        drawn = message["value"].to(row.dtype).reshape(parts[name].shape)
        parts[name] = torch.where(unmasked(message).reshape(drawn.shape), drawn, parts[name])
    return torch.cat([part.reshape(-1) for part in parts.values()])


def check_simulation(target: ConditionalTarget, rows: Tensor) -> None:
    """Raises ``ModelError`` where simulated data have another density than the same data when observed.

    That is so where the model uses an observed value in another place too. ``rows: (N, C)``; three are tried.
    """
    with undisturbed(target.device), torch.no_grad():
        torch.manual_seed(0)
        try:
            for row in rows[:COMPARED]:
                _compare(target, row)
        except NotImplementedError as error:
            raise ModelError(
                f"the model cannot be simulated, one of its sites cannot draw: {error or 'no method sample()'}; give "
                "every latent a proper prior and every observed site a distribution that draws"
            ) from error


def _compare(target: ConditionalTarget, row: Tensor) -> None:
    trace = _trace(target, row)
    sites = sample_sites(trace)
    unseen = {name: site["value"] for name, site in sites.items() if _unseen(target, name, site)}
    with _Sampling(target.joint.structure.parameters):
        same = poutine.condition(target.program.run, unseen)
        observed = poutine.trace(same).get_trace(_drawn(target, row, sites))
    for name in target.program.sites:
        scale = torch.as_tensor(sites[name]["scale"])
        if not bool((scale == 1).all()):
            raise ModelError(
                f"observed site {name!r} has a scale of {float(scale.flatten()[0]):g}, so its density is not that of "
                "the data that it draws; take poutine.scale away to amortize over them"
            )
    one, other = float(trace.log_prob_sum()), float(observed.log_prob_sum())
    if differ(one, other):
        raise ModelError(
            f"data simulated from the model have log density {one:.6g}, and {other:.6g} once they are observed: the "
            f"model uses {', '.join(target.contexts.names)} in another place too, so that they cannot be drawn from "
            "it; pass what is used there as an argument of its own"
        )


def _unseen(target: ConditionalTarget, name: str, site: Message) -> bool:
    return name not in target.program.sites and is_random_choice({**site, "done": False})
