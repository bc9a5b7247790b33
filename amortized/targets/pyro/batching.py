"""Three ways to evaluate a program of one particle on a batch: vmap, an outer plate, a loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

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
"""What a model may raise at some values of its latents; a ``TypeError`` is a mistake at all of them."""
Result = TypeVar("Result")
"""Tensors, or tuples, lists and dictionaries of them, with the particles along the first dimension."""


class Batching(ABC):
    """Densities ``(B,)`` and scores of a batch, out of a program of one particle."""

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
    def map(self, function: Callable[[Any], Result], inputs: Any) -> Result:
        """``function`` of one particle over the first dimension of every tensor in ``inputs``."""

    def _score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self.log_prob(x)
            (score,) = torch.autograd.grad(value.sum(), x, materialize_grads=True)
        return value.detach(), score


class Vmap(Batching):
    """``torch.func.vmap`` of the program.

    Args:
        program: The model, for one particle.
        own_memory: Gives every particle its own copy of each tensor that the model allocates. The model may then fill
            it in place, ``states = torch.zeros(100); states[0] = x``, which plain vmap refuses.
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
        """The same, with ``x`` cut into latents first: the recorded gradient then needs no scatter into ``x``."""
        latents = self.program.structure.latents
        pieces = dict(zip(latents, x.split([latent.size for latent in latents.values()], 1), strict=True))
        with torch.no_grad():
            scores, value = self.map(torch.func.grad_and_value(self.program.log_prob_of_pieces), pieces)
            return value, torch.cat([scores[name] for name in latents], 1)

    def map(self, function: Callable[[Any], Result], inputs: Any) -> Result:
        def substituted(particle: Any) -> Result:
            with Substitutes(_zero_of(particle) if self.own_memory else None):
                return function(particle)

        device = pytree.tree_leaves(inputs)[0].device
        with undisturbed(device), batchable_logarithm():
            return torch.func.vmap(substituted)(inputs)


class Loop(Batching):
    """One particle after the other, with plain autograd: the definition that the other ways are compared with."""

    name = "loop"

    def log_prob(self, x: Tensor) -> Tensor:
        return self.map(self.program.log_prob, x)

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._score(x)

    def map(self, function: Callable[[Any], Result], inputs: Any) -> Result:
        with undisturbed(pytree.tree_leaves(inputs)[0].device):
            return _one_by_one(function, inputs)


def _one_by_one(function: Callable[[Any], Result], inputs: Any) -> Result:
    leaves, spec = pytree.tree_flatten(inputs)
    results = [function(pytree.tree_unflatten(list(rows), spec)) for rows in zip(*leaves, strict=True)]
    return pytree.tree_map(lambda *values: torch.stack(values), *results)


def _zero_of(particle: Any) -> Tensor:
    """A scalar 0 that belongs to the particle, so that vmap sees a batch in whatever it is added to."""
    return torch.zeros_like(pytree.tree_leaves(particle)[0].reshape(-1)[0])


def drawn_together(function: Callable[[Any], Result], inputs: Any) -> Result:
    """``function`` of one particle, which draws at random, over the first dimension of every tensor in ``inputs``.

    Uses vmap, with other draws for each particle, or a loop if vmap cannot run the function.
    """

    def with_own_memory(particle: Any) -> Result:
        with Substitutes(_zero_of(particle)):
            return function(particle)

    try:
        return torch.func.vmap(with_own_memory, randomness="different")(inputs)
    except FAILURES as error:
        if isinstance(error, (NotImplementedError, ModelError)):
            raise
        return _one_by_one(function, inputs)


class _PlatePlacing(Placing):
    """All particles at once, along a plate dimension to the left of the model's own plate dimensions."""

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
    """The model once, under an outer plate of particles; right only if every site keeps to its plates."""

    name = "plate"

    def log_prob(self, x: Tensor) -> Tensor:
        count, dim = x.shape[0], -1 - self.program.structure.plate_depth
        placing = _PlatePlacing(self.program, x)
        with undisturbed(x.device):
            with placing, pyro.plate("_particles", count, dim=dim):
                trace = poutine.trace(self.program.model).get_trace(*self.program.args, **self.program.kwargs)
            placing.standardize(trace)
            trace.compute_log_prob()
        terms = [site["log_prob"] for site in trace.nodes.values() if "log_prob" in site]
        total = x.new_zeros(count)
        for term in terms:
            per_particle = term.dim() >= -dim and term.shape[dim] == count
            total = total + (term.movedim(dim, 0).reshape(count, -1).sum(-1) if per_particle else term.sum())
        return total + sum(placing.log_dets.values())


def isolated(evaluate: Callable[[Tensor], Result], x: Tensor, failed: Callable[[Exception], Result]) -> Result:
    """``evaluate(x)``; if it raises, halves the batch until only the particles at fault get ``failed(error)``.

    Args:
        evaluate: ``(B, D)`` to tensors with B rows.
        x: ``(B, D)``.
        failed: From the exception at one particle to tensors with one row.

    Raises:
        ModelError: Since no single particle is at fault.
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
