"""A Pyro model's log joint density in unconstrained space, batched over particles."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch.utils import _pytree as pytree

from amortized._types import Sites, Tensor
from amortized.targets.compiler import REPAID
from amortized.targets.pyro.arguments import Arguments
from amortized.targets.pyro.batching import FAILURES, Batching, Loop, Result, Vmap, isolated
from amortized.targets.pyro.captured import Captured, capture
from amortized.targets.pyro.checks.agreement import choose, still_agreeing
from amortized.targets.pyro.checks.loop_values import far_draws, loop_values_at
from amortized.targets.pyro.checks.prior import troubles_of_prior
from amortized.targets.pyro.checks.validation import checked
from amortized.targets.pyro.chunks import elements_a_particle, particles_together
from amortized.targets.pyro.compiled import MOST_NODES, Compiled, compiled
from amortized.targets.pyro.failures import tell
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.trace import undisturbed
from amortized.targets.troubles import class_name, first_line

SLOW_MS = 50.0
"""A check looks at four points, which take 0.2 s at most, or at one where a gradient takes longer than this."""


class PyroTarget(ModelTarget):
    """The log joint density of a Pyro model, in nats, at unconstrained ``x: (B, D)``.

        log R(x) = log p(z(x), data) + Σ log |det dz/dx|

    Finite discrete latents are summed out. Parameters (``pyro.param``, ``nn.Parameter``) stay at their values. Dtype
    and device are the model's own. The density is batched by vmap if that agrees with a plain loop at random points.
    It is recorded once, so that Pyro does not run again. A particle at which the model raises has density zero; it is
    counted, and a warning follows, unless the exception is ``OutsideSupport``.

    Args:
        model: Any Pyro model with a continuous latent site.
        args: Positional arguments of the model, its data among them.
        kwargs: Keyword arguments of the model.
        seed: Of the points at which the ways to batch are compared.
        capture_seconds: Time limit for the recording; 0 does without it.
        centring: c of each element of a latent, in [0, 1], by site; sites without one are as written.

    Raises:
        ModelError: If the model has no continuous latent site, an infinite discrete latent, a random density, or
            latent sites that come and go; or if density and gradient are finite at none of 64 dispersed starts.

    Warns if no way to batch agrees with the loop, and if the model raises at draws of its prior.

    >>> import pyro, pyro.distributions as dist
    >>> def model(y):
    ...     rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    ...     pyro.sample("y", dist.Exponential(rate), obs=y)
    >>> target = PyroTarget(model, (torch.tensor(1.5),))
    >>> target.dim, target.batching, target.constrain(torch.zeros(2, 1))["rate"].tolist()
    (1, 'vmap (captured)', [1.0, 1.0])
    >>> target.log_prob(torch.zeros(1, 1)).tolist()
    [-2.5]
    """

    compiles: bool | str = "auto"
    """Whether ``quicken`` compiles the density; "auto": where 20 s of calls are left."""
    not_compiled: str
    """Why it could not be compiled; empty if it could, or was not tried."""

    def __init__(
        self,
        model: Callable,
        args: Sequence = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        capture_seconds: float = 20.0,
        centring: Sites | None = None,
    ):
        args, kwargs, structure = checked(model, args, kwargs or {}, seed)
        if centring:
            structure = structure.moved(centring)
        self._build(Program(model, args, kwargs, structure), Arguments(model, args, kwargs), seed, capture_seconds)
        if not self.batching.startswith("vmap"):  # under vmap a branch on a value raises: no site depends on one
            self._has_warned = _tell(
                troubles_of_prior(self.program, seed).sentences("draws of its prior", only_own=True)
            )

    def _build(self, program: Program, arguments: Arguments, seed: int, capture_seconds: float) -> None:
        super().__init__(program.structure)
        self.program, self.arguments = program, arguments
        self._first_parameters = {name: value.clone() for name, value in program.structure.parameters.items()}
        self._batch, self._reference = choose(program, seed)
        self._next_look = 0.0
        self._has_warned = False
        self.not_compiled = ""
        if isinstance(self._batch, Vmap):
            self._batch = capture(self._batch, self._reference, capture_seconds) or self._batch
        elements = 1  # a loop holds one particle at a time
        if type(self._batch) is not Loop:
            with suppress(*FAILURES):
                elements = elements_a_particle(self._batch.log_prob_and_score, self._reference.x)
        self.together = particles_together(elements, self.device)

    def moved_to(self, centring: Sites, seed: int, capture_seconds: float) -> PyroTarget:
        """The same density in other coordinates, compared with its own loop and recorded.

        The model and its data are not checked again, and nothing is said twice.

        Args:
            centring: c of each element of a latent, by site; the other sites stay as they are here.
            seed: Of the points at which the ways to batch are compared.
            capture_seconds: Time limit for the recording.
        """
        old, moved = self.program, copy.copy(self)
        program = Program(old.model, old.args, old.kwargs, old.structure.moved(centring))
        moved._build(program, self.arguments, seed, capture_seconds)
        moved._has_warned = self._has_warned
        return moved

    def again(self) -> PyroTarget:
        """The same density, recorded and compiled as it is, with counts of its own."""
        twin = copy.copy(self)
        ModelTarget.__init__(twin, self.structure)
        return twin

    def quicken(self, seconds: float) -> bool:
        """As ``Target.quicken``: a recorded density is compiled, by the rule of ``compiles``.

        It stays as it is without a C++ compiler, or where the compiled one gives other values: ``not_compiled``.
        """
        if type(self._batch) is not Captured or self.not_compiled:
            return isinstance(self._batch, Compiled)
        pays = seconds >= REPAID and len(self._batch.with_score.graph.nodes) <= MOST_NODES
        if self.compiles is True or (self.compiles == "auto" and pays):
            found = compiled(self._batch, self._reference)
            if isinstance(found, Compiled):
                self._batch = found
            else:
                self.not_compiled = found
        return isinstance(self._batch, Compiled)

    @property
    def batching(self) -> str:
        """How particles are evaluated together: "vmap (compiled)", "vmap (captured)", "vmap", "plate" or "loop"."""
        return self._batch.name

    def batched(self, program: Program) -> Batching:
        """Another program batched as this one is, but not recorded; by the loop if this one is not under vmap."""
        plain = self._batch.plain if isinstance(self._batch, Captured) else self._batch
        return Vmap(program, plain.own_memory) if isinstance(plain, Vmap) else Loop(program)

    @property
    def moved(self) -> list[str]:
        """Names of parameters that changed after the target was built; a recorded density has their first values."""
        return [
            name
            for name, first in self._first_parameters.items()
            if not torch.equal(first, self.structure.parameters[name])
        ]

    def recheck(self, x: Tensor) -> bool:
        """As ``Target.recheck``: a way to batch that differs from the loop at the draws is replaced, with a warning.

        Also warns of the model's own exceptions during the warm-up, unless it has warned of some at draws of the prior.
        """
        if not self._has_warned:
            self._has_warned = _tell(self._troubles.sentences("points of the warm-up", only_own=True))
        before = self._batch
        if type(before) is not Loop:
            points, far = far_draws(self._cast(x))
            extremes = torch.cat([far, self._reference.extremes])
            truth = loop_values_at(self.program, points, extremes, self._reference.milliseconds)
            self._batch = still_agreeing(before, [before.plain] if isinstance(before, Captured) else [], truth)
        return self._batch is before

    def difference_from_model(self) -> str | None:
        """How a plain run of the model differs now from when the target was built, in words; ``None`` if it does not.

        Looks at four points, or at one if a gradient takes over 50 ms.
        """
        first = self._reference.at_most(SLOW_MS)
        try:
            value, score = Loop(self.program).log_prob_and_score(first.x)
        except Exception as error:
            return f"it raises {type(error).__name__}: {error}"
        if first.differs(value, score) is None:
            return None
        worst = int((value - first.value).abs().nan_to_num(torch.inf).argmax())
        return f"the log density at one point was {first.value[worst].item():.6g} and is {value[worst].item():.6g}"

    def check_unchanged(self) -> None:
        """Compares a plain run of the model with the density that was captured.

        The next comparison is made after twenty times the time that this one took: checks cost at most 5 % of the time.

        Raises:
            RuntimeError: If the model, its data or a global that it reads has changed.
        """
        began = time.perf_counter()
        if began < self._next_look:
            return
        if (changed := self.difference_from_model()) is not None:
            raise RuntimeError(
                f"the model, its data or a global that it reads has changed since the fit ({changed}): write "
                "guide.fit(*args)"
            )
        self._next_look = time.perf_counter() + 20 * (time.perf_counter() - began)

    def run(self) -> object:
        return self.program.model(*self.program.args, **self.program.kwargs)

    def constrain(self, x: Tensor) -> Sites:
        """``(B, D)`` to the values ``{site: (B, *shape)}`` of latent and deterministic sites; NaN at exceptions."""
        shapes = {name: latent.shape for name, latent in self.latents.items()} | self.structure.deterministic
        with torch.no_grad():
            return self._in_parts(
                lambda part: self._batch.map(self.program.sites, part),
                self._cast(x),
                lambda _: {
                    name: torch.full((1, *shape), torch.nan, dtype=self.dtype, device=self.device)
                    for name, shape in shapes.items()
                },
            )

    def unpack(self, x: Tensor) -> tuple[Sites, Sites]:
        """Values ``{latent: (B, *shape)}`` and ``log |det d value / dx|`` ``{latent: (B,)}`` at ``x: (B, D)``.

        Both are differentiable in ``x``; the second is in nats.
        """
        return self._batch.map(self.program.unpack, self._cast(x))

    def unconstrain(self, sites: Sites) -> Tensor:
        """The inverse of ``constrain``: ``{latent: (B, *shape)}`` to ``(B, D)``; other sites are ignored.

        Raises:
            ValueError: If a latent site is missing.
        """
        missing = [name for name in self.latents if name not in sites]
        if missing:
            raise ValueError(f"no values for latent sites {missing}; got {sorted(sites)}, pass {list(self.latents)}")
        return self._batch.map(self.program.unconstrain, {name: self._cast(sites[name]) for name in self.latents})

    def pointwise_log_likelihood(self, x: Tensor) -> Sites:
        with torch.no_grad():
            return self._batch.map(self.program.pointwise, self._cast(x))

    def check_arguments(self, args: Sequence, kwargs: Mapping[str, Any]) -> None:
        """Raises ``ValueError`` if arguments differ from the target's own in number, names, shapes or dtypes."""
        self.arguments.check(args, kwargs)

    def _cast(self, x: Tensor) -> Tensor:
        return x.to(self.device, self.dtype)

    def _log_prob(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._in_parts(self._batch.log_prob, self._cast(x), self._raised)

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._in_parts(
            self._batch.log_prob_and_score,
            self._cast(x.detach()),
            lambda error: (self._raised(error), x.new_zeros((1, self.dim), dtype=self.dtype, device=self.device)),
        )

    def _raised(self, error: Exception) -> Tensor:
        """Counts the exception; returns the log density -inf of its particle."""
        self._troubles.raised(error)
        return torch.full((1,), -torch.inf, dtype=self.dtype, device=self.device)

    def _in_parts(
        self, evaluate: Callable[[Tensor], Result], x: Tensor, failed: Callable[[Exception], Result]
    ) -> Result:
        """``isolated`` in chunks, to bound the memory."""
        parts = [isolated(evaluate, chunk, failed) for chunk in x.split(self.together)]
        return parts[0] if len(parts) == 1 else pytree.tree_map(lambda *tensors: torch.cat(tensors), *parts)

    def _fault(self, x: Tensor) -> str:
        """The sites whose log probability, or its gradient, is not finite in a plain run at ``x: (1, D)``."""
        try:
            with undisturbed(self.device), torch.enable_grad():
                guilty = self.program.guilty(self._cast(x[0].detach()))
        except FAILURES as error:
            return f"first where a plain run raises {class_name(error)}, “{first_line(error)}”"
        return f"first at site {', '.join(map(repr, guilty))}" if guilty else ""


def _tell(sentences: list[str]) -> bool:
    """Warns of a model's own exceptions, and returns whether there were any."""
    if sentences:
        tell(
            f"the model raises in part of its space: {'; '.join(sentences)}. Such points count as density zero; "
            "raise amortized.OutsideSupport there if that is meant"
        )
    return bool(sentences)
