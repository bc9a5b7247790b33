"""Rubin's eight schools: the effect of coaching on a test score, estimated in eight parallel experiments.

    mu ~ N(0, 5),  tau ~ HalfCauchy(5),  theta_j ~ N(mu, tau),  effect_j ~ N(theta_j, standard_error_j)

`model` draws the standardized effects. This is non-centred, and the posterior is nearly Gaussian. `centred` draws
`theta` itself. Its posterior is a funnel in `tau`.
Both have the same posterior of `mu`, `tau`, `theta` and the same evidence.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Rubin (1981), Estimation in parallel randomized experiments, J. Educational Statistics 6(4), table 1"

# The school effects and mu integrate out in closed form, effect ~ N(0, diag(standard_error² + tau²) + 25);
# tau by quadrature to 1e-10: benchmarks/truths.py
LOG_EVIDENCE = (-31.31135, 0.0)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Estimated effects and their standard errors in points of the test, schools A to H: ``(8,), (8,)``."""
    effect = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    standard_error = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    return effect, standard_error


def model(effect: torch.Tensor, standard_error: torch.Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("school", len(effect)):
        standardized = pyro.sample("standardized", dist.Normal(0.0, 1.0))
        theta = pyro.deterministic("theta", mu + tau * standardized)
        pyro.sample("effect", dist.Normal(theta, standard_error), obs=effect)


def centred(effect: torch.Tensor, standard_error: torch.Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("school", len(effect)):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("effect", dist.Normal(theta, standard_error), obs=effect)


def sample(n: int) -> dict[str, torch.Tensor]:
    """Exact draws of ``mu, tau: (n,)`` and ``standardized, theta: (n, 8)``: tau from its own density on a fine grid."""
    effect, standard_error = (tensor.double() for tensor in data())
    angle = torch.linspace(0.0, torch.pi / 2, 20_002, dtype=torch.float64)[1:-1]
    cumulative = log_marginal(5.0 * angle.tan()).softmax(0).cumsum(0)
    above = torch.searchsorted(cumulative, torch.rand(n, dtype=torch.float64)).clamp(max=len(angle) - 1)
    tau = 5.0 * (angle[above] + (torch.rand(n, dtype=torch.float64) - 0.5) * (angle[1] - angle[0])).tan()
    precision = 1 / (standard_error.square() + tau[:, None].square())
    mu_variance = 1 / (1 / 25 + precision.sum(-1))
    mu = mu_variance * (precision * effect).sum(-1) + mu_variance.sqrt() * torch.randn(n, dtype=torch.float64)
    variance = 1 / (1 + (tau[:, None] / standard_error).square())
    mean = variance * tau[:, None] * (effect - mu[:, None]) / standard_error.square()
    standardized = mean + variance.sqrt() * torch.randn(n, 8, dtype=torch.float64)
    draws = {"mu": mu, "tau": tau, "standardized": standardized, "theta": mu[:, None] + tau[:, None] * standardized}
    return {name: value.float() for name, value in draws.items()}


def log_marginal(tau: torch.Tensor) -> torch.Tensor:
    """Log density of the effects given ``tau: (T,)``, theta and mu integrated out in closed form: ``(T,)``, float64."""
    effect, standard_error = (tensor.double() for tensor in data())
    own = torch.diag_embed(standard_error.square() + tau.double()[:, None].square())
    return dist.MultivariateNormal(torch.zeros_like(effect), own + 25.0).log_prob(effect)
