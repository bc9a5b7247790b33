"""From values of the latents back to coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amortized._types import Sites, Tensor
from amortized.targets.pyro.bijections import bijection
from amortized.targets.pyro.coordinates import find, frame_of
from amortized.targets.pyro.data import Message
from amortized.targets.pyro.trace import LatentMessenger, LatentSite


class Inverting(LatentMessenger):
    """Latents at given constrained values; ``found[name]`` are their unconstrained coordinates."""

    def __init__(self, parameters: Sites, given: Sites, latents: Mapping[str, LatentSite] | None = None):
        super().__init__(parameters)
        self.latents = latents or {}
        self.given = given
        self.found: Sites = {}

    def value(self, message: Message) -> Tensor:
        name = message["name"]
        if name not in self.given:
            raise ValueError(f"no value was given for latent site {name!r}; got {sorted(self.given)}")
        transform: Any = bijection(message["fn"].support)
        found, latent = transform.inv(self.given[name]), self.latents.get(name)
        if latent is not None and latent.centring is not None and (frame := frame_of(message["fn"])) is not None:
            found = find(frame, found, latent.centring)
        self.found[name] = found
        return self.given[name]
