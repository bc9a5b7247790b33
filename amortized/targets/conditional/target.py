"""The posteriors of a model for every data set: one joint density, evaluated at some contexts at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from amortized._types import Sites, Tensor, for_rows
from amortized.targets.conditional.checks import check_held, check_observed, check_sets
from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.conditional.model import CONTEXT
from amortized.targets.conditional.reading import Reading, program_of
from amortized.targets.pyro.checks.validation import check_data_sets
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.structure import Structure
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import LatentSite, ModelError
from amortized.targets.wrapped import WrappedTarget


class ConditionalTarget:
    """The log joint density of a Pyro model for every context c, that is, for every data set.

        log R(x; c) = log p(z(x), c) + Σ log |det dz/dx|

    ``at(rows)`` is the ``Target`` given some contexts, and ``rows: (N, C)`` are those of ``args`` and ``kwargs``.

    Args:
        model: The Pyro model.
        amortize: Names of the arguments, or observed sites, that make up the context, or ``LocalTo`` a plate.
        args: Arguments of the model. The named ones hold data sets along one more leading dimension; sets of
            different size are a list of tensors.
        kwargs: Keyword arguments, likewise.
        seed: As in ``PyroTarget``.
        capture_seconds: As in ``PyroTarget``.

    Raises:
        ModelError: If a name is neither argument nor observed site, if no site observes the data, if a latent is not
            local to the plate, and where ``PyroTarget`` raises it.
        ValueError: If an argument holds no data sets.

    >>> import pyro, pyro.distributions as dist
    >>> def model(y):
    ...     mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
    >>> target = ConditionalTarget(model, "y", (torch.tensor([0.0, 2.0]),))
    >>> given = target.at(torch.tensor([[1.0], [3.0]]))
    >>> given.log_prob_and_score(torch.zeros(4, 1))[1].flatten().tolist()
    [1.0, 3.0, 1.0, 3.0]
    """

    def __init__(
        self,
        model: Callable,
        amortize: str | Sequence[str] | LocalTo,
        args: Sequence = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        capture_seconds: float = 20.0,
    ):
        local = amortize if isinstance(amortize, LocalTo) else None
        reading = Reading(model, amortize, args, dict(kwargs or {}))
        self.rows = reading.rows
        self.contexts = reading.contexts
        self.program = program_of(model, reading)
        check_observed(self.program, self.rows)
        check_data_sets(self.program, self.rows, seed)
        check_held(self.program)
        self.joint = PyroTarget(self.program, seed=seed, capture_seconds=capture_seconds)
        self.structure = self._without_context(self.joint.structure)
        self.dim, self.dtype, self.device = self.structure.dim, self.joint.dtype, self.joint.device
        self._check_latents(local)
        check_sets(self.program, self.rows)

    def with_joint(self, joint: PyroTarget) -> ConditionalTarget:
        """The same densities in the coordinates of ``joint``, which is this one's own joint density, moved."""
        moved = copy.copy(self)
        moved.joint, moved.structure = joint, self._without_context(joint.structure)
        return moved

    @property
    def calls(self) -> int:
        return self.joint.calls

    def check_unchanged(self) -> None:
        """As ``PyroTarget.check_unchanged``."""
        self.joint.check_unchanged()

    @property
    def latents(self) -> dict[str, LatentSite]:
        """Latent sites by name, in the order of their places in ``x``."""
        return self.structure.latents

    def at(self, rows: Tensor, indices: Tensor | None = None) -> GivenTarget:
        """The density given contexts ``(M, C)``; row i of a batch belongs to context ``i mod M``.

        Args:
            rows: The contexts.
            indices: ``(M,)``, their places in a collection, by which a replay buffer remembers them.
        """
        return GivenTarget(self, rows, indices)

    def coordinates(self, rows: Tensor, x: Tensor) -> Tensor:
        """The joint density's coordinates ``(B, C + 1 + D)`` for contexts ``(M, C)`` and ``x: (B, D)``."""
        places = self.program.coordinates(rows.to(self.device)).to(self.dtype)
        return torch.cat([for_rows(places, len(x)), x.to(self.dtype)], 1)

    def _without_context(self, joint: Structure) -> Structure:
        before = self.program.size
        latents = {
            name: replace(site, slice=slice(site.slice.start - before, site.slice.stop - before))
            for name, site in joint.latents.items()
            if name != CONTEXT
        }
        return replace(joint, latents=latents, dim=joint.dim - before)

    def _check_latents(self, local: LocalTo | None) -> None:
        for name, site in self.latents.items():
            frames = {plate: size for plate, size, _ in site.plates}
            if local is not None and frames.get(local.plate) != 1:
                cause = f"its plates are {sorted(frames)}" if frames else "it is in no plate"
                if local.plate in frames:
                    cause = f"the plate has {frames[local.plate]} rows for one row of data (write len(data) there)"
                raise ModelError(
                    f"amortize=LocalTo({local.plate!r}): latent site {name!r} is not local to that plate, {cause}; "
                    f"move it into with pyro.plate({local.plate!r}, len(data)):, or amortize over whole data sets by "
                    "naming the arguments"
                )
            if self.contexts.ragged and self.contexts.parts[0].shape[0] in frames.values():
                raise ModelError(
                    f"latent site {name!r} has one value for each row of a set, so data sets of different size have "
                    "posteriors of different dimension; pass data sets of one size as one tensor"
                )


class GivenTarget(WrappedTarget, ModelTarget):
    """The density of a conditional target given M contexts; ``ConditionalTarget.at`` makes it."""

    def __init__(self, family: ConditionalTarget, rows: Tensor, indices: Tensor | None = None):
        super().__init__(family.structure)
        self.target = family.joint
        self.family = family
        self.context = rows
        self.indices = indices

    @property
    def observations(self) -> Sites:
        """Data of the one context, without missing rows; raises ``ValueError`` if there are several contexts."""
        program, row = self.family.program, self._only_row()
        values = dict(zip(program.contexts.names, program.values(row), strict=True))
        return {site: values[name].reshape(program.shapes[site])[: self.rows] for site, name in program.sites.items()}

    @property
    def rows(self) -> int | None:
        """The number of rows of the one set, which come before its missing rows; ``None`` if contexts are not sets."""
        present = self.family.program.present(self._only_row())
        return None if present is None else int(present.sum())

    def difference_from_model(self) -> str | None:
        """As ``PyroTarget.difference_from_model``."""
        return self.family.joint.difference_from_model()

    def check_unchanged(self) -> None:
        """As ``PyroTarget.check_unchanged``."""
        self.family.joint.check_unchanged()

    def run(self) -> object:
        return self.family.program.run(self._only_row())

    def _only_row(self) -> Tensor:
        assert self.context is not None
        if len(self.context) != 1:
            raise ValueError(f"{len(self.context)} contexts at once: write family.at(rows[:1])")
        return self.context[0]

    def inside(self, x: Tensor) -> Tensor:
        assert self.context is not None
        return self.family.coordinates(self.context, x)

    def _log_prob(self, x: Tensor) -> Tensor:
        return self.family.joint.log_prob(self.inside(x))

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = self.family.joint.log_prob_and_score(self.inside(x))
        return value, score[:, self.family.program.size :]

    def constrain(self, x: Tensor) -> Sites:
        sites = super().constrain(x)
        del sites[CONTEXT]
        return sites

    def unpack(self, x: Tensor) -> tuple[Sites, Sites]:
        """As ``PyroTarget.unpack``."""
        values, log_dets = self.family.joint.unpack(self.inside(x))
        del values[CONTEXT], log_dets[CONTEXT]
        return values, log_dets

    def pointwise_log_likelihood(self, x: Tensor) -> Sites:
        terms = self.family.joint.pointwise_log_likelihood(self.inside(x))
        if self.contexts != 1 or self.rows is None:
            return terms
        sets = self.family.program.sites
        return {name: term[:, : self.rows] if name in sets else term for name, term in terms.items()}
