"""Linear Gaussian noising chains: their bridges in closed form, and beliefs about the end, which controls correct."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import nn

from amortized._types import AffineSteps, Belief, Control, Generator, Tensor
from amortized.processes.base import Believer, Grid, Process
from amortized.processes.grids import Uniform
from amortized.processes.reference import Reference
from amortized.processes.transitions import Gaussian, Transition, log_normal, standard_normal

POINT_MASS_STD = 1 / math.sqrt(2 * math.pi)
"""Std that stands for 0, at a pinned start: the log density of N(m, 1/2π) at its own mean is 0."""


class LinearProcess(Process):
    """A Gaussian noising chain ``x_k | x_K ~ N(c_k x_K, n_k²)``.

    A concrete process gives only ``signal(t) = c`` and ``noise_variance(t) = n²`` with ``c(1) = 1``, ``n(1) = 0``;
    a Markov chain of Gaussians has no further freedom. Everything else follows:

    - the noising kernel ``x_k | x_{k+1} ~ N(b_k x_{k+1}, r_k²)`` with ``b_k = c_k / c_{k+1}`` and
      ``r_k² = n_k² − b_k² n²_{k+1}``;
    - the reference: the same chain run forwards from ends ``x_K ~ N(0, scale²)``. Its marginal at 0 is the prior;
    - the forward kernel under a control: the bridge to ``x_K``, averaged over the belief about ``x_K`` that the control
      has corrected. Its mean and variance hold for any step length, so a control depends on ``(x, t)`` alone.

    At zero control and without a mixture the chain is reversible, exactly:
    ``log p₀ + Σ log P_F = log N(x_K; 0, scale²) + Σ log P_B``.

    Args of the constructor:
        steps: K, at least 1.
        scale: std of the reference's ends, in units of x.
        reference: the ends follow this mixture instead. The prior stays as it was.
        noising: a policy that bends the noising kernel. With ρ, the part of the reference's variance that a step
            renews, the mean changes by ``ρ std shift`` and the variance by the factor ``exp(ρ log variance)``; so one
            policy holds for any step length.
        transition: the forward law, ``Gaussian()`` or ``StudentT()``.
        grid: where the steps lie.
    """

    drift: Tensor
    push: Tensor
    stride: Tensor
    marginal_std: Tensor
    endpoint_std: Tensor
    signals: Tensor
    noise_variances: Tensor
    prior_noise: Tensor
    prior_std: Tensor

    def __init__(
        self,
        steps: int,
        scale: float = 1.0,
        reference: Reference | None = None,
        *,
        noising: nn.Module | None = None,
        transition: Transition = Gaussian(),  # noqa: B008
        grid: Grid = Uniform(),  # noqa: B008
    ):
        if getattr(noising, "needs_score", False):
            raise ValueError(
                "noising asks for the target's score, which a noising kernel does not see; "
                "write noising=LangevinMLP(dim, langevin=False)"
            )
        super().__init__(steps, scale, transition, grid)
        self.reference = reference
        self.noising = noising

    @abstractmethod
    def signal(self, t: Tensor) -> Tensor:
        """``c(t)``: the share of ``x_K`` in ``x_t``, between 0 and 1; ``c(1) = 1``."""

    @abstractmethod
    def noise_variance(self, t: Tensor) -> Tensor:
        """``n(t)²``: variance of ``x_t`` given ``x_K``, in squared units of x; ``n(1) = 0``."""

    def _tables(self, times: Tensor) -> dict[str, Tensor]:
        signal, noise = self.signal(times), self.noise_variance(times)
        noise[-1] = 0.0
        marginal = signal.square() * self.scale**2 + noise
        decay = signal[:-1] / signal[1:]
        backward_variance = (noise[:-1] - decay.square() * noise[1:]).clamp(min=0.0)
        keep = torch.where(noise[:-1] > 0, noise[1:] * decay / noise[:-1].clamp(min=1e-300), 0.0)
        endpoint_scale = torch.where(marginal > 0, signal * self.scale**2 / marginal.clamp(min=1e-300), 0.0)
        endpoint_variance = torch.where(marginal > 0, self.scale**2 * noise / marginal.clamp(min=1e-300), self.scale**2)
        reach = signal[1:] - keep * signal[:-1]
        marginal_std, backward_std = marginal.sqrt(), backward_variance.sqrt()
        drift, push = keep + reach * endpoint_scale[:-1], reach * endpoint_variance[:-1].sqrt()
        bridge_variance = noise[1:] * (1.0 - keep * decay)
        return {
            "drift": drift,
            "push": push,
            "push_variance": push.square(),
            "stride": (bridge_variance + push.square()).sqrt(),
            "signals": signal,
            "marginal_std": torch.where(marginal_std > 0, marginal_std, 1.0),
            "marginal_density_std": torch.where(marginal_std > 0, marginal_std, POINT_MASS_STD),
            "prior_noise": marginal_std[:1],
            "prior_std": torch.where(marginal_std > 0, marginal_std, POINT_MASS_STD)[:1],
            "keep": keep,
            "decay": decay,
            "backward_noise": backward_std,
            "backward_std": torch.where(backward_std > 0, backward_std, POINT_MASS_STD),
            "bridge_variance": bridge_variance,
            "reach": reach,
            "endpoint_std": endpoint_variance[:-1].sqrt(),
            "endpoint_scale": endpoint_scale[:-1],
            "noise_variances": noise,
            "noise_densities": torch.where(marginal > 0, noise, POINT_MASS_STD**2),
            "noise_std": noise.clamp(min=0.0).sqrt(),
        }

    def sample_prior(self, batch: int, dim: int, generator: Generator | None = None) -> Tensor:
        noise = torch.randn(batch, dim, generator=generator, device=self.prior_noise.device)
        return noise * self.prior_noise.to(noise.dtype)

    def log_prior(self, x: Tensor) -> Tensor:
        return log_normal(x, torch.zeros_like(x), self.prior_std.to(x.dtype))

    def log_marginal(self, k: int | Tensor, x: Tensor) -> Tensor:
        if self.reference is None:
            return log_normal(x, torch.zeros_like(x), self._at("marginal_density_std", k, x))
        return self.reference.log_marginal(x, self._at("signals", k, x), self._at("noise_densities", k, x))

    @property
    def keeps_beliefs(self) -> bool:
        return self.reference is not None and not any(True for _ in self.reference.parameters())

    def belief(self, k: int | Tensor, x: Tensor) -> Belief:
        """Posterior mean and std of ``x_K`` given ``x_k = x``, under the reference."""
        if self.reference is None:
            return Belief(self._at("endpoint_scale", k, x) * x, self._at("endpoint_std", k, x))
        return _belief(*self.reference.belief(x, self._at("signals", k, x), self._at("noise_variances", k, x)))

    def beliefs(self, like: Tensor) -> Believer:
        if self.reference is None:
            return self.belief
        steps = slice(None, self.steps)
        tables = (self.signals[steps].to(like.dtype), self.noise_variances[steps].to(like.dtype))
        believe = self.reference.at(*tables)
        return lambda k, x: _belief(*believe(k, x))

    def forward(self, k: int | Tensor, x: Tensor, belief: Belief | None, control: Control) -> tuple[Tensor, Tensor]:
        """Mean and std of ``P_F(x_{k+1} | x_k = x)``: the bridge to the end, averaged over the corrected belief."""
        if belief is None and self.reference is None:
            uncontrolled, push = self._at("drift", k, x) * x, self._at("push", k, x)
            of_end = self._at("push_variance", k, x)
        else:
            belief, reach = self.belief(k, x) if belief is None else belief, self._at("reach", k, x)
            uncontrolled, push = torch.addcmul(self._at("keep", k, x) * x, reach, belief.mean), reach * belief.std
            of_end = push.square()
        mean = torch.addcmul(uncontrolled, push, control.shift)
        if isinstance(control.log_variance, Tensor):
            of_end = of_end * control.log_variance.exp()
        elif belief is None:
            return mean, self._at("stride", k, x)
        return mean, (self._at("bridge_variance", k, x) + of_end).sqrt()

    def affine(self, like: Tensor) -> AffineSteps | None:
        cls, plain = type(self), LinearProcess
        own = (cls.forward, cls.features, cls.langevin) == (plain.forward, plain.features, plain.langevin)
        if not own or self.reference is not None:
            return None
        scale, drift = self.marginal_std[:-1].reciprocal().tolist(), self.drift.tolist()
        push, stride = (table.to(like.dtype)[:, None, None] for table in (self.push, self.stride))
        return AffineSteps(scale, drift, push, stride, self.endpoint_std.tolist(), 1 / self.scale**2)

    def backward(self, k: int | Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std of the noising kernel ``P_B(x_k | x_{k+1} = y)``."""
        mean, std = self._at("decay", k, y) * y, self._at("backward_std", k, y)
        if self.noising is None:
            return mean, std
        noise = self._at("backward_noise", k, y)
        control = self.noising(self.features(k + 1, y), self._at("times", k + 1, y))
        marginal = self._at("marginal_std", k + 1, y)
        part = (noise / marginal).square()
        return mean + part * marginal * control.shift, std * (0.5 * part * control.log_variance).exp()

    def bridge(self, ends: Tensor, generator: Generator | None = None) -> Tensor:
        """Noising chains that end in ``ends: (B, D)``: all steps at once, or one by one if noising is learned."""
        noise = torch.randn(self.steps, *ends.shape, generator=generator, device=ends.device, dtype=ends.dtype)
        if self.noising is not None:
            states = [ends]
            for k in reversed(range(self.steps)):
                mean, std = self.backward(k, states[-1])
                states.append(mean + std * noise[k] * (self._at("backward_noise", k, ends) > 0))
            return torch.stack(states[::-1])
        k = torch.arange(1, self.steps, device=ends.device)
        signal = self._at("signals", k, noise)
        wander = (self._at("backward_noise", k, noise) / signal * noise[1:]).flip(0).cumsum(0).flip(0)
        states = torch.cat([signal * (ends + wander), ends[None]])
        first = self._at("decay", 0, ends) * states[0] + self._at("backward_noise", 0, ends) * noise[0]
        return torch.cat([first[None], states])

    def noised(self, k: Tensor, ends: Tensor, generator: Generator | None = None) -> Tensor:
        """One state ``x_k | x_K`` for every row: ``k: (B,)``, ``ends: (B, D)``. A learned noising is not used."""
        noise = standard_normal(ends, generator)
        return self._at("signals", k, ends) * ends + self._at("noise_std", k, ends) * noise

    def bridge_forward(self, k: int | Tensor, x: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of ``x_{k+1}`` given both ``x_k = x`` and the end. A learned noising is not used."""
        mean = self._at("keep", k, x) * x + self._at("reach", k, x) * ends
        return mean, self._at("bridge_variance", k, x)

    def bridge_control(self, k: int | Tensor, x: Tensor, ends: Tensor, scores: Tensor) -> Tensor:
        """A control variate for the mean of ``bridge_forward``: of mean 0 given ``x_k = x`` where ends are draws.

            reach · (c (x − c x_K) + n² ∇ log R(x_K))

        This is the target score identity of arXiv 2402.08667; ``scores`` are those of the target at the ends.
        """
        signal, noise = self._at("signals", k, x), self._at("noise_variances", k, x)
        return self._at("reach", k, x) * (signal * (x - signal * ends) + noise * scores)

    def features(self, k: int | Tensor, x: Tensor) -> Tensor:
        return x / self._at("marginal_std", k, x)

    def langevin(self, x: Tensor, score: Tensor, belief: Belief) -> Tensor:
        """The shift that one gradient step proposes: ``std of x_K × ∇ log (R / reference)(x)``, ``(..., D)``."""
        reference = -x / self.scale**2 if self.reference is None else self.reference.score(x)
        return belief.std * (score - reference)


def _belief(mean: Tensor, variance: Tensor) -> Belief:
    return Belief(mean, variance.sqrt())
