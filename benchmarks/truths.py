"""Compute the log evidence of every file in models/ and print it beside the figure that the file states.

python benchmarks/truths.py            # all, about seven minutes on one core, five of them log_gaussian_cox
python benchmarks/truths.py two_sensors
"""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable
from typing import Any

import torch
from scipy import integrate
from support import MODELS, parser_of
from torch import Tensor

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
    return logistic_regression(*model["data"]())


def logistic_regression(columns: Tensor, labels: Tensor) -> Truth:
    """Adaptive importance sampling: a Laplace approximation, then Student-t proposals matched to weighted moments.

    Of weights that are N(0, 1) by their prior; ``columns: (N, D)``, ``labels: (N,)`` 0 or 1.
    """
    columns, labels = columns.double(), labels.double()
    signs, dim = 2 * labels - 1, columns.shape[1]

    def log_density(weight: Tensor) -> Tensor:
        likelihood = torch.nn.functional.logsigmoid(signs * (weight @ columns.T)).sum(-1)
        return likelihood - 0.5 * weight.square().sum(-1) - dim / 2 * math.log(2 * math.pi)

    mean, hessian = torch.zeros(dim, dtype=torch.float64), torch.eye(dim, dtype=torch.float64)
    for _ in range(50):
        probability = torch.sigmoid(columns @ mean)
        hessian = (columns.T * (probability * (1 - probability))) @ columns + torch.eye(dim, dtype=torch.float64)
        mean = mean + torch.linalg.solve(hessian, columns.T @ (labels - probability) - mean)
    return importance(log_density, mean, torch.linalg.inv(hessian))


def seeds(model: dict[str, Any]) -> Truth:
    """Adaptive importance sampling of log tau and the four coefficients; each plate's own effect by quadrature."""
    kind, extract, sown, germinated = (tensor.double() for tensor in model["data"]())
    columns = torch.stack([torch.ones_like(kind), kind, extract, kind * extract])
    standard = torch.arange(-14.0, 15.0, dtype=torch.float64) * 0.4
    log_weights = -0.5 * standard.square() - 0.5 * math.log(2 * math.pi) + math.log(0.4)
    choose = (torch.lgamma(sown + 1) - torch.lgamma(germinated + 1) - torch.lgamma(sown - germinated + 1)).sum()
    constant = choose + 0.01 * math.log(0.01) - math.lgamma(0.01) - 2 * math.log(2 * math.pi) - 4 * math.log(10.0)

    def log_density(x: Tensor) -> Tensor:
        log_tau, coefficients = x[:, 0], x[:, 1:]
        prior = 0.01 * log_tau - 0.01 * log_tau.exp() - 0.5 * (coefficients / 10.0).square().sum(-1)
        effects = (-0.5 * log_tau).exp()[:, None] * standard
        logits = (coefficients @ columns)[:, :, None] + effects[:, None, :]
        likelihood = germinated[:, None] * logits - sown[:, None] * torch.nn.functional.softplus(logits)
        return constant + prior + (likelihood + log_weights).logsumexp(-1).sum(-1)

    mean = torch.tensor([2.5, -0.5, 0.1, 1.3, -0.8], dtype=torch.float64)
    return importance(log_density, mean, torch.tensor([2.0, 0.05, 0.1, 0.1, 0.2], dtype=torch.float64).diag())


def importance(log_density: Callable[[Tensor], Tensor], mean: Tensor, covariance: Tensor) -> Truth:
    """Four rounds of Student-t proposals, each matched to the weighted moments of the one before."""
    dim = len(mean)
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


def brownian_missing_middle(model: dict[str, Any]) -> Truth:
    """Trapezoid rule over both log scales, with an error below any power of the step; the rest is Gaussian."""
    axis, step = torch.linspace(-14.0, 5.0, 700, dtype=torch.float64), 19.0 / 699
    parts = torch.cartesian_prod(axis, axis).split(70_000)
    density = torch.cat([model["log_marginal"](*part.T) for part in parts])
    return density.logsumexp(0).item() + 2 * math.log(step), 0.0


def many_well(model: dict[str, Any]) -> Truth:
    """Quadrature of both wells of a block; prints the weight of the right one. The second coordinate is Gaussian."""

    def integrand(x: float) -> float:
        return math.exp(model["log_well"](torch.tensor(x, dtype=torch.float64)).item() - 9.0)

    (left, left_error), (right, right_error) = (
        integrate.quad(integrand, *limits, epsabs=0.0, epsrel=1e-12, limit=500) for limits in ((-6, 0), (0, 6))
    )
    print(f"many_well: weight of the right well {right / (left + right):.7f}")
    block = math.log(left + right) + 9.0 + 0.5 * math.log(2 * math.pi)
    return 16 * block, 16 * (left_error + right_error) / (left + right)


def log_gaussian_cox(model: dict[str, Any], grid: int = 40, temperatures: int = 500, count: int = 256) -> Truth:
    """Annealed importance sampling from the Laplace approximation, four leapfrog steps of 0.25 a temperature.

    With mode f* and Hessian precision + diag(W) = A⁻¹A⁻ᵀ there, W = area exp(f*), and e = A⁻¹(f - f*), the target is
    log R = constant - ½ |e|² - Σ W (exp(d) - 1 - d - ½ d²),  d = A e; the last sum is switched on by degrees.
    """
    counts, basis, blocks, log_determinant, _ = model["data"](grid)
    cells = len(counts)
    root = model["multiply"](basis.double(), [block.double() for block in blocks], torch.eye(cells).double())
    precision, counts, mean = root @ root, counts.double(), model["MEAN"]
    field = torch.full_like(counts, mean)
    for _ in range(20):
        rate = field.exp() / cells
        hessian = precision + rate.diag()
        field = field + torch.linalg.solve(hessian, counts - rate - precision @ (field - mean))
    rate, gap = field.exp() / cells, field - mean
    constant = (counts * field - rate).sum() - 0.5 * gap @ precision @ gap
    constant = constant + log_determinant - 0.5 * torch.logdet(precision + rate.diag())
    columns = torch.linalg.inv(torch.linalg.cholesky(precision + rate.diag())).float()
    log_weight = anneal(rate.float(), columns, temperatures, count)
    weight = (log_weight - log_weight.max()).exp()
    value = constant + log_weight.logsumexp(0) - math.log(count)
    return value.item(), (weight.std() / weight.mean()).item() / math.sqrt(count)


def anneal(rate: Tensor, columns: Tensor, temperatures: int, count: int, step: float = 0.25) -> Tensor:
    """Log weights ``(count,)`` of chains from exp(-½ |e|²) to exp(-½ |e|² - h(e)), by Hamiltonian Monte Carlo."""

    def excess(e: Tensor) -> tuple[Tensor, Tensor]:
        d = e @ columns
        slope = torch.expm1(d) - d
        return (rate * (slope - 0.5 * d.square())).sum(-1, dtype=torch.float64), (rate * slope) @ columns.T

    e = torch.randn(count, len(rate))
    log_weight = torch.zeros(count, dtype=torch.float64)
    h, gradient = excess(e)
    for index in range(1, temperatures + 1):
        beta = index / temperatures
        log_weight -= h / temperatures
        momentum = torch.randn_like(e)
        before = beta * h + 0.5 * (e.square() + momentum.square()).sum(-1, dtype=torch.float64)
        moved, moved_h, moved_gradient = e, h, gradient
        for _ in range(4):
            momentum = momentum - 0.5 * step * (moved + beta * moved_gradient)
            moved = moved + step * momentum
            moved_h, moved_gradient = excess(moved)
            momentum = momentum - 0.5 * step * (moved + beta * moved_gradient)
        after = beta * moved_h + 0.5 * (moved.square() + momentum.square()).sum(-1, dtype=torch.float64)
        accepted = torch.rand(count, dtype=torch.float64).log() < before - after
        e = torch.where(accepted[:, None], moved, e)
        h, gradient = torch.where(accepted, moved_h, h), torch.where(accepted[:, None], moved_gradient, gradient)
    return log_weight


def normalized(model: dict[str, Any]) -> Truth:
    """A model without data: its prior integrates to one."""
    return 0.0, 0.0


TRUTHS = {
    "eight_schools": eight_schools,
    "breast_cancer": breast_cancer,
    "kidscore": kidscore,
    "two_sensors": two_sensors,
    "gaussian_mixture_9": normalized,
    "gaussian_mixture_25": normalized,
    "gaussian_mixture_40": normalized,
    "funnel": normalized,
    "many_well": many_well,
    "brownian_missing_middle": brownian_missing_middle,
    "seeds": seeds,
    "log_gaussian_cox": log_gaussian_cox,
}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("names", nargs="*", default=list(TRUTHS), help="files of models/, without .py")
    for name in parser.parse_args().names:
        torch.manual_seed(0)
        model = runpy.run_path(str(MODELS / f"{name}.py"))
        value, error = TRUTHS[name](model)
        stated, stated_error = model["LOG_EVIDENCE"]
        print(f"{name}: log evidence {value:.6f} ± {error:.1e}, stated {stated} ± {stated_error}", flush=True)


if __name__ == "__main__":
    main()
