"""Pairs of latents and data from a model's prior: each is an exact posterior draw for its own data."""

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
"""Pairs simulated together, to bound the memory."""
COMPARED = 3
"""Contexts at which simulated and observed data are compared; each takes two plain runs of the model."""


class _Sampling(LatentMessenger):
    """Draws every site from its distribution, with parameters at the values of the density."""

    def is_latent(self, message: Message) -> bool:
        return False


def simulate(target: ConditionalTarget, rows: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draws ``(z, c) ~ p(z, c)``, one pair for each of the rows.

    Args:
        target: The conditional target.
        rows: ``(N, C)``, contexts from which each pair takes its covariates and the size of its set.
        seed: The same seed gives the same pairs.

    Returns:
        Unconstrained latents ``(N, D)`` and contexts ``(N, C)``.
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
    """The latents and the context of one draw of the joint distribution."""
    sites = sample_sites(_trace(target, row))
    return {name: sites[name]["value"] for name in target.latents}, _drawn(target, row, sites)


def _trace(target: ConditionalTarget, row: Tensor) -> poutine.Trace:
    with _Sampling(target.joint.structure.parameters):
        return poutine.trace(target.program.run).get_trace(row, simulate=True)


def _drawn(target: ConditionalTarget, row: Tensor, sites: dict[str, Message]) -> Tensor:
    """The row with drawn data in place of its own; masked elements stay, and missing rows stay missing."""
    program = target.program
    parts = dict(zip(program.contexts.names, program.contexts.split(row), strict=True))
    for site, name in program.sites.items():
        message = sites[site]
        drawn = message["value"].to(row.dtype).reshape(parts[name].shape)
        parts[name] = torch.where(unmasked(message).reshape(drawn.shape), drawn, parts[name])
    return torch.cat([part.reshape(-1) for part in parts.values()])


def check_simulation(target: ConditionalTarget, rows: Tensor) -> None:
    """Refuses a model whose simulated data have another density than the same data when observed.

    Such a model uses an observed value in another place too.

    Args:
        target: The conditional target.
        rows: ``(N, C)``; the first three are tried.

    Raises:
        ModelError: It names the sites or arguments at fault.
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
