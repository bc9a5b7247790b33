"""The contract of a density that has a probabilistic program behind it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping

from amortized._types import Sites, Tensor
from amortized.targets.base import Target
from amortized.targets.pyro.structure import Structure
from amortized.targets.pyro.trace import LatentSite


class ModelTarget(Target):
    """A target whose sites, data and likelihood have names, which the program's ``structure`` holds."""

    def __init__(self, structure: Structure):
        super().__init__(structure.dim, structure.dtype, structure.device)
        self.structure = structure

    @property
    def latents(self) -> Mapping[str, LatentSite]:
        """Latent sites by name, in the order of their places in ``x``."""
        return self.structure.latents

    @property
    def observations(self) -> Sites:
        """Observed sites by name with their data; a site that observes a function of the latents is not among them."""
        return self.structure.observations

    @property
    def observed(self) -> Collection[str]:
        """Names of all likelihood sites, those that observe a function of the latents among them."""
        return self.structure.observed

    @property
    def deterministic(self) -> Collection[str]:
        """Names of the sites that are functions of the latents."""
        return self.structure.deterministic

    @property
    def discrete(self) -> Collection[str]:
        """Names of the finite discrete latents that are summed out."""
        return self.structure.discrete

    @property
    def parameters(self) -> Sites:
        """Values at which the model's parameters are held."""
        return self.structure.parameters

    @abstractmethod
    def pointwise_log_likelihood(self, x: Tensor) -> Sites:
        """``(B, D)`` to ``{observed site: (B, *batch)}`` in nats; NaN where a mask leaves an element out.

        Sites under a summed-out latent are left out."""

    @abstractmethod
    def run(self) -> object:
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
