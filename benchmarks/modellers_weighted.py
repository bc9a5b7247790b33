"""Truth by importance sampling, for the regression with a hundred thousand rows: its posterior is almost Gaussian.

The proposal is Student's t around the mode, in the coordinates mean, log std, weights, effects. The effective sample
size says whether the figures can be used.
"""

from __future__ import annotations

import numpy as np
import torch
from modellers_cases import CASES
from modellers_exact import QUANTILES
from torch.distributions import Chi2, HalfNormal, Normal

DEGREES = 30
"""Of Student's t: its tails are wider than the posterior's, and its weights stay even in 46 dimensions."""
DRAWS = 8_000
"""Two thirds of them are effective. A covariance fitted again to a thousand draws left a tenth."""
BATCH = 250
"""Draws at once: 200 MB of logits."""
FEWEST = 4_000
"""Least effective draws."""


class Regression:
    """The log density of ``tall_logistic`` in float64 at ``(B, D)``: mean, log std, weights, effects."""

    def __init__(self) -> None:
        shop, columns, bought = CASES["tall_logistic"].arguments
        effects = torch.nn.functional.one_hot(shop).double()
        self.design, self.bought = torch.cat([columns.double(), effects], 1), bought.double()
        self.width, self.dim = columns.shape[1], 2 + self.design.shape[1]
        self.explained = self.design.T @ self.bought

    def prior(self, x: torch.Tensor) -> torch.Tensor:
        mean, std, weight, effect = x[:, 0], x[:, 1].exp(), x[:, 2 : 2 + self.width], x[:, 2 + self.width :]
        of_scales = Normal(0.0, 2.0).log_prob(mean) + HalfNormal(1.0).log_prob(std) + x[:, 1]
        of_effects = Normal(mean[:, None], std[:, None]).log_prob(effect).sum(-1)
        return of_scales + Normal(0.0, 1.0).log_prob(weight).sum(-1) + of_effects

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        beta = x[:, 2:]
        softplus = torch.nn.functional.softplus(self.design @ beta.T).sum(0)
        return self.prior(x) + beta @ self.explained - softplus

    def mode(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The mode given a std of 1/2, and the covariance there, with the prior's curvature by autograd."""
        x = torch.zeros(self.dim, dtype=torch.float64)
        x[1] = -0.7
        curvature = torch.eye(self.dim)
        for _ in range(12):
            chance = (self.design @ x[2:]).sigmoid()
            score = torch.func.grad(lambda point: self.prior(point[None])[0])(x)
            curvature = -torch.func.hessian(lambda point: self.prior(point[None])[0])(x)
            score[2:] += self.explained - self.design.T @ chance
            curvature[2:, 2:] += (self.design * (chance * (1 - chance))[:, None]).T @ self.design
            curvature[1, :] = curvature[:, 1] = 0.0
            curvature[1, 1], score[1] = 2.0 * (self.dim - 2 - self.width), 0.0  # effects of known size: 2n for log std
            x = x + torch.linalg.solve(curvature, score)
            x[1] = x[2 + self.width :].std().log()
        return x, torch.linalg.inv(curvature)


def weighted(model: Regression, mean: torch.Tensor, covariance: torch.Tensor, count: int) -> tuple:
    """Draws of Student's t and their log weights."""
    factor = torch.linalg.cholesky(covariance)
    normal = torch.randn(count, model.dim, dtype=torch.float64)
    scale = (Chi2(torch.tensor(float(DEGREES), dtype=torch.float64)).sample((count,)) / DEGREES).rsqrt()
    x = mean + scale[:, None] * normal @ factor.T
    half, squared = torch.tensor(DEGREES / 2, dtype=torch.float64), (scale[:, None] * normal).square().sum(-1)
    log_q = torch.lgamma(half + model.dim / 2) - torch.lgamma(half) - 0.5 * model.dim * np.log(DEGREES * np.pi)
    log_q = log_q - factor.diagonal().log().sum() - (half + model.dim / 2) * torch.log1p(squared / DEGREES)
    log_r = torch.cat([model.log_prob(batch) for batch in x.split(BATCH)])
    return x, log_r - log_q


def solve() -> dict:
    """Evidence, moments and quantiles of every site, and the effective sample size.

    Raises:
        ValueError: Too few effective draws.
    """
    torch.manual_seed(0)
    model = Regression()
    x, log_weights = weighted(model, *model.mode(), DRAWS)
    share = log_weights.softmax(0)
    effective = float(1 / share.square().sum())
    if effective < FEWEST:
        raise ValueError(f"{effective:.0f} effective draws are too few")
    value = float(log_weights.logsumexp(0) - np.log(len(x)))
    std_error = float((share * len(x)).std() / np.sqrt(len(x)))
    values = torch.cat([x[:, :1], x[:, 1:2].exp(), x[:, 2:]], 1).numpy()
    every = moments(values, share.numpy())
    places = {"mean": slice(0, 1), "std": slice(1, 2), "weight": slice(2, 2 + model.width)}
    places["effect"] = slice(2 + model.width, None)
    sites = {site: {key: found[place] for key, found in every.items()} for site, place in places.items()}
    how = f"importance sampling from Student's t in float64, {len(x)} draws, {effective:.0f} effective"
    return {"how": how, "log_evidence": [value, std_error], "sites": sites}


def moments(values: np.ndarray, share: np.ndarray) -> dict[str, np.ndarray]:
    """Weighted moments and quantiles of ``(N, D)``."""
    mean = share @ values
    found = {"mean": mean, "sd": np.sqrt(share @ (values - mean) ** 2)}
    order = values.argsort(0)
    for name, level in QUANTILES.items():
        places = [np.searchsorted(share[rows].cumsum(), level) for rows in order.T]
        found[name] = np.array([values[order[place, index], index] for index, place in enumerate(places)])
    return found
