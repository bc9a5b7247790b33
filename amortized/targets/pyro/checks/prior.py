"""What happens where a model draws its latents itself: do its sites come and go, does it raise?"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import torch

from amortized._types import Tensor
from amortized.targets.pyro.batching import FAILURES
from amortized.targets.pyro.bijections import bijection
from amortized.targets.pyro.checks.ranges import can_be_drawn
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
WITHIN = 0.5  # seconds


class _DrawnFromPrior(LatentMessenger):
    """Every latent from its own distribution; one that cannot draw, a flat prior, from near 0 in its coordinates."""

    def coordinates(self, message: Message) -> Tensor:
        fn = message["fn"]
        transform: Any = bijection(fn.support)
        if can_be_drawn(fn):
            with suppress(NotImplementedError):
                return transform.inv(fn.sample())
        return torch.randn(transform.inverse_shape(fn.batch_shape + fn.event_shape))


def troubles_of_prior(program: Program, seed: int) -> Troubles:
    """The model's own exceptions at up to ``DRAWS`` draws of its prior, as many as half a second is enough for.

    Raises ``ModelError``, naming the site, where the draws do not all have the latent sites of the first trace.
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
