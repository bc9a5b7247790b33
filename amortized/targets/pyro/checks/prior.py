"""What a model does at draws of its prior: whether its sites come and go, and whether it raises."""

from __future__ import annotations

import time
from typing import Any

import torch

from amortized._types import Tensor
from amortized.targets.pyro.batching import FAILURES
from amortized.targets.pyro.bijections import bijection
from amortized.targets.pyro.checks.ranges import draw_or_none
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.trace import (
    LatentMessenger,
    Message,
    ModelError,
    check_complete,
    depends_on_value,
    undisturbed,
)
from amortized.targets.troubles import Troubles

DRAWS = 64
"""Draws of the prior: a fault in 5 % of the prior is met with probability 96 %."""
WITHIN = 0.5
"""Seconds for the draws: a model that takes longer is judged by fewer."""


class _DrawnFromPrior(LatentMessenger):
    """Draws every latent from its own distribution, or near 0 in its coordinates if that cannot draw."""

    def coordinates(self, message: Message) -> Tensor:
        fn = message["fn"]
        transform: Any = bijection(fn.support)
        if (draw := draw_or_none(fn)) is not None:
            return transform.inv(draw)
        return torch.randn(transform.inverse_shape(fn.batch_shape + fn.event_shape))


def troubles_of_prior(program: Program, seed: int) -> Troubles:
    """The model's own exceptions at up to 64 draws of its prior, within half a second.

    Raises:
        ModelError: A draw does not have the latent sites of the first trace.
    """
    troubles, latents = Troubles(), program.structure.latents
    deadline = time.perf_counter() + WITHIN
    with undisturbed(program.structure.device), torch.no_grad():
        torch.manual_seed(seed)
        for _ in range(DRAWS):
            drawing = _DrawnFromPrior(program.structure.parameters)
            troubles.evaluations += 1
            try:
                program._trace(drawing).compute_log_prob()
            except ModelError:
                raise
            except FAILURES as error:
                troubles.raised(error)
                continue
            for name in drawing.values:
                if name not in latents:
                    raise depends_on_value(name, "is drawn on some runs and was not when the model was first traced")
            check_complete(latents, drawing.values)
            if time.perf_counter() > deadline:
                break
    return troubles
