"""The contract of a process: a prior, a noising chain, and how a control steers its reversal."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import nn

from amortized._types import AffineSteps, Belief, Control, Generator, Tensor
from amortized.processes.layout import Layout
from amortized.processes.transitions import Transition

Grid = Callable[[int], Tensor]
Believer = Callable[[int, Tensor], Belief]
PLAIN = Layout()
"""Shared by all processes whose state is the target's variables; it holds nothing."""


class Process(nn.Module, ABC):
    """A Markov chain on the times ``t_0 = 0 < … < t_K = 1``, noising from right to left, steered from left to right.

    A state is ``(..., S)``: the target's D variables first, then what the process adds (mostly nothing, S = D). Its
    ``layout`` says which part of it a step draws: ``forward`` gives that draw's mean and std, ``transition`` its law.
    At zero control and with Gaussian transitions the chain is the reference. The reference is exactly reversible unless
    a mixture takes its place.

    Args of the constructor:
        steps: K, at least 1.
        scale: std of the reference's ends, in units of x.
        transition: the law that a forward step draws from.
        grid: K to the times ``(K+1,)``.
    """

    times: Tensor
    transition: Transition
    grid: Grid
    steps: int

    def __init__(self, steps: int, scale: float, transition: Transition, grid: Grid):
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps={steps}: a path needs at least one step; write steps=32")
        if not scale > 0:
            raise ValueError(f"scale={scale}: the reference's std must be positive; write scale=1.0")
        self.scale = scale
        self.transition = transition
        self.grid = grid
        self._lay(grid(steps))

    @property
    def keeps_beliefs(self) -> bool:
        """A belief costs more than its place in memory, and training does not change it."""
        return False

    @property
    def layout(self) -> Layout:
        """Where a state keeps the target's variables, and which part of it a step draws."""
        return PLAIN

    @abstractmethod
    def _tables(self, times: Tensor) -> dict[str, Tensor]:
        """Everything that depends on the times alone, float64."""

    def _lay(self, times: Tensor) -> None:
        if not (times[0] == 0 and times[-1] == 1 and bool((times.diff() > 0).all())):
            raise ValueError(f"times={times.tolist()}: write times that rise from 0 to 1")
        self.steps = len(times) - 1
        for name, table in {"times": times, **self._tables(times)}.items():
            self.register_buffer(name, table, persistent=False)
        self._prepared: dict[tuple[str, torch.dtype], tuple[Tensor, tuple[Tensor, ...]]] = {}

    def forget(self) -> None:
        """Drops the tables that were made ready for steps: they are made again from the process's own."""
        self._prepared = {}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Process:
        self.forget()  # its tensors are on the old device
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_prepared": {}}  # what tables give again is not copied

    def on(self, times: Tensor) -> Process:
        """The same process, its learned parts shared, on other times: ``(K+1,)`` float64, rising from 0 to 1."""
        twin = copy.copy(self)
        twin._buffers = dict(self._buffers)
        twin._lay(times.to(self.times.device))
        return twin

    def with_steps(self, steps: int) -> Process:
        """The same process on another number of steps; a policy serves both, since a control knows no step length."""
        return self.on(self.grid(steps))

    def _at(self, table: str, k: int | Tensor, x: Tensor) -> Tensor:
        """Values at step k: a number, or ``(K, 1, ...)`` where k is one for each leading slice of x."""
        prepared = self._prepared.get((table, x.dtype))
        if prepared is None:
            with torch.inference_mode(False):  # tables made in inference mode would be no use for training
                converted = getattr(self, table).to(x.dtype)
                prepared = self._prepared[table, x.dtype] = converted, converted.unbind()
        if isinstance(k, int):
            return prepared[1][k]
        value = prepared[0][k]
        return value.reshape(value.shape + (1,) * (x.ndim - value.ndim))

    @abstractmethod
    def sample_prior(self, batch: int, dim: int, generator: Generator | None = None) -> Tensor:
        """States ``x_0: (B, S)`` for a target of ``dim`` variables."""

    @abstractmethod
    def log_prior(self, x: Tensor) -> Tensor:
        """``log p₀(x_0)``: ``(B, S) -> (B,)``."""

    def log_boundary(self, first: Tensor, last: Tensor) -> Tensor:
        """``log p₀(x_0)`` less the log density of what ``x_K`` carries: ``(B,)``."""
        return self.log_prior(first) - self.layout.log_carried(last)

    @abstractmethod
    def log_marginal(self, k: int | Tensor, x: Tensor) -> Tensor:
        """Log density of the reference at step k: ``(..., S) -> (...)``, a first guess of a state's flow."""

    @abstractmethod
    def belief(self, k: int | Tensor, x: Tensor) -> Belief:
        """The belief, under the reference, about the variable that a control steers, given ``x_k = x``.

        k is a step, or one for each leading slice of x.
        """

    def beliefs(self, like: Tensor) -> Believer:
        """``believe(k, x)``, the belief of ``belief(k, x)``, for one simulation of states of the dtype of ``like``.

        What depends on the step alone is computed once.
        """
        return self.belief

    @abstractmethod
    def forward(self, k: int | Tensor, x: Tensor, belief: Belief | None, control: Control) -> tuple[Tensor, Tensor]:
        """Mean of the moved part of ``x_{k+1}`` given ``x_k = x``, ``(..., D)``, and a std that broadcasts with it.

        The control corrects ``belief``; None is the process's own.
        """

    def affine(self, like: Tensor) -> AffineSteps | None:
        """The forward steps where a control has no variance of its own, in the dtype of ``like``; None: not affine."""
        return None

    @abstractmethod
    def backward(self, k: int | Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std of the retraced part of ``x_k`` given ``x_{k+1} = y``: the noising kernel."""

    @abstractmethod
    def features(self, k: int | Tensor, x: Tensor) -> Tensor:
        """The state in units of the reference's std at step k, for a network to read: ``(..., S)``."""

    @abstractmethod
    def langevin(self, x: Tensor, score: Tensor, belief: Belief) -> Tensor:
        """The shift that one gradient step proposes: ``(..., D)``; ``x`` are visited variables."""

    @abstractmethod
    def bridge(self, ends: Tensor, generator: Generator | None = None) -> Tensor:
        """All states ``(K+1, B, S)`` of noising chains that end in ``ends: (B, D)``."""
