"""A target from a Pyro model: its log joint density in unconstrained space, batched over particles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from amortized._types import Sites, Tensor
from amortized.targets.base import Target
from amortized.targets.batching import Vmap, isolated
from amortized.targets.capture import capture
from amortized.targets.choosing import choose
from amortized.targets.program import Program
from amortized.targets.structure import discover
from amortized.targets.tracing import LatentSite


class PyroTarget(Target):
    """``log p(z(x), data) + log |det dz/dx|`` of a Pyro model, ``x: (B, D)`` unconstrained.

    >>> import pyro, pyro.distributions as dist
    >>> def model(y):
    ...     rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    ...     pyro.sample("y", dist.Exponential(rate), obs=y)
    >>> target = PyroTarget(model, (torch.tensor(1.5),))
    >>> target.dim, target.constrain(torch.zeros(2, 1))["rate"].tolist()
    (1, [1.0, 1.0])
    >>> target.log_prob(torch.zeros(1, 1)).tolist()
    [-2.5]
    """

    chunk = 4096

    def __init__(
        self,
        model: Callable,
        args: Sequence = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        capture_seconds: float = 20.0,
    ):
        structure = discover(model, args, kwargs or {}, seed)
        super().__init__(structure.dim, structure.dtype, structure.device)
        self.structure = structure
        self.program = Program(model, args, kwargs or {}, structure)
        self._batch, reference = choose(self.program, seed)
        if isinstance(self._batch, Vmap):
            self._batch = capture(self._batch, reference, capture_seconds) or self._batch

    @property
    def batching(self) -> str:
        return self._batch.name

    @property
    def latents(self) -> dict[str, LatentSite]:
        return self.structure.latents

    @property
    def observations(self) -> Sites:
        return self.structure.observations

    def _cast(self, x: Tensor) -> Tensor:
        return x.to(self.device, self.dtype)

    def _log_prob(self, x: Tensor) -> Tensor:
        return self._in_chunks(self._batch.log_prob, x, lambda part: part.new_full((1,), torch.nan))

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        evaluate = self._batch.log_prob_and_score
        return self._in_chunks(evaluate, x, lambda part: (part.new_full((1,), torch.nan), torch.full_like(part, torch.nan)))

    def _in_chunks(self, evaluate, x, failed):
        x = self._cast(x)
        parts = [isolated(evaluate, part, lambda _: failed(x[:1])) for part in x.split(self.chunk)]
        return parts[0] if len(parts) == 1 else pytree.tree_map(lambda *tensors: torch.cat(tensors), *parts)

    def constrain(self, x: Tensor) -> Sites:
        with torch.no_grad():
            return self._batch.map(self.program.sites, self._cast(x))

    def unpack(self, x: Tensor) -> tuple[Sites, Sites]:
        return self._batch.map(self.program.unpack, self._cast(x))

    def unconstrain(self, sites: Sites) -> Tensor:
        given = {name: self._cast(sites[name]) for name in self.latents}
        return self._batch.map(self.program.unconstrain, given)

    def pointwise_log_likelihood(self, x: Tensor) -> Sites:
        with torch.no_grad():
            return self._batch.map(self.program.pointwise, self._cast(x))
