"""Whether an ``obs_mask`` is computed from a latent, so that the number of unknown elements would be random."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._C._functorch import is_batchedtensor

from amortized._types import Sites, Tensor
from amortized.targets.pyro.trace import LatentSite, ModelError, Placing, moving_mask


class _WatchingMasks(Placing):
    def check_mask(self, latent: LatentSite, known: Tensor | None) -> None:
        if known is not None and is_batchedtensor(known):
            raise moving_mask(latent.name)


def check_masks(
    latents: Mapping[str, LatentSite], parameters: Sites, run: Callable[[], Any], dtype: torch.dtype
) -> None:
    """Raises ``ModelError`` where an ``obs_mask`` is computed from a latent.

    Under vmap, where what depends on a particle is told from what does not. A model that vmap cannot run is left to
    the comparison in each pass.
    """

    def watched(x: Tensor) -> Tensor:
        with _WatchingMasks(parameters, latents, {name: x[latent.slice] for name, latent in latents.items()}):
            run()
        return x

    dim = sum(latent.size for latent in latents.values())
    try:
        torch.func.vmap(watched, randomness="different")(torch.zeros(1, dim, dtype=dtype))
    except ModelError:
        raise
    except (RuntimeError, ValueError, TypeError, ArithmeticError):
        return
