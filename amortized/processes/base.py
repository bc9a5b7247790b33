"""The contract of a process: a prior, a noising chain, and how a control steers its reversal."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import nn

from amortized._types import Belief, Control, Generator, Tensor
from amortized.processes.transitions import Transition

Grid = Callable[[int], Tensor]


class Process(nn.Module, ABC):
    """A Markov chain on the times ``t_0 = 0 < … < t_K = 1``, noising from right to left, steered from left to right.

    A state is ``(..., S)``: the target's D variables first, then what the process adds (velocities; mostly nothing).
    One step draws the *moved* part of the state from a ``transition`` whose mean and deviation ``forward`` gives, and
    ``advance`` makes it the next state; ``moved`` and ``retraced`` read that part back from the later and from the
    earlier state, so that both kernels are densities of the same variable. At zero control and with Gaussian
    transitions the chain is the reference, exactly reversible unless a mixture takes the reference's place.
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
            raise ValueError(f"scale={scale}: the reference's deviation must be positive; write scale=1.0")
        self.scale = scale
        self.transition = transition
        self.grid = grid
        self._lay(grid(steps))

    @abstractmethod
    def _tables(self, times: Tensor) -> dict[str, Tensor]:
        """Everything that depends on the times alone, float64."""

    def _lay(self, times: Tensor) -> None:
        if not (times[0] == 0 and times[-1] == 1 and bool((times.diff() > 0).all())):
            raise ValueError(f"times={times.tolist()}: write times that rise from 0 to 1")
        self.steps = len(times) - 1
        for name, table in {"times": times, **self._tables(times)}.items():
            self.register_buffer(name, table, persistent=False)

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
        value = getattr(self, table)[k].to(x.dtype)
        return value.reshape(value.shape + (1,) * (x.ndim - value.ndim))

    @abstractmethod
    def sample_prior(self, batch: int, dim: int, generator: Generator | None = None) -> Tensor:
        """States ``x_0: (B, S)`` for a target of ``dim`` variables."""

    @abstractmethod
    def log_prior(self, x: Tensor) -> Tensor:
        """``log p₀(x_0)``: ``(B, S) -> (B,)``."""

    @abstractmethod
    def log_carried(self, x: Tensor) -> Tensor:
        """Log density, known beforehand, of what ``x_K`` carries beside the target's variables: ``(B, S) -> (B,)``."""

    def log_boundary(self, first: Tensor, last: Tensor) -> Tensor:
        """``log p₀(x_0)`` less the log density of what ``x_K`` carries: ``(B,)``."""
        return self.log_prior(first) - self.log_carried(last)

    @abstractmethod
    def log_marginal(self, k: int | Tensor, x: Tensor) -> Tensor:
        """Log density of the reference at step k: ``(..., S) -> (...)``, a first guess of a state's flow."""

    @abstractmethod
    def belief(self, k: int | Tensor, x: Tensor) -> Belief:
        """What the reference says of where a control steers to, given ``x_k = x``; k is a step, or one a slice of x."""

    @abstractmethod
    def forward(self, k: int | Tensor, x: Tensor, belief: Belief, control: Control) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the moved part of ``x_{k+1}`` given ``x_k = x``."""

    @abstractmethod
    def backward(self, k: int | Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the retraced part of ``x_k`` given ``x_{k+1} = y``: the noising kernel."""

    @abstractmethod
    def advance(self, k: int | Tensor, x: Tensor, moved: Tensor) -> Tensor:
        """``x_{k+1}`` from ``x_k = x`` and its moved part."""

    @abstractmethod
    def moved(self, k: int | Tensor, y: Tensor) -> Tensor:
        """The part of ``x_{k+1} = y`` that the forward kernel drew."""

    @abstractmethod
    def retraced(self, k: int | Tensor, x: Tensor) -> Tensor:
        """The part of ``x_k = x`` that the noising kernel drew."""

    @abstractmethod
    def visited(self, k: int | Tensor, x: Tensor) -> Tensor:
        """The target's variables ``(..., D)`` at which a step from ``x_k = x`` asks for the score."""

    @abstractmethod
    def features(self, k: int | Tensor, x: Tensor) -> Tensor:
        """The state in units of the reference's deviation at step k: what a network should see."""

    @abstractmethod
    def langevin(self, x: Tensor, score: Tensor, belief: Belief) -> Tensor:
        """The shift that one gradient step proposes: ``(..., D)``; ``x`` are visited variables."""

    @abstractmethod
    def bridge(self, ends: Tensor, generator: Generator | None = None) -> Tensor:
        """All states ``(K+1, B, S)`` of noising chains that end in ``ends: (B, D)``."""
