"""Ways to evaluate a one-particle program on a batch of particles: vmap, an outer plate, a loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pyro
import pyro.poutine as poutine
import torch
from torch.utils import _pytree as pytree

from amortized._types import Tensor
from amortized.targets.pyro.enumeration import batchable_logarithm
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.substitutes import Substitutes
from amortized.targets.pyro.trace import Message, ModelError, Placing, undisturbed

FAILURES = (RuntimeError, ValueError, ArithmeticError)


class Batching(ABC):
    """How to get ``(B,)`` densities, and scores, out of a program for one particle."""

    name: str

    def __init__(self, program: Program):
        self.program = program

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """``(B, D) -> (B,)``, differentiable in ``x``."""

    @abstractmethod
    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, D) -> (B,), (B, D)``, detached."""

    @abstractmethod
    def map(self, function: Callable[[Any], Any], inputs: Any) -> Any:
        """``function`` of one particle over the first dimension of every tensor in ``inputs``."""

    def _score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self.log_prob(x)
            (score,) = torch.autograd.grad(value.sum(), x, materialize_grads=True)
        return value.detach(), score


class Vmap(Batching):
    """``torch.func.vmap`` of the conditioned trace.

    With ``own_memory`` every tensor that the model allocates has particles of its own, so that it may be filled in
    place: ``states = torch.zeros(100); states[0] = x``, which plain vmap refuses.
    """

    name = "vmap"

    def __init__(self, program: Program, own_memory: bool = False):
        super().__init__(program)
        self.own_memory = own_memory

    def log_prob(self, x: Tensor) -> Tensor:
        return self.map(self.program.log_prob, x)

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            score, value = self.map(torch.func.grad_and_value(self.program.log_prob), x)
        return value, score

    def log_prob_and_score_by_pieces(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same with ``x`` cut into latents beforehand, which leaves less to do for a captured gradient."""
        latents = self.program.structure.latents
        pieces = dict(zip(latents, x.split([latent.size for latent in latents.values()], 1), strict=True))
        with torch.no_grad():
            scores, value = self.map(torch.func.grad_and_value(self.program.log_prob_of_pieces), pieces)
            return value, torch.cat([scores[name] for name in latents], 1)

    def map(self, function: Callable[[Any], Any], inputs: Any) -> Any:
        def substituted(particle: Any) -> Any:
            first = pytree.tree_leaves(particle)[0]
            with Substitutes(torch.zeros_like(first.reshape(-1)[0]) if self.own_memory else None):
                return function(particle)

        device = pytree.tree_leaves(inputs)[0].device
        with undisturbed(device), batchable_logarithm():
            return torch.func.vmap(substituted)(inputs)


class Loop(Batching):
    """One particle after the other, with plain autograd: the yardstick of all other ways."""

    name = "loop"

    def log_prob(self, x: Tensor) -> Tensor:
        return self.map(self.program.log_prob, x)

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._score(x)

    def map(self, function: Callable[[Any], Any], inputs: Any) -> Any:
        leaves, spec = pytree.tree_flatten(inputs)
        with undisturbed(leaves[0].device):
            results = [function(pytree.tree_unflatten(list(rows), spec)) for rows in zip(*leaves, strict=True)]
        flat = [pytree.tree_flatten(result) for result in results]
        columns = zip(*(row for row, _ in flat), strict=True)
        return pytree.tree_unflatten([torch.stack(column) for column in columns], flat[0][1])


def drawn_together(function: Callable[[Any], Any], inputs: Any) -> Any:
    """``function`` of one particle over the first dimension of every tensor in ``inputs``, each with draws of its own.

    By vmap where that can take the function's draws, else by a loop.
    """

    def with_own_memory(particle: Any) -> Any:
        with Substitutes(torch.zeros_like(pytree.tree_leaves(particle)[0].reshape(-1)[0])):
            return function(particle)

    try:
        return torch.func.vmap(with_own_memory, randomness="different")(inputs)
    except FAILURES as error:
        if isinstance(error, (NotImplementedError, ModelError)):
            raise
        leaves, spec = pytree.tree_flatten(inputs)
        each = [function(pytree.tree_unflatten(list(rows), spec)) for rows in zip(*leaves, strict=True)]
        return pytree.tree_map(lambda *values: torch.stack(values), *each)


class _PlatePlacing(Placing):
    """All particles at once, along a plate dimension left of the model's own ``depth`` plate dimensions."""

    def __init__(self, program: Program, x: Tensor):
        super().__init__(program.structure.parameters, program.structure.latents, {})
        self.structure = program.structure
        self.x = x

    def coordinates(self, message: Message) -> Tensor:
        latent = self.latent(message)
        batch_dims = len(latent.shape) - message["fn"].event_dim
        padding = (1,) * (self.structure.plate_depth - batch_dims)
        shape = (self.x.shape[0], *padding, *latent.unconstrained_shape)
        return latent.spread(self.x[:, latent.slice]).reshape(shape)

    def total(self, log_det: Tensor) -> Tensor:
        return log_det.reshape(self.x.shape[0], -1).sum(-1)


class Plate(Loop):
    """The model once, under an outer plate of particles: right only for models whose every site keeps to its plates."""

    name = "plate"

    def log_prob(self, x: Tensor) -> Tensor:
        count, dim = x.shape[0], -1 - self.program.structure.plate_depth
        placing = _PlatePlacing(self.program, x)
        with undisturbed(x.device):
            with placing, pyro.plate("_particles", count, dim=dim):
                trace = poutine.trace(self.program.model).get_trace(*self.program.args, **self.program.kwargs)
            trace.compute_log_prob()
        terms = [site["log_prob"] for site in trace.nodes.values() if "log_prob" in site]
        total = x.new_zeros(count)
        for term in terms:
            per_particle = term.dim() >= -dim and term.shape[dim] == count
            total = total + (term.movedim(dim, 0).reshape(count, -1).sum(-1) if per_particle else term.sum())
        return total + sum(placing.log_dets.values())


def isolated(evaluate: Callable[[Tensor], Any], x: Tensor, failed: Callable[[Exception], Any]) -> Any:
    """``evaluate(x)``, halving the batch where it raises, so that only the particles at fault get ``failed(error)``.

    A ``ModelError`` is no particle's fault and passes.
    """
    try:
        return evaluate(x)
    except FAILURES as error:
        alone_out_of_memory = x.shape[0] == 1 and isinstance(error, torch.OutOfMemoryError)
        if x.shape[0] == 0 or alone_out_of_memory or isinstance(error, ModelError):
            raise
        if x.shape[0] == 1:
            return failed(error)
    half = x.shape[0] // 2
    parts = [isolated(evaluate, part, failed) for part in (x[:half], x[half:])]
    return pytree.tree_map(lambda *tensors: torch.cat(tensors), *parts)
