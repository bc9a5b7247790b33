"""The cost of an extracted density with its gradient, against hand-written torch, interleaved.

python benchmarks/density_cost.py [particles]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
import torch.nn.functional as functional

from amortized._types import Tensor
from amortized.targets.pyro.target import PyroTarget

ROUNDS = 60
torch.manual_seed(0)
X = torch.randn(569, 30)
Y = (torch.rand(569) < torch.sigmoid(X @ torch.randn(30))).float()
EFFECTS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
HALF_LOG_2PI = 0.9189385332046727


def logistic_regression(features: Tensor, labels: Tensor) -> None:
    w = pyro.sample("w", dist.Normal(torch.zeros(features.shape[1]), 1.0).to_event(1))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(features)):
        pyro.sample("y", dist.Bernoulli(logits=features @ w + b), obs=labels)


def logistic_regression_by_hand(x: Tensor) -> Tensor:
    w, b = x[:, :30], x[:, 30:]
    logits = w @ X.T + b
    losses = functional.binary_cross_entropy_with_logits(logits, Y.expand_as(logits), reduction="none")
    return -0.5 * x.square().sum(-1) - 31 * HALF_LOG_2PI - losses.sum(-1)


def eight_schools(effects: Tensor, errors: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", 8):
        eta = pyro.sample("eta", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mu + tau * eta, errors), obs=effects)


def eight_schools_by_hand(x: Tensor) -> Tensor:
    mu, log_tau, eta = x[:, :1], x[:, 1:2], x[:, 2:]
    tau = log_tau.exp()
    log_prior = dist.Normal(0.0, 5.0).log_prob(mu) + dist.HalfCauchy(5.0).log_prob(tau) + log_tau
    residual = (EFFECTS - mu - tau * eta) / ERRORS
    return (
        log_prior[:, 0]
        - 0.5 * eta.square().sum(-1)
        - 0.5 * residual.square().sum(-1)
        - ERRORS.log().sum()
        - 16 * HALF_LOG_2PI
    )


def linear_regression(features: Tensor, y: Tensor) -> None:
    w = pyro.sample("w", dist.Normal(torch.zeros(features.shape[1]), 1.0).to_event(1))
    scale = pyro.sample("scale", dist.HalfNormal(1.0))
    with pyro.plate("rows", len(features)):
        pyro.sample("y", dist.Normal(features @ w, scale), obs=y)


def linear_regression_by_hand(x: Tensor) -> Tensor:
    w, log_scale = x[:, :30], x[:, 30]
    residual = (Y - w @ X.T) / log_scale.exp()[:, None]
    likelihood = -0.5 * residual.square().sum(-1) - len(Y) * (log_scale + HALF_LOG_2PI)
    prior = -0.5 * w.square().sum(-1) - 30 * HALF_LOG_2PI + dist.HalfNormal(1.0).log_prob(log_scale.exp())
    return likelihood + prior + log_scale


def with_gradient(log_density: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    value = log_density(x)
    (score,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), score


def compare(name: str, target: PyroTarget, by_hand: Callable[[Tensor], Tensor], particles: int) -> float:
    """The median ratio of the two times, over interleaved rounds; prints it with both times."""
    x = 0.5 * torch.randn(particles, target.dim)
    runs = [lambda: target.log_prob_and_score(x), lambda: with_gradient(by_hand, x)]
    for got, want in zip(runs[0](), runs[1](), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-2)
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for run, seconds in zip(runs, times, strict=True):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*times, strict=True))
    ours, theirs = (1e3 * statistics.median(seconds) for seconds in times)
    print(f"{name:22} {target.batching:16} {ours:8.3f} ms   by hand {theirs:8.3f} ms   ratio {ratio:5.2f}")
    return ratio


def main(particles: int) -> None:
    torch.set_num_threads(1)
    compare("logistic regression", PyroTarget(logistic_regression, (X, Y)), logistic_regression_by_hand, particles)
    compare("linear regression", PyroTarget(linear_regression, (X, Y)), linear_regression_by_hand, particles)
    compare("eight schools", PyroTarget(eight_schools, (EFFECTS, ERRORS)), eight_schools_by_hand, particles)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 512)
