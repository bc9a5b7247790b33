"""The choice of coordinates for all data sets at once: one c for every element whose prior moves with other latents.

Pairs that the model simulates are exact posterior draws of their own data sets, so that no Gaussian is fitted. c is the
lower decile of k / (I + k) over all pairs, as ``targets.pyro.choosing`` says.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import torch

from amortized.parallel.ranks import Ranks
from amortized.targets.conditional.model import CONTEXT
from amortized.targets.conditional.simulation import check_simulation, simulate
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.cost import timed
from amortized.targets.pyro.choosing import AS_WRITTEN, Choice, WithLogits, chosen, deciles, moved_by, reasons_to_stay
from amortized.targets.pyro.frames import frames

PAIRS, FEWEST = 512, 64
"""Pairs, and those that are enough where a density is expensive: their share below the decile is known to .013 and
.04."""


@torch.no_grad()
def choose_for_all(target: ConditionalTarget, seed: int, seconds: float) -> Choice:
    """c of every element whose frame moves, at pairs that the model simulates.

    Args:
        target: As the model is written.
        seed: Of the pairs.
        seconds: Limit.

    Returns:
        The choice. Its ``centring`` is empty if no frame moves, if vmap cannot batch the model, or if there is no time.

    Raises:
        ModelError: The model cannot simulate its data.
    """
    ends, joint = time.perf_counter() + seconds, target.joint
    found = frames(joint.program)
    reasons = reasons_to_stay(found)
    reasons.pop(CONTEXT, None)
    if not found.moving:
        return Choice({}, reasons)
    if not joint.batching.startswith("vmap"):
        return Choice({}, reasons | dict.fromkeys(found.moving, "as written: vmap cannot batch the model"))
    check_simulation(target, target.rows)
    wide = WithLogits(joint.program, replace(found, constant=()))
    batch = joint.batched(wide)
    for count in (PAIRS, FEWEST):
        places = torch.arange(count, device=target.device) % len(target.rows)
        x, rows = simulate(target, target.rows[places], seed)
        points = wide.at(target.coordinates(rows, x), AS_WRITTEN)
        _, once = timed(partial(batch.log_prob_and_score, points))
        if 2 * len(wide.places) * once < ends - time.perf_counter():
            return chosen(wide, deciles(wide, batch, *batch.map(wide.standardized, points)), reasons)
    return Choice({}, reasons | dict.fromkeys(found.moving, "as written: the time was too short to choose"))


def in_coordinates_for_all(
    target: ConditionalTarget,
    seed: int,
    seconds: float,
    ranks: Ranks = Ranks(),  # noqa: B008
) -> tuple[ConditionalTarget, dict[str, str]]:
    """The target in the coordinates that were chosen for all data sets, or itself, and why for each latent site.

    Args:
        target: As the model is written.
        seed: Of the choice and of the new target's checks.
        seconds: Limit of the choice; the new target may take as long again to be recorded.
        ranks: The processes that train together: all take the choice of the first.
    """
    choice, *_ = ranks.gathered(choose_for_all(target, seed, seconds))
    joint, reasons = moved_by(choice, target.joint, seed, seconds)
    return (target if joint is target.joint else target.with_joint(joint)), reasons
