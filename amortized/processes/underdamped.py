"""Underdamped Langevin dynamics: noise enters through velocities, and an exact flow moves the rest."""

from __future__ import annotations

import torch

from amortized._types import Belief, Control, Generator, Tensor
from amortized.processes.base import Grid, Process
from amortized.processes.grids import Uniform
from amortized.processes.layout import Layout
from amortized.processes.transitions import Gaussian, Transition, log_normal, standard_normal


class Underdamped(Process, Layout):
    """Positions and velocities ``(x, v)``, both N(0, scale²) under the reference; a state is ``(..., 2D)``.

    One step of length h is a symmetric splitting. It rotates ``(x, v)`` by the angle ``h/2``, which is the harmonic
    flow, exact and volume preserving. Then it kicks the velocity, and rotates again. With ``a = exp(−friction h)`` and
    ``ρ = 1 − a²`` the kick is

        v' ~ N(a v + scale ρ shift, scale² ρ exp(ρ log variance))

    Only the kick is random, so both kernels are densities of the velocity at the kick. The noising chain retraces the
    step with ``v ~ N(a v', scale² ρ)``, and the reference is reversible exactly. The end carries a velocity of known
    density, which leaves the weight again. Blessing et al., arXiv 2503.01006.

    Args of the constructor:
        steps: K, at least 1.
        scale: std of positions and velocities under the reference, in units of x.
        duration: time from prior to target, in units of the oscillator.
        friction: rate at which velocities are forgotten, in the same units.
        transition: the law of a kick.
        grid: where the steps lie.

    >>> process = Underdamped(steps=4)
    >>> process.sample_prior(3, dim=2).shape, process.bridge(torch.zeros(3, 2)).shape
    (torch.Size([3, 4]), torch.Size([5, 3, 4]))
    """

    def __init__(
        self,
        steps: int,
        scale: float = 1.0,
        duration: float = 5.0,
        friction: float = 2.0,
        *,
        transition: Transition = Gaussian(),  # noqa: B008
        grid: Grid = Uniform(),  # noqa: B008
    ):
        for name, value in (("duration", duration), ("friction", friction)):
            if not value > 0:
                raise ValueError(f"{name}={value}: write a positive number, for instance {name}=2.0")
        self.duration, self.friction = duration, friction
        super().__init__(steps, scale, transition, grid)

    @property
    def layout(self) -> Layout:
        return self

    def _tables(self, times: Tensor) -> dict[str, Tensor]:
        length = self.duration * times.diff()
        keep = (-self.friction * length).exp()
        return {
            "cosine": (0.5 * length).cos(),
            "sine": (0.5 * length).sin(),
            "keep": keep,
            "refresh": 1 - keep.square(),
            "kick_std": self.scale * (1 - keep.square()).sqrt(),
        }

    def _turned(self, k: int | Tensor, state: Tensor, sign: float) -> tuple[Tensor, Tensor]:
        x, v = state.chunk(2, -1)
        cosine, sine = self._at("cosine", k, x), sign * self._at("sine", k, x)
        return cosine * x + sine * v, cosine * v - sine * x

    def sample_prior(self, batch: int, dim: int, generator: Generator | None = None) -> Tensor:
        return self.scale * torch.randn(batch, 2 * dim, generator=generator, device=self.times.device)

    def log_prior(self, x: Tensor) -> Tensor:
        return log_normal(x, torch.zeros_like(x), x.new_tensor([self.scale]))

    def log_carried(self, x: Tensor) -> Tensor:
        return self.log_prior(x.chunk(2, -1)[1])

    def log_marginal(self, k: int | Tensor, x: Tensor) -> Tensor:
        return self.log_prior(x)

    def belief(self, k: int | Tensor, x: Tensor) -> Belief:
        """Mean and std of the velocity after the kick, under the reference."""
        return Belief(self._at("keep", k, x) * self._turned(k, x, 1.0)[1], self._at("kick_std", k, x))

    def forward(self, k: int | Tensor, x: Tensor, belief: Belief | None, control: Control) -> tuple[Tensor, Tensor]:
        belief = self.belief(k, x) if belief is None else belief
        refresh = self._at("refresh", k, x)
        mean = belief.mean + self.scale * refresh * control.shift
        factor = (0.5 * refresh * control.log_variance).exp()
        return mean, belief.std * factor

    def backward(self, k: int | Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._at("keep", k, y) * self.moved(k, y), self._at("kick_std", k, y)

    def advance(self, k: int | Tensor, x: Tensor, moved: Tensor) -> Tensor:
        return torch.cat(self._turned(k, torch.cat([self.visited(k, x), moved], -1), 1.0), -1)

    def moved(self, k: int | Tensor, y: Tensor) -> Tensor:
        return self._turned(k, y, -1.0)[1]

    def retraced(self, k: int | Tensor, x: Tensor) -> Tensor:
        return self._turned(k, x, 1.0)[1]

    def visited(self, k: int | Tensor, x: Tensor) -> Tensor:
        return self._turned(k, x, 1.0)[0]

    def features(self, k: int | Tensor, x: Tensor) -> Tensor:
        return torch.cat(self._turned(k, x, 1.0), -1) / self.scale

    def langevin(self, x: Tensor, score: Tensor, belief: Belief) -> Tensor:
        """``scale × ∇ log (R / reference)(x)`` at the positions of the kick."""
        return self.scale * (score + x / self.scale**2)

    def bridge(self, ends: Tensor, generator: Generator | None = None) -> Tensor:
        states = [torch.cat([ends, self.scale * standard_normal(ends, generator)], -1)]
        for k in reversed(range(self.steps)):
            position = self._turned(k, states[-1], -1.0)[0]
            mean, std = self.backward(k, states[-1])
            velocity = mean + std * standard_normal(mean, generator)
            states.append(torch.cat(self._turned(k, torch.cat([position, velocity], -1), -1.0), -1))
        return torch.stack(states[::-1])
