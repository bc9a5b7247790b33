"""Training over contexts: the recipe of one posterior, on a family of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from amortized._types import Callback, Generator, Tensor
from amortized.amortization.family import CONTEXTS
from amortized.amortization.prepare import Amortized
from amortized.behaviours import ContextBuffers
from amortized.targets.base import Target
from amortized.training.recipe import OffPolicy, Recipe, train_on
from amortized.training.record import Material, Training

JUDGED, REPEATS = 32, 4
"""Held-out contexts that judge, and backward paths for each."""
REMEMBERED = 32
"""Draws that the buffer of a context holds."""
ELEMENTS = 4_000_000
"""Of all triangles in memory at once: 32 MB in float64."""
BRIDGES = 8
"""For each draw in a batch: reading a context can cost more than all steps of a bridge."""
BRIDGE_BATCH = 4_096
"""Bridges in a step, of 512 contexts. With 64 a step costs half as much and teaches far less: on SLCP .05 and .06 of
the paths are effective with 64, .16 and .15 with 512, in the same seconds (``docs/results/sbibm.md``)."""
READ, FEWEST = 200_000, 64
"""Numbers of data that a step of bridges reads at most, and the fewest contexts: large data sets would fill memory."""

GRIDS = (0.25, 0.5, 1, 2)
"""Of sampling, times the steps of training. Posteriors that are nearly normal need a quarter of the steps."""


def for_contexts(recipe: Recipe) -> Recipe:
    """The same recipe in the amounts that many contexts need: longer stages, a few MALA moves at every second batch."""
    behaviour = recipe.behaviour
    if isinstance(behaviour, OffPolicy):
        behaviour = replace(behaviour, moves=5, every=2)
    return replace(
        recipe,
        bridge_steps=0 if recipe.objective(1).on_policy_only else 20_000,
        bridge_batch=BRIDGE_BATCH,
        bridge_share=0.8,
        steps=3_000,
        every=250,
        enough=0.96,
        patience=4,
        behaviour=behaviour,
        refinements=GRIDS,
        in_time=True,
        even=1.0,
    )


def train_family(
    made: Amortized,
    recipe: Recipe,
    seconds: float,
    generator: Generator,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Training:
    """Train the sampler on all contexts of the family; its buffers keep to one context each."""
    material = gather(made, generator)
    return train_on(material, made.sampler, recipe, seconds, generator, progress, callbacks)


@torch.no_grad()
def gather(made: Amortized, generator: Generator) -> Material:
    """What a recipe trains on: the draws in whitened coordinates. Held-out simulated pairs judge it."""
    family, indices = made.family, made.indices
    ends, log_target = _whitened(made)
    order = torch.randperm(family.simulated, generator=generator, device=indices.device)
    judged_rows = order[: min(JUDGED, family.simulated // 4)]
    training = torch.ones_like(indices, dtype=torch.bool)
    training[judged_rows] = False
    buffer = ContextBuffers(family.dim, len(family.rows), REMEMBERED, family.device)
    buffer.add(ends[training], log_target[training], indices=indices[training])
    judged = family.at(family.rows[indices[judged_rows]], indices[judged_rows])
    held_out = ends[judged_rows].repeat(REPEATS, 1), log_target[judged_rows].repeat(REPEATS)

    def draw(batch: int, generator: Generator | None) -> tuple[Target, Tensor]:
        x, rows = made.pairs.draw(min(batch // BRIDGES, max(FEWEST, READ // family.rows.shape[1])), generator)
        with torch.no_grad():
            white = family.at(rows)
            return white, white.whiten(x).repeat(BRIDGES, 1)

    embedding = getattr(made.sampler.policy, "embedding", None)
    return Material(family.among(indices[training]), draw, buffer, judged, held_out, embedding, made.run)


def _whitened(made: Amortized) -> tuple[Tensor, Tensor]:
    """All draws in their own context's coordinates, ``(N, D)``, with their log R there."""
    ends, log_targets = [], []
    at_once = max(1, ELEMENTS // made.family.dim**2)
    for x, indices in zip(made.x.split(at_once), made.indices.split(at_once), strict=True):
        white = made.family.at(made.family.rows[indices], indices)
        ends.append(white.whiten(x))
        log_targets.append(white.log_prob(ends[-1]).double())
    return torch.cat(ends), torch.cat(log_targets)


def check_batch(recipe: Recipe) -> None:
    """Raise ``ValueError`` where the contexts cannot share a training batch equally."""
    if recipe.batch % (2 * CONTEXTS):
        raise ValueError(
            f"recipe: batch={recipe.batch} is shared by {CONTEXTS} data sets, half of it fresh: write a multiple of "
            f"{2 * CONTEXTS}, Recipe(batch=256)"
        )
