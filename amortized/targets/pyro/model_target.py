"""The contract of a target that comes from a Pyro model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping

from amortized._types import Sites, Tensor
from amortized.targets.base import Target
from amortized.targets.pyro.structure import Structure
from amortized.targets.pyro.trace import LatentSite


class ModelTarget(Target):
    """A target from a Pyro model: its sites have names, its data and likelihood can be asked for.

    Args:
        structure: The static facts of the model, with the latents' places in ``x``.
    """

    def __init__(self, structure: Structure):
        super().__init__(structure.dim, structure.dtype, structure.device)
        self.structure = structure

    @property
    def latents(self) -> Mapping[str, LatentSite]:
        """Latent sites by name, in the order of their places in ``x``."""
        return self.structure.latents

    @property
    def observations(self) -> Sites:
        """Data by observed site; without the sites that observe a function of the latents."""
        return self.structure.observations

    @property
    def observed(self) -> Collection[str]:
        """Names of all likelihood sites, with those that observe a function of the latents."""
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
        """The log likelihood of every element of the data, in nats.

        Args:
            x: ``(B, D)``.

        Returns:
            ``{observed site: (B, *batch)}``, NaN where a mask leaves an element out. A site that depends on a
            summed-out latent has no such terms and is left out.
        """

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
