"""The contract of a density that has a probabilistic program behind it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

from amortized._types import Sites, Tensor
from amortized.targets.base import Target
from amortized.targets.pyro.trace import LatentSite


class ModelTarget(Target):
    """A target whose sites, data and likelihood have names."""

    @property
    @abstractmethod
    def latents(self) -> Mapping[str, LatentSite]:
        """Latent sites by name, in the order of their places in ``x``."""

    @property
    @abstractmethod
    def observations(self) -> Sites:
        """Observed sites by name with their data; a site that observes a function of the latents is not among them."""

    @property
    @abstractmethod
    def observed(self) -> Collection[str]:
        """Names of all likelihood sites, those that observe a function of the latents among them."""

    @property
    @abstractmethod
    def deterministic(self) -> Collection[str]:
        """Names of the sites that are functions of the latents."""

    @property
    @abstractmethod
    def discrete(self) -> Collection[str]:
        """Names of the finite discrete latents that are summed out."""

    @property
    @abstractmethod
    def parameters(self) -> Sites:
        """Values at which the model's parameters are held."""

    @abstractmethod
    def pointwise_log_likelihood(self, x: Tensor) -> Sites:
        """``(B, D)`` to ``{observed site: (B, *batch)}`` in nats; NaN where a mask leaves an element out.

        Sites under a summed-out latent are left out."""

    @abstractmethod
    def run(self) -> Any:
        """The model itself on its own data, for the effect handlers around the call."""

    @abstractmethod
    def unpack(self, x: Tensor) -> tuple[Sites, Sites]:
        """``(B, D)`` to the latents ``{site: (B, *event)}`` and the log determinant of each, ``{site: (B,)}``."""

    @abstractmethod
    def difference_from_model(self) -> str | None:
        """How the model or its data differ from what was captured; None where they do not."""

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raises ``RuntimeError`` where the model or its data have changed since the density was captured."""
