"""A Brownian motion that is observed with noise at its start and its end. The ten steps between are missing.

    innovation_noise, observation_noise ~ LogNormal(0, 2)
    position_t ~ N(position_{t-1}, innovation_noise),  t = 0..29,  position_{-1} = 0
    observed_t ~ N(position_t, observation_noise),  t = 0..9 and 20..29

A small innovation noise ties the positions together. A small observation noise ties them to the data.
So the posterior has two necks, like a funnel.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Sountsov, Radul et al. (2020), Inference Gym, Brownian motion with missing middle; own data, see `data`"

# All positions Gaussian in closed form, both scales by the trapezoid rule to 1e-10: benchmarks/truths.py
LOG_EVIDENCE = (-1.425162, 0.0)
SCALE = 1.0

STEPS = 30


class RunningSum(dist.transforms.Transform):
    """``y_t = x_0 + … + x_t``, whose Jacobian is one."""

    domain = codomain = dist.constraints.real_vector
    bijective = True

    def _call(self, x: torch.Tensor) -> torch.Tensor:
        return x.cumsum(-1)

    def _inverse(self, y: torch.Tensor) -> torch.Tensor:
        return torch.cat([y[..., :1], y[..., 1:] - y[..., :-1]], -1)

    def log_abs_det_jacobian(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(x.shape[:-1])


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """The observed steps ``(20,)`` and the observed values ``(20,)``, without unit.

    They were simulated once, with seed 0, innovation noise 0.1 and observation noise 0.15, and rounded.
    """
    first = [0.028, -0.154, -0.354, -0.165, -0.053, -0.116, -0.208, -0.444, -0.59, -0.223]
    last = [-0.468, -0.331, -0.527, -0.619, -0.564, -0.482, -0.643, -0.256, -0.831, -0.326]
    return torch.tensor([*range(10), *range(20, 30)]), torch.tensor(first + last)


def model(step: torch.Tensor, observed: torch.Tensor) -> None:
    innovation_noise = pyro.sample("innovation_noise", dist.LogNormal(0.0, 2.0))
    observation_noise = pyro.sample("observation_noise", dist.LogNormal(0.0, 2.0))
    innovations = dist.Normal(0.0, innovation_noise).expand([STEPS]).to_event(1)
    position = pyro.sample("position", dist.TransformedDistribution(innovations, [RunningSum()]))
    pyro.sample("observed", dist.Normal(position[..., step], observation_noise).to_event(1), obs=observed)


def log_marginal(log_innovation: torch.Tensor, log_observation: torch.Tensor) -> torch.Tensor:
    """Log joint density of the data and both log scales, ``(M,), (M,) -> (M,)``, float64: positions integrated out.

    With V diag(λ) Vᵀ the covariance of the seen positions for unit innovations, Vᵀ observed has the variances
    innovation² λ + observation².
    """
    values, rotated, _ = spectrum()
    variance = (2 * log_innovation).exp()[:, None] * values + (2 * log_observation).exp()[:, None]
    likelihood = dist.Normal(0.0, variance.sqrt()).log_prob(rotated).sum(-1)
    prior = dist.Normal(torch.zeros((), dtype=torch.float64), 2.0)
    return likelihood + prior.log_prob(log_innovation) + prior.log_prob(log_observation)


def spectrum() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """λ ``(20,)``, Vᵀ observed ``(20,)`` and V ``(20, 20)``, float64."""
    step, observed = data()
    covariance = 1.0 + torch.minimum(step[:, None], step).double()
    values, vectors = torch.linalg.eigh(covariance)
    return values, vectors.T @ observed.double(), vectors


def sample(n: int) -> dict[str, torch.Tensor]:
    """Exact draws of ``innovation_noise, observation_noise: (n,)`` and ``position: (n, 30)``.

    The log scales come from a grid and are uniform within its cells of 0.02. This adds 3e-5 to their variances.
    Positions are simulated with data of their own. Then they are corrected by the difference of these data from
    the real ones.
    """
    log_scales = grid_draws(n)
    innovation, noise = log_scales.exp().T
    step, observed = data()
    position = (innovation[:, None] * torch.randn(n, STEPS, dtype=torch.float64)).cumsum(-1)
    simulated = position[:, step] + noise[:, None] * torch.randn(n, len(step), dtype=torch.float64)
    values, _, vectors = spectrum()
    variance = innovation.square()[:, None] * values + noise.square()[:, None]
    gap = ((observed - simulated) @ vectors / variance) @ vectors.T
    shared = 1.0 + torch.minimum(torch.arange(STEPS)[:, None], step).double()
    position = position + innovation.square()[:, None] * (gap @ shared.T)
    draws = {"innovation_noise": innovation, "observation_noise": noise, "position": position}
    return {name: value.float() for name, value in draws.items()}


def grid_draws(n: int, cell: float = 0.02) -> torch.Tensor:
    """Draws of both log scales ``(n, 2)``, float64."""
    innovation = torch.arange(-5.0, -0.2, cell, dtype=torch.float64)
    observation = torch.arange(-9.0, -0.2, cell, dtype=torch.float64)
    centre = torch.cartesian_prod(innovation, observation)
    cumulative = log_marginal(*centre.T).softmax(0).cumsum(0)
    uniform = torch.rand(n, dtype=torch.float64)
    chosen = torch.searchsorted(cumulative, uniform).clamp(max=len(centre) - 1)
    return centre[chosen] + cell * (torch.rand(n, 2, dtype=torch.float64) - 0.5)
