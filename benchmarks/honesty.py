"""Can the verdict be believed? Default fits of targets whose truth is known exactly, two seeds each.

    export OMP_NUM_THREADS=1
    python benchmarks/honesty.py --jobs 2                 # resumable; a line of JSON a fit in --out
    python benchmarks/honesty.py --table docs/results/honesty.md

A fit is *wrong* where its 4,000 draws are: a quantity whose share below an exact quantile (5, 25, 50, 75, 95 %) is over
.05 off, five Monte Carlo errors of 2,000 effective draws; a mode whose weight is over .05 off; or a mode of 2 % or more
that has under a third of its weight. It is *trusted* where the verdict is not "not to be trusted". log Z is judged
apart, by its own standard error. The target of each line is in this file; nothing here is fitted to the library.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from support import RESULTS, markdown_row, parser_of
from torch import Tensor

from amortized import DiffusionGuide
from amortized.diagnostics.verdict import UNTRUSTED

OUT = RESULTS / "honesty.jsonl"
LEVELS = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
EXACT, DRAWS = 200_000, 4_000
SHARE_OFF, MODE_LOST = 0.05, 1 / 3
"""When draws are wrong: see the head of this file."""
Sites = dict[str, Tensor]


@dataclass(frozen=True)
class KnownPosterior:
    """A model with its arguments and what is known of it.

    ``exact``: N exact draws ``{site: (N, ...)}``; ``labels``: each draw's mode, of which ``weights`` are the shares.
    """

    model: Callable
    exact: Callable[[int], Sites]
    log_evidence: float
    args: tuple = ()
    labels: Callable[[Sites], Tensor] | None = None
    weights: Tensor | None = None


def flat(dim: int, log_density: Callable[[Tensor], Tensor]) -> Callable:
    """A model with one flat site ``x: (dim,)`` and this density."""

    def model() -> None:
        x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (dim,)))
        pyro.factor("density", log_density(x))

    return model


def normal(x: Tensor, mean: Any, sd: Any) -> Tensor:
    return dist.Normal(mean, sd).log_prob(x)


# several modes ------------------------------------------------------------------------------------------------------


def mixture(weights: list[float], means: list | Tensor, sds: list | Tensor, scale: float = 1.0) -> KnownPosterior:
    """Gaussians with diagonal covariances; ``sds``: a number each, or a row each."""
    w, m = torch.tensor(weights), torch.as_tensor(means, dtype=torch.float32)
    s = torch.as_tensor(sds, dtype=torch.float32)
    s = s.expand(len(w))[:, None].expand_as(m) if s.ndim < 2 else s

    def each(x: Tensor) -> Tensor:
        return w.log() + normal(x[..., None, :], m, s).sum(-1)

    def exact(count: int) -> Sites:
        which = torch.multinomial(w, count, replacement=True)
        return {"x": m[which] + s[which] * torch.randn(count, m.shape[1])}

    return KnownPosterior(
        flat(m.shape[1], lambda x: each(x).logsumexp(-1) + math.log(scale)),
        exact,
        math.log(scale),
        labels=lambda sites: each(sites["x"]).argmax(-1),
        weights=w,
    )


def scattered(count: int, dim: int, spread: float, seed: int) -> Tensor:
    return spread * torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def crossed() -> KnownPosterior:
    """Two thin Gaussians that cross at right angles: no two modes, no one Gaussian."""
    laws = [dist.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, r], [r, 1.0]])) for r in (0.97, -0.97)]

    def exact(count: int) -> Sites:
        first = (torch.rand(count) < 0.5)[:, None]
        x = torch.where(first, laws[0].sample((count,)), laws[1].sample((count,)))
        return {"x": x, "product": x.prod(-1)}

    def model() -> None:
        x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (2,)))
        pyro.deterministic("product", x[..., 0] * x[..., 1])
        pyro.factor("density", torch.stack([law.log_prob(x) for law in laws]).logsumexp(0) - math.log(2))

    return KnownPosterior(model, exact, 0.0)


def labels_switched() -> KnownPosterior:
    """Three exchangeable centres: six modes of equal weight."""
    orders = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    return mixture([1 / 6] * 6, torch.tensor([-4.0, 0.0, 5.0])[orders], torch.tensor([0.5, 0.4, 0.8])[orders])


def on_grid(log_density: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> tuple[Callable, float]:
    """Exact draws ``(N,), (N,)`` of a density of two numbers by a fine grid, uniform within a cell; log Z."""
    one, two = torch.meshgrid(first.double(), second.double(), indexing="ij")
    log_p = log_density(one, two)
    width = float(first[1] - first[0]), float(second[1] - second[0])
    p = log_p.flatten().softmax(0)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        cell = torch.searchsorted(p.cumsum(0), torch.rand(count, dtype=torch.float64)).clamp(max=len(p) - 1)
        shake = torch.rand(2, count, dtype=torch.float64) - 0.5
        return one.flatten()[cell] + width[0] * shake[0], two.flatten()[cell] + width[1] * shake[1]

    return draw, float(log_p.flatten().logsumexp(0)) + math.log(width[0] * width[1])


def two_locations() -> KnownPosterior:
    """Forty numbers of a mixture of .65 N(a, 1) and .35 N(b, 1), the wide priors alike: two unequal modes."""
    generator = torch.Generator().manual_seed(11)
    y = torch.where(torch.rand(40, generator=generator) < 0.65, -1.0, 1.6) + torch.randn(40, generator=generator)

    def density(a: Tensor, b: Tensor) -> Tensor:
        terms = torch.stack(
            [math.log(0.65) + normal(y, a[..., None], 1.0), math.log(0.35) + normal(y, b[..., None], 1.0)]
        )
        return terms.logsumexp(0).sum(-1) + normal(a, 0.0, 5.0) + normal(b, 0.0, 5.0)

    line = torch.linspace(-4, 5, 601)
    draw, log_evidence = on_grid(density, line, line)

    def model(y: Tensor) -> None:
        a, b = pyro.sample("a", dist.Normal(0.0, 5.0)), pyro.sample("b", dist.Normal(0.0, 5.0))
        shares = dist.Categorical(torch.tensor([0.65, 0.35]))
        with pyro.plate("rows", len(y)):
            pyro.sample("y", dist.MixtureSameFamily(shares, dist.Normal(torch.stack([a, b], -1), 1.0)), obs=y)

    return KnownPosterior(model, lambda count: dict(zip("ab", draw(count), strict=True)), log_evidence, (y,))


# heavy tails --------------------------------------------------------------------------------------------------------


def student(df: float, scales: list[float]) -> KnownPosterior:
    law = dist.StudentT(df, 0.0, torch.tensor(scales))
    return KnownPosterior(
        flat(len(scales), lambda x: law.log_prob(x).sum(-1)), lambda count: {"x": law.sample((count,))}, 0.0
    )


def joint_student() -> KnownPosterior:
    """One t with 4 degrees of freedom in five dimensions, correlated."""
    factor = torch.linalg.cholesky(0.6 * torch.ones(5, 5) + 0.4 * torch.eye(5))
    law = dist.MultivariateStudentT(torch.tensor(4.0), torch.zeros(5), factor)
    return KnownPosterior(flat(5, law.log_prob), lambda count: {"x": law.sample((count,))}, 0.0)


def laplace() -> KnownPosterior:
    law = dist.Laplace(torch.tensor([0.0, 5.0, -3.0, 100.0]), torch.tensor([1.0, 0.1, 3.0, 20.0]))
    return KnownPosterior(flat(4, lambda x: law.log_prob(x).sum(-1)), lambda count: {"x": law.sample((count,))}, 0.0)


def outlier() -> KnownPosterior:
    """Cauchy errors on four numbers that contradict each other: one location, two humps and a tail."""
    y = torch.tensor([-3.0, -2.5, 2.0, 8.0])

    def density(a: Tensor, b: Tensor) -> Tensor:
        cauchy = dist.Cauchy(a[..., None], (0.5 * b.exp())[..., None]).log_prob(y).sum(-1)
        return cauchy + normal(a, 0.0, 10.0) + normal(b, 0.0, 0.5)

    draw, log_evidence = on_grid(density, torch.linspace(-25, 30, 1401), torch.linspace(-3, 3, 301))

    def model(y: Tensor) -> None:
        a, b = pyro.sample("a", dist.Normal(0.0, 10.0)), pyro.sample("b", dist.Normal(0.0, 0.5))
        with pyro.plate("rows", 4):
            pyro.sample("y", dist.Cauchy(a, 0.5 * b.exp()), obs=y)

    return KnownPosterior(model, lambda count: dict(zip("ab", draw(count), strict=True)), log_evidence, (y,))


# boundaries ---------------------------------------------------------------------------------------------------------


def of_prior(laws: dict[str, Any]) -> KnownPosterior:
    """A model without data: its posterior is its prior, and Z is 1."""

    def model() -> None:
        for name, law in laws.items():
            pyro.sample(name, law)

    return KnownPosterior(model, lambda count: {name: law.sample((count,)) for name, law in laws.items()}, 0.0)


def cut_normal(below: float) -> KnownPosterior:
    """N(−below, 1) cut at 0."""

    def model() -> None:
        t = pyro.sample("t", dist.ImproperUniform(dist.constraints.positive, (), ()))
        pyro.factor("normal", normal(t, -below, 1.0))

    share = 0.5 * math.erfc(below / math.sqrt(2))

    def exact(count: int) -> Sites:
        u = torch.rand(count, dtype=torch.float64) * share
        return {"t": (-below - math.sqrt(2) * torch.erfinv(2 * u - 1)).clamp(min=1e-12)}

    return KnownPosterior(model, exact, math.log(share))


def no_counts() -> KnownPosterior:
    """Five counts of zero under a Gamma(.5, 1) rate."""
    y = torch.zeros(5)

    def model(y: Tensor) -> None:
        rate = pyro.sample("rate", dist.Gamma(0.5, 1.0))
        with pyro.plate("rows", 5):
            pyro.sample("y", dist.Poisson(rate), obs=y)

    return KnownPosterior(
        model, lambda count: {"rate": dist.Gamma(0.5, 6.0).sample((count,))}, 0.5 * math.log(1 / 6), (y,)
    )


def below_another() -> KnownPosterior:
    """A uniform whose end is itself unknown."""

    def model() -> None:
        end = pyro.sample("end", dist.Gamma(3.0, 1.0))
        with pyro.plate("rows", 3):
            pyro.sample("x", dist.Uniform(0.0, end))

    def exact(count: int) -> Sites:
        end = dist.Gamma(3.0, 1.0).sample((count,))
        return {"end": end, "x": end[:, None] * torch.rand(count, 3)}

    return KnownPosterior(model, exact, 0.0)


# bends --------------------------------------------------------------------------------------------------------------


def bent(curve: Callable[[Tensor], Tensor], wide: float, narrow: float, extra: int = 0) -> KnownPosterior:
    """x₁ ~ N(0, wide²), x₂ | x₁ ~ N(curve(x₁), narrow²), and as many N(0, 1) as ``extra``."""

    def density(x: Tensor) -> Tensor:
        value = normal(x[..., 0], 0.0, wide) + normal(x[..., 1], curve(x[..., 0]), narrow)
        return value + normal(x[..., 2:], 0.0, 1.0).sum(-1)

    def exact(count: int) -> Sites:
        first = wide * torch.randn(count)
        second = curve(first) + narrow * torch.randn(count)
        return {"x": torch.cat([first[:, None], second[:, None], torch.randn(count, extra)], 1)}

    return KnownPosterior(flat(2 + extra, density), exact, 0.0)


def twice_bent(spread: float) -> KnownPosterior:
    """x → x² → x⁴, as the blocks of Rosenbrock's function."""

    def density(x: Tensor) -> Tensor:
        a, b, c = x.unbind(-1)
        return normal(a, 1.0, spread) + normal(b, a.square(), 0.5) + normal(c, b.square(), 0.5)

    def exact(count: int) -> Sites:
        a = 1 + spread * torch.randn(count)
        b = a.square() + 0.5 * torch.randn(count)
        return {"x": torch.stack([a, b, b.square() + 0.5 * torch.randn(count)], 1)}

    return KnownPosterior(flat(3, density), exact, 0.0)


def annulus() -> KnownPosterior:
    """A ring of radius 4, .3 wide, in the plane."""

    def density(x: Tensor) -> Tensor:
        radius = x.square().sum(-1).clamp(min=1e-12).sqrt()
        return normal(radius, 4.0, 0.3) - math.log(2 * math.pi) - radius.log()

    def exact(count: int) -> Sites:
        angle, radius = 2 * math.pi * torch.rand(count), 4 + 0.3 * torch.randn(count)
        return {"x": radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)}

    return KnownPosterior(flat(2, density), exact, 0.0)


# funnels ------------------------------------------------------------------------------------------------------------


def funnel(spread: float, children: int) -> KnownPosterior:
    def model() -> None:
        neck = pyro.sample("neck", dist.Normal(0.0, spread))
        with pyro.plate("children", children):
            pyro.sample("x", dist.Normal(0.0, (neck / 2).exp()))

    def exact(count: int) -> Sites:
        neck = spread * torch.randn(count)
        return {"neck": neck, "x": (neck / 2).exp()[:, None] * torch.randn(count, children)}

    return KnownPosterior(model, exact, 0.0)


def groups(count: int, sd: float, seed: int) -> KnownPosterior:
    """log τ ~ N(0, 1), θᵢ ~ N(0, τ), yᵢ ~ N(θᵢ, sd): τ on a fine grid, θ in closed form."""
    generator = torch.Generator().manual_seed(seed)
    y = (1 + sd**2) ** 0.5 * torch.randn(count, generator=generator)
    line = torch.linspace(-6, 5, 20_001, dtype=torch.float64)
    log_p = normal(line, 0.0, 1.0) + normal(y.double(), 0.0, (line.exp().square() + sd**2).sqrt()[:, None]).sum(-1)
    p, width = log_p.softmax(0), float(line[1] - line[0])

    def exact(number: int) -> Sites:
        place = torch.searchsorted(p.cumsum(0), torch.rand(number, dtype=torch.float64)).clamp(max=len(p) - 1)
        log_tau = line[place] + width * (torch.rand(number, dtype=torch.float64) - 0.5)
        gain = (1 / (1 + (sd / log_tau.exp()).square()))[:, None]
        theta = gain * y + gain.sqrt() * sd * torch.randn(number, count, dtype=torch.float64)
        return {"log_tau": log_tau, "theta": theta}

    def model(y: Tensor) -> None:
        log_tau = pyro.sample("log_tau", dist.Normal(0.0, 1.0))
        with pyro.plate("groups", count):
            theta = pyro.sample("theta", dist.Normal(0.0, log_tau.exp()))
            pyro.sample("y", dist.Normal(theta, sd), obs=y)

    return KnownPosterior(model, exact, float(log_p.logsumexp(0)) + math.log(width), (y,))


# other spaces -------------------------------------------------------------------------------------------------------


def counted_shares() -> KnownPosterior:
    """A Dirichlet prior with multinomial counts, one of them zero."""
    counts, prior = torch.tensor([12.0, 3.0, 0.0, 5.0]), torch.tensor([0.5, 1.0, 0.3, 2.0])

    def model(counts: Tensor) -> None:
        shares = pyro.sample("shares", dist.Dirichlet(prior))
        pyro.sample("counts", dist.Multinomial(20, shares), obs=counts)

    law = dist.DirichletMultinomial(prior, 20)
    return KnownPosterior(
        model,
        lambda count: {"shares": dist.Dirichlet(prior + counts).sample((count,))},
        float(law.log_prob(counts)),
        (counts,),
    )


def sorted_normals() -> KnownPosterior:
    """Four normals in order: 1/4! of their joint mass."""
    sd = 2.0

    def model() -> None:
        x = pyro.sample("x", dist.ImproperUniform(dist.constraints.ordered_vector, (), (4,)))
        pyro.factor("density", normal(x, 1.0, sd).sum(-1))

    return KnownPosterior(model, lambda count: {"x": (1 + sd * torch.randn(count, 4)).sort(-1).values}, -math.log(24))


def logistic() -> KnownPosterior:
    """Twelve rows that are nearly separable, wide priors: a long one-sided tail."""
    x = torch.linspace(-2, 2, 12)
    y = (x > 0.3).float()
    y[5] = 1.0

    def density(a: Tensor, b: Tensor) -> Tensor:
        logits = a[..., None] + b[..., None] * x
        return dist.Bernoulli(logits=logits).log_prob(y.double()).sum(-1) + normal(a, 0.0, 5.0) + normal(b, 0.0, 5.0)

    draw, log_evidence = on_grid(density, torch.linspace(-22, 14, 721), torch.linspace(-6, 24, 601))

    def model(x: Tensor, y: Tensor) -> None:
        a, b = pyro.sample("a", dist.Normal(0.0, 5.0)), pyro.sample("b", dist.Normal(0.0, 5.0))
        with pyro.plate("rows", len(y)):
            pyro.sample("y", dist.Bernoulli(logits=a + b * x), obs=y)

    return KnownPosterior(model, lambda count: dict(zip("ab", draw(count), strict=True)), log_evidence, (x, y))


def of_matrix() -> KnownPosterior:
    """A prior on correlations, and three scales.

    Exact draws by partial correlations (Lewandowski, Kurowicka and Joe 2009): torch 2.13's own ``LKJCholesky.sample``
    does not follow its ``log_prob`` from three dimensions on.
    """
    concentration = 1.5

    def model() -> None:
        pyro.sample("factor", dist.LKJCholesky(3, concentration))
        pyro.sample("scales", dist.HalfCauchy(1.0).expand([3]).to_event(1))

    def exact(count: int) -> Sites:
        first, second = (2 * dist.Beta(concentration + 0.5, concentration + 0.5).sample((count,)) - 1 for _ in range(2))
        partial = 2 * dist.Beta(concentration, concentration).sample((count,)) - 1
        zero, one = torch.zeros(count), torch.ones(count)
        rest = (1 - second.square()).sqrt()
        rows = [one, zero, zero, first, (1 - first.square()).sqrt(), zero]
        rows += [second, partial * rest, (1 - partial.square()).sqrt() * rest]
        factor = torch.stack(rows, 1).reshape(count, 3, 3)
        return {"factor": factor, "scales": dist.HalfCauchy(1.0).expand([3]).sample((count,))}

    return KnownPosterior(model, exact, 0.0)


POSTERIORS: dict[str, Callable[[], KnownPosterior]] = {
    "two modes, equal": lambda: mixture([0.5, 0.5], [[0.0, 0.0], [8.0, 0.0]], [1.0, 1.0]),
    "two modes, .8 wide and .2 narrow": lambda: mixture([0.8, 0.2], [[0.0, 0.0], [7.0, 7.0]], [1.0, 0.3]),
    "three modes in 4-D": lambda: mixture([0.6, 0.3, 0.1], scattered(3, 4, 6.0, 1), [1.0, 0.5, 2.0], 30.0),
    "five modes in 6-D": lambda: mixture([0.35, 0.25, 0.2, 0.15, 0.05], scattered(5, 6, 5.0, 2), [0.7] * 5),
    "eight modes in 3-D": lambda: mixture(
        [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05], scattered(8, 3, 7.0, 3), [0.8] * 8
    ),
    "two modes in 10-D": lambda: mixture([0.7, 0.3], scattered(2, 10, 3.5, 4), [1.0, 0.5]),
    "four scales in 8-D": lambda: mixture([0.4, 0.3, 0.2, 0.1], scattered(4, 8, 5.0, 5), [1.0, 0.6, 1.4, 0.8]),
    "three modes on a line": lambda: mixture([0.5, 0.45, 0.05], [[-9.0], [0.0], [14.0]], [1.0, 2.0, 0.7]),
    "unequal axes": lambda: mixture(
        [0.9, 0.1],
        [[0.0] * 5, [4.0, -30.0, 0.5, 200.0, 8.0]],
        [[1.0, 10.0, 0.1, 30.0, 2.0], [0.5, 5.0, 0.2, 20.0, 1.0]],
    ),
    "six modes on a ring": lambda: mixture(
        [0.3, 0.25, 0.2, 0.1, 0.1, 0.05],
        [[6 * math.cos(math.pi * i / 3), 6 * math.sin(math.pi * i / 3)] for i in range(6)],
        [0.6, 1.0, 0.4, 0.8, 0.5, 0.7],
    ),
    "crossed": crossed,
    "labels": labels_switched,
    "two locations": two_locations,
    "t, 3 degrees, 3-D": lambda: student(3.0, [1.0, 0.1, 10.0]),
    "t, 2 degrees, 1-D": lambda: student(2.0, [1.0]),
    "joint t, 5-D": joint_student,
    "Laplace, 4-D": laplace,
    "Cauchy with an outlier": outlier,
    "Beta, Uniform, Gamma": lambda: of_prior(
        {"b": dist.Beta(0.5, 0.5), "u": dist.Uniform(-1.0, 3.0), "g": dist.Gamma(0.5, 1.0)}
    ),
    "normal cut in its tail": lambda: cut_normal(2.0),
    "no counts": no_counts,
    "below another": below_another,
    "mild bend": lambda: bent(lambda x: 0.1 * (x.square() - 9), 3.0, 1.0),
    "strong bend": lambda: bent(lambda x: 0.5 * x.square(), 2.0, 0.3, 2),
    "sine": lambda: bent(lambda x: 3 * x.sin(), 3.0, 0.3),
    "twice bent, short": lambda: twice_bent(0.5),
    "twice bent, long": lambda: twice_bent(2.0),
    "annulus": annulus,
    "funnel, easy": lambda: funnel(1.0, 9),
    "funnel, middle": lambda: funnel(1.5, 4),
    "funnel, Neal's": lambda: funnel(3.0, 9),
    "groups, little data": lambda: groups(8, 1.0, 6),
    "groups, much data": lambda: groups(8, 0.05, 7),
    "sparse shares": lambda: of_prior({"x": dist.Dirichlet(torch.full((4,), 0.2))}),
    "counted shares": counted_shares,
    "sorted normals": sorted_normals,
    "nearly separable": logistic,
    "correlations": of_matrix,
}


def columns(sites: Sites, names: list[str]) -> dict[str, Tensor]:
    """Every scalar of the sites that varies, by name."""
    found = {}
    for name in names:
        value = sites[name].double().reshape(len(sites[name]), -1)
        found |= {f"{name}[{i}]": column for i, column in enumerate(value.unbind(1)) if float(column.std()) > 0}
    return found


def worst(known: KnownPosterior, draws: Sites, exact: Sites) -> tuple[float, str, float]:
    """The largest gap of a share below an exact quantile, where; and the least share of a mode over its weight."""
    truth, got = columns(exact, list(exact)), columns(draws, list(exact))
    gaps = {}
    for name, values in truth.items():
        points = values.quantile(LEVELS)
        below = (got[name][:, None] <= points).double().mean(0) if name in got else torch.zeros_like(LEVELS)
        gaps[name] = float((below - LEVELS).abs().max())
    rarest = 1.0
    if known.labels is not None and known.weights is not None:
        share = torch.bincount(known.labels(draws), minlength=len(known.weights)) / DRAWS
        gaps |= {f"mode {i}": gap for i, gap in enumerate((share - known.weights).abs().tolist())}
        rarest = float((share / known.weights).min())
    name = max(gaps, key=gaps.__getitem__)
    return gaps[name], name, rarest


def run(task: tuple[str, int, float]) -> dict[str, Any]:
    name, seed, seconds = task
    torch.set_num_threads(1)
    torch.manual_seed(12345)
    known = POSTERIORS[name]()
    exact = known.exact(EXACT)
    record: dict[str, Any] = {"target": name, "seed": seed}
    began, used = time.perf_counter(), time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            guide = DiffusionGuide(known.model, seed=seed, max_seconds=seconds, progress=False).fit(*known.args)
            fitted = time.process_time()
            found = guide.diagnose()
            draws = guide.sample(DRAWS)
    except Exception as error:
        return record | {"error": f"{type(error).__name__}: {error}"}
    gap, where, rarest = worst(known, draws, exact)
    return record | {
        "verdict": found.verdict,
        "advice": found.advice,
        "gap": gap,
        "where": where,
        "rarest": rarest,
        "wrong": gap > SHARE_OFF or rarest < MODE_LOST,
        "log_evidence_error": found.log_evidence.value - known.log_evidence,
        "std_error": found.log_evidence.std_error,
        "ess_fraction": found.ess_fraction,
        "khat": found.khat,
        "cpu_seconds_fit": fitted - used,
        "cpu_seconds": time.process_time() - used,
        "seconds": time.perf_counter() - began,
        "target_calls": guide.target.calls,
    }


def trusted(record: dict[str, Any]) -> bool:
    return record.get("verdict", UNTRUSTED) != UNTRUSTED


def summary(records: list[dict[str, Any]]) -> list[str]:
    whole = [record for record in records if "error" not in record]
    believed = [record for record in whole if trusted(record)]
    honest = [abs(r["log_evidence_error"]) <= 2 * r["std_error"] for r in believed]
    return [
        f"fits: {len(records)}, of which {len(records) - len(whole)} raised an error",
        f"wrong and trusted: {sum(record['wrong'] for record in believed)}",
        f"right and distrusted: {sum(not r['wrong'] and not trusted(r) for r in whole)}",
        f"wrong and distrusted: {sum(r['wrong'] and not trusted(r) for r in whole)}",
        f"trusted with log Z within 2 standard errors: {sum(honest)} of {len(honest)}",
        f"CPU seconds a fit with its verdict and draws: median {median([r['cpu_seconds'] for r in whole]):.1f}",
    ]


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else math.nan


def table(records: list[dict[str, Any]]) -> str:
    lines = [
        "| target | seed | verdict | largest gap | at | log Z error | ESS | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(records, key=lambda r: (list(POSTERIORS).index(r["target"]), r["seed"])):
        if "error" in r:
            lines.append(f"| {r['target']} | {r['seed']} | {r['error']} | | | | | |")
            continue
        mark = " **wrong**" if r["wrong"] else ""
        error = f"{r['log_evidence_error']:+.3f} ± {r['std_error']:.3f}"
        cells = [r["target"], r["seed"], r["verdict"] + mark, f"{r['gap']:.3f}", r["where"], error]
        cells += [f"{r['ess_fraction']:.0%}", f"{r['cpu_seconds']:.0f}"]
        lines.append(markdown_row(cells))
    return "\n".join(lines)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def page(records: list[dict[str, Any]]) -> str:
    said = "\n".join(f"- {line}" for line in summary(records))
    how = (__doc__ or "").partition("\n")[2].strip("\n")
    return f"# Can the verdict be believed?\n\n{how}\n\n{said}\n\n{table(records)}\n"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", default="", help="targets whose name contains this")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--seconds", type=float, default=60.0, help="max_seconds of a fit")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--table", type=Path, help="write what is in --out as a page, and run nothing")
    options = parser.parse_args()
    if options.table:
        options.table.write_text(page(read(options.out)))
        return
    done = {(record["target"], record["seed"]) for record in read(options.out)}
    tasks = [
        (name, seed, options.seconds)
        for seed in options.seeds
        for name in POSTERIORS
        if options.only in name and (name, seed) not in done
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        for record in pool.map(run, tasks):
            with options.out.open("a") as stream:
                stream.write(json.dumps(record) + "\n")
            print(json.dumps(record), flush=True)
    print("\n".join(summary(read(options.out))))


if __name__ == "__main__":
    main()
