"""A badly scaled regression with flat priors: a child's test score on its mother's test quotient and income.

    beta_j flat on R,  noise flat on R⁺,  score_i ~ N(beta_1 + beta_2 quotient_i + beta_3 income_i, noise)

The columns are a constant, one of about 100 ± 15, and one of about 40,000 ± 12,000. The third is correlated with the
second. The posterior standard deviations of the coefficients span five orders of magnitude. The priors are improper,
so there are no draws from them.
"""

import math

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`; of the kind of kidscore in Gelman and Hill (2007), chapter 3"

# The density's integral over beta and noise, in closed form (the priors integrate to infinity): benchmarks/truths.py
LOG_EVIDENCE = (-865.91399, 0.0)

ROWS = 200


def quasi_normal(step: float) -> torch.Tensor:
    """Normal quantiles at the fractional parts of ``i · step``, i = 1..ROWS: fixed numbers that look random."""
    return torch.special.ndtri(torch.arange(1, ROWS + 1, dtype=torch.float64).mul(step).frac())


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Columns ``(200, 3)``: constant, test quotient in points, income in currency a year; child's score ``(200,)``."""
    first, second, third = (quasi_normal(math.sqrt(prime)) for prime in (2, 3, 7))
    quotient = 100.0 + 15.0 * first
    income = 40_000.0 + 12_000.0 * (0.6 * first + 0.8 * second)
    score = 20.0 + 0.5 * quotient + 0.0003 * income + 18.0 * third
    return torch.stack([torch.ones_like(quotient), quotient, income], dim=1).float(), score.float()


def model(columns: torch.Tensor, score: torch.Tensor) -> None:
    beta = pyro.sample("beta", dist.ImproperUniform(dist.constraints.real_vector, (), (columns.shape[1],)))
    noise = pyro.sample("noise", dist.ImproperUniform(dist.constraints.positive, (), ()))
    with pyro.plate("child", len(score)):
        pyro.sample("score", dist.Normal(columns @ beta, noise), obs=score)


def sample(n: int) -> dict[str, torch.Tensor]:
    """Exact draws ``{"beta": (n, 3), "noise": (n,)}``: noise² is inverse gamma, beta is Gaussian given noise."""
    columns, score = (tensor.double() for tensor in data())
    rows, width = columns.shape
    factor = torch.linalg.cholesky(columns.T @ columns)
    least_squares = torch.cholesky_solve((columns.T @ score)[:, None], factor)[:, 0]
    residual = (score - columns @ least_squares).square().sum()
    precision = torch.distributions.Gamma((rows - width - 1.0) / 2, residual / 2).sample((n,))
    noise = precision.rsqrt()
    standard = torch.randn(n, width, 1, dtype=torch.float64)
    spread = torch.linalg.solve_triangular(factor.T, standard, upper=True)[..., 0]
    return {"beta": (least_squares + noise[:, None] * spread).float(), "noise": noise.float()}
