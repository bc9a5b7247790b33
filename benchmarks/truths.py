"""Compute the log evidence of every file in models/ and print it beside the figure that the file states.

    python benchmarks/truths.py            # all, about two minutes on one core
    python benchmarks/truths.py two_sensors
"""

from __future__ import annotations

import argparse
import math
import runpy
from pathlib import Path
from typing import Any

import torch
from scipy import integrate
from torch import Tensor

MODELS = Path(__file__).parents[1] / "models"
Truth = tuple[float, float]


def eight_schools(model: dict[str, Any]) -> Truth:
    """Quadrature over tau = 5 tan(angle), whose prior is uniform in the angle; the rest is Gaussian."""

    def integrand(angle: float) -> float:
        tau = torch.tensor([5.0 * math.tan(angle)], dtype=torch.float64)
        return model["log_marginal"](tau).exp().item() * 2 / math.pi

    value, error = integrate.quad(integrand, 0.0, math.pi / 2, epsabs=0.0, epsrel=1e-10, limit=500)
    return math.log(value), error / value


def kidscore(model: dict[str, Any]) -> Truth:
    """Closed form of the integral over beta in R^p and noise in R⁺, n rows, RSS the residual sum of squares.

    (2π)^{-(n-p)/2} |XᵀX|^{-1/2} · ½ Γ(a) (RSS / 2)^{-a},  a = (n - p - 1) / 2
    """
    columns, score = (tensor.double() for tensor in model["data"]())
    rows, width = columns.shape
    residual = score - columns @ torch.linalg.lstsq(columns, score[:, None]).solution[:, 0]
    shape = (rows - width - 1) / 2
    value = -(rows - width) / 2 * math.log(2 * math.pi) - 0.5 * torch.logdet(columns.T @ columns).item()
    return value + math.lgamma(shape) - math.log(2) - shape * math.log(residual.square().sum().item() / 2), 0.0


def two_sensors(model: dict[str, Any]) -> Truth:
    """Midpoint rule over all pairs of cells; prints the mode weights. The density is smooth at the scale of a cell."""
    cell = 0.02
    (first, first_density), (second, second_density) = (model["sensor_grid"](sensor, cell) for sensor in (0, 1))
    density = first_density[:, None] + second_density[None, :] + model["log_coupling"](first, second)
    weight = density.flatten().softmax(0).reshape(density.shape)
    sides = [(first[:, 1] < 0) == (index // 2 == 1) for index in range(4)]
    other = [(second[:, 1] < 0) == (index % 2 == 1) for index in range(4)]
    weights = [weight[a][:, b].sum().item() for a, b in zip(sides, other, strict=True)]
    print("two_sensors: mode weights", " ".join(f"{value:.4f}" for value in weights))
    return density.flatten().logsumexp(0).item() + 4 * math.log(cell), 0.0


def breast_cancer(model: dict[str, Any]) -> Truth:
    """Adaptive importance sampling: a Laplace approximation, then Student-t proposals matched to weighted moments."""
    columns, benign = (tensor.double() for tensor in model["data"]())
    signs, dim = 2 * benign - 1, columns.shape[1]

    def log_density(weight: Tensor) -> Tensor:
        likelihood = torch.nn.functional.logsigmoid(signs * (weight @ columns.T)).sum(-1)
        return likelihood - 0.5 * weight.square().sum(-1) - dim / 2 * math.log(2 * math.pi)

    mean = torch.zeros(dim, dtype=torch.float64)
    for _ in range(50):
        probability = torch.sigmoid(columns @ mean)
        hessian = (columns.T * (probability * (1 - probability))) @ columns + torch.eye(dim, dtype=torch.float64)
        mean = mean + torch.linalg.solve(hessian, columns.T @ (benign - probability) - mean)
    covariance = torch.linalg.inv(hessian)
    value = error = math.nan
    for freedom, count in [(8, 100_000), (15, 200_000), (20, 200_000), (30, 1_000_000)]:
        factor = torch.linalg.cholesky(covariance)
        draws, log_weights = [], []
        for _ in range(count // 20_000):
            scale = torch.distributions.Chi2(float(freedom)).sample((20_000, 1)).double().div(freedom).rsqrt()
            standard = scale * torch.randn(20_000, dim, dtype=torch.float64)
            draws.append(mean + standard @ factor.T)
            log_weights.append(log_density(draws[-1]) - student_log_prob(standard, freedom, factor))
        drawn, log_weight = torch.cat(draws), torch.cat(log_weights)
        weight = log_weight.softmax(0)
        value = log_weight.logsumexp(0).item() - math.log(count)
        error = (weight.std() * count / math.sqrt(count)).item()
        mean = weight @ drawn
        covariance = ((drawn - mean).T * weight) @ (drawn - mean)
    return value, error


def student_log_prob(standard: Tensor, freedom: int, factor: Tensor) -> Tensor:
    """Log density ``(N,)`` of a multivariate Student t at ``factor @ standard``, ``standard: (N, D)``."""
    dim = standard.shape[1]
    constant = math.lgamma((freedom + dim) / 2) - math.lgamma(freedom / 2) - dim / 2 * math.log(freedom * math.pi)
    tail = (freedom + dim) / 2 * torch.log1p(standard.square().sum(-1) / freedom)
    return constant - factor.diagonal().log().sum() - tail


def normalized(model: dict[str, Any]) -> Truth:
    """A model without data: its prior integrates to one."""
    return 0.0, 0.0


TRUTHS = {
    "eight_schools": eight_schools,
    "breast_cancer": breast_cancer,
    "kidscore": kidscore,
    "two_sensors": two_sensors,
    "gaussian_mixture_25": normalized,
    "funnel": normalized,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(TRUTHS), help="files of models/, without .py")
    for name in parser.parse_args().names:
        torch.manual_seed(0)
        model = runpy.run_path(str(MODELS / f"{name}.py"))
        value, error = TRUTHS[name](model)
        stated, stated_error = model["LOG_EVIDENCE"]
        print(f"{name}: log evidence {value:.6f} ± {error:.1e}, stated {stated} ± {stated_error}", flush=True)


if __name__ == "__main__":
    main()
