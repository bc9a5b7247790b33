"""A conditional target once its contexts are there."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from amortized._types import Sites, Tensor
from amortized.targets.conditional.model import CONTEXT
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.trace import LatentSite

if TYPE_CHECKING:
    from amortized.targets.conditional.target import ConditionalTarget


class GivenTarget(ModelTarget):
    """A conditional target at M contexts."""

    def __init__(self, family: ConditionalTarget, rows: Tensor, numbers: Tensor | None = None):
        super().__init__(family.dim, family.dtype, family.device)
        self.family = family
        self.context = rows
        self.numbers = numbers

    @property
    def latents(self) -> dict[str, LatentSite]:
        return self.family.latents

    @property
    def observations(self) -> Sites:
        """Of the one context, of a set its own rows alone; raises ``ValueError`` where there are several contexts."""
        program, row = self.family.program, self._only_row()
        values = dict(zip(program.contexts.names, program.values(row), strict=True))
        return {site: values[name].reshape(program.shapes[site])[: self.rows] for site, name in program.sites.items()}

    @property
    def rows(self) -> int | None:
        """How many rows the one set has; None where contexts are no sets. Its padding lies behind them."""
        present = self.family.program.present(self._only_row())
        return None if present is None else int(present.sum())

    @property
    def observed(self) -> Collection[str]:
        return self.family.joint.observed

    @property
    def discrete(self) -> Collection[str]:
        return self.family.joint.discrete

    @property
    def deterministic(self) -> Collection[str]:
        return self.family.joint.deterministic

    @property
    def parameters(self) -> Sites:
        return self.family.joint.parameters

    def difference_from_model(self) -> str | None:
        """As ``PyroTarget.difference_from_model``."""
        return self.family.joint.difference_from_model()

    def check_unchanged(self) -> None:
        """As ``PyroTarget.check_unchanged``."""
        self.family.joint.check_unchanged()

    def run(self) -> Any:
        return self.family.program.run(self._only_row())

    def _only_row(self) -> Tensor:
        assert self.context is not None
        if len(self.context) != 1:
            raise ValueError(f"{len(self.context)} contexts at once: write family.at(rows[:1])")
        return self.context[0]

    def _all(self, x: Tensor) -> Tensor:
        assert self.context is not None
        return self.family.coordinates(self.context, x)

    @property
    def nonfinite(self) -> int:
        """Of the joint density, for all contexts together."""
        return self.family.joint.nonfinite

    def troubles(self) -> list[str]:
        """Of the joint density, for all contexts together."""
        return self.family.joint.troubles()

    def _count(self, x: Tensor, value: Tensor, followed: Tensor) -> None:
        """Particles alone: what goes wrong is counted by the joint density."""
        self.calls += x.shape[0]

    def recheck(self, x: Tensor) -> bool:
        """Of the joint density, at these contexts."""
        return self.family.joint.recheck(self._all(x))

    def _log_prob(self, x: Tensor) -> Tensor:
        return self.family.joint.log_prob(self._all(x))

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = self.family.joint.log_prob_and_score(self._all(x))
        return value, score[:, self.family.program.size :]

    def constrain(self, x: Tensor) -> Sites:
        sites = self.family.joint.constrain(self._all(x))
        return {name: value for name, value in sites.items() if name != CONTEXT}

    def unpack(self, x: Tensor) -> tuple[Sites, Sites]:
        """As ``PyroTarget.unpack``."""
        values, log_dets = self.family.joint.unpack(self._all(x))
        del values[CONTEXT], log_dets[CONTEXT]
        return values, log_dets

    def pointwise_log_likelihood(self, x: Tensor) -> Sites:
        terms = self.family.joint.pointwise_log_likelihood(self._all(x))
        if self.contexts != 1 or self.rows is None:
            return terms
        sets = self.family.program.sites
        return {name: term[:, : self.rows] if name in sets else term for name, term in terms.items()}
