"""How good the warm-up is on targets of known truth: one row a target, in ``python benchmarks/warmup_targets.py``.

``--only NAME`` picks targets whose name contains NAME, ``--seeds 0 1 2`` repeats, ``--float32`` lowers the precision.
``--slow 0.005`` moves the clock on by 5 ms a call, and ``--max-seconds 150`` is what the warm-up then has.
Columns: the largest error of a mean in true sds; the least and largest ratio of sds; the largest error of a mode's
weight in percentage points; the error of log Z in nats beside its claimed standard error; calls, seconds, verdict.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from amortized.targets.callable import DensityTarget
from amortized.warmup import warm_up

Tensor = torch.Tensor
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Case:
    """A log density with what is known of it; ``labels`` tells each draw's mode and ``weights`` their true shares."""

    name: str
    density: Callable[[Tensor], Tensor]
    mean: Tensor
    sd: Tensor
    log_evidence: float
    labels: Callable[[Tensor], Tensor] | None = None
    weights: Tensor = field(default_factory=lambda: torch.ones(1))
    judged: int | None = None


def normal(x: Tensor, mean, sd) -> Tensor:
    return -0.5 * ((x - mean) / sd).square() - torch.as_tensor(sd).log() - 0.5 * LOG_2PI


def gaussian_wide_scales() -> Case:
    generator = torch.Generator().manual_seed(1)
    sd = torch.logspace(-2, 2, 50, dtype=torch.float64)
    mean = 3 * sd * torch.randn(50, generator=generator, dtype=torch.float64) + 1
    return Case("gaussian-50", lambda x: normal(x, mean.to(x), sd.to(x)).sum(-1), mean, sd, 0.0)


def mixture_case(name: str, weights: Tensor, means: Tensor, sds: Tensor) -> Case:
    """Components with diagonal covariance; ``sds: (M, D)``."""

    def density(x: Tensor) -> Tensor:
        terms = normal(x[:, None], means.to(x), sds.to(x)).sum(-1)
        return (terms + weights.to(x).log()).logsumexp(-1)

    def labels(x: Tensor) -> Tensor:
        return (normal(x[:, None], means, sds).sum(-1) + weights.log()).argmax(-1)

    mean = weights @ means
    second = weights @ (sds.square() + means.square())
    return Case(name, density, mean, (second - mean.square()).sqrt(), 0.0, labels, weights)


def grid_25() -> Case:
    line = torch.tensor([-10.0, -5, 0, 5, 10], dtype=torch.float64)
    means = torch.cartesian_prod(line, line)
    even = torch.full((25,), 0.04, dtype=torch.float64)
    return mixture_case("25gmm", even, means, torch.full_like(means, math.sqrt(0.3)))


def two_far_modes() -> Case:
    scales = torch.logspace(-1.5, 1.5, 10, dtype=torch.float64)
    means = torch.stack([-15 * scales, 15 * scales.flip(0)])
    sds = torch.stack([scales, 0.5 * scales.flip(0)])
    return mixture_case("two-far-10", torch.tensor([0.8, 0.2], dtype=torch.float64), means, sds)


def narrow_beside_wide() -> Case:
    means = torch.zeros(2, 5, dtype=torch.float64)
    means[1] = 4
    sds = torch.stack([torch.ones(5, dtype=torch.float64), torch.full((5,), 0.1, dtype=torch.float64)])
    return mixture_case("narrow-wide-5", torch.tensor([0.7, 0.3], dtype=torch.float64), means, sds)


def collinear_regression() -> Case:
    """Earnings on height, simulated; flat priors on both coefficients and on the standard deviation; exact."""
    generator = torch.Generator().manual_seed(2)
    height = (66.9 + 3.8 * torch.randn(1192, generator=generator, dtype=torch.float64)).round()
    earn = -61_000 + 1_260 * height + 19_000 * torch.randn(1192, generator=generator, dtype=torch.float64)
    design = torch.stack([torch.ones_like(height), height], -1)
    gram = design.mT @ design
    estimate = torch.linalg.solve(gram, design.mT @ earn)
    residual = float((earn - design @ estimate).square().sum())
    count = height.numel()

    def density(x: Tensor) -> Tensor:
        fitted = x[:, :2] @ design.to(x).mT
        return normal(earn.to(x), fitted, x[:, 2:].exp()).sum(-1) + x[:, 2]

    shape = 0.5 * (count - 2 - 1)
    log_evidence = (
        -0.5 * (count - 2) * LOG_2PI
        - 0.5 * float(torch.logdet(gram))
        - math.log(2)
        + math.lgamma(shape)
        - shape * math.log(0.5 * residual)
    )
    variance = 0.5 * residual / (shape - 1)
    log_sd_mean = 0.5 * (math.log(0.5 * residual) - float(torch.digamma(torch.tensor(shape, dtype=torch.float64))))
    log_sd_sd = 0.5 * math.sqrt(float(torch.polygamma(1, torch.tensor(shape, dtype=torch.float64))))
    sd = torch.cat([(variance * gram.inverse().diagonal()).sqrt(), torch.tensor([log_sd_sd], dtype=torch.float64)])
    mean = torch.cat([estimate, torch.tensor([log_sd_mean], dtype=torch.float64)])
    return Case("collinear-regression", density, mean, sd, log_evidence)


SCHOOLS_Y = torch.tensor([28.0, 8, -3, 7, -1, 1, 18, 12], dtype=torch.float64)
SCHOOLS_SD = torch.tensor([15.0, 10, 16, 11, 9, 11, 10, 18], dtype=torch.float64)


def eight_schools(centred: bool) -> Case:
    """x = (θ or its standardized form, μ, log τ); θ integrates out, the rest by quadrature on a fine grid."""

    def density(x: Tensor) -> Tensor:
        raw, mu, log_tau = x[:, :8], x[:, 8:9], x[:, 9:]
        tau = log_tau.exp()
        theta = raw if centred else mu + tau * raw
        prior = normal(raw, mu, tau) if centred else normal(raw, 0.0, 1.0)
        hyper = normal(mu, 0.0, 5.0) + math.log(2 / (5 * math.pi)) - torch.log1p((tau / 5).square()) + log_tau
        return (prior + normal(SCHOOLS_Y.to(x), theta, SCHOOLS_SD.to(x))).sum(-1) + hyper[:, 0]

    mu, log_tau = torch.linspace(-30, 35, 1301, dtype=torch.float64), torch.linspace(-14, 9, 1151, dtype=torch.float64)
    m, t = torch.meshgrid(mu, log_tau, indexing="ij")
    tau = t.exp()
    log_p = normal(m, 0.0, 5.0) + math.log(2 / (5 * math.pi)) - torch.log1p((tau / 5).square()) + t
    for y, sd in zip(SCHOOLS_Y, SCHOOLS_SD, strict=True):
        log_p = log_p + normal(y, m, (tau.square() + sd**2).sqrt())
    cell = float((mu[1] - mu[0]) * (log_tau[1] - log_tau[0]))
    p = log_p.flatten().softmax(0).reshape(log_p.shape)
    moments = []
    for y, sd in zip(SCHOOLS_Y, SCHOOLS_SD, strict=True):
        gain = tau.square() / (tau.square() + sd**2)
        centre, variance = gain * (y - m), tau.square() * (1 - gain)
        centre, variance = (centre + m, variance) if centred else (centre / tau, variance / tau.square())
        moments.append((float((p * centre).sum()), float((p * (variance + centre.square())).sum())))
    moments += [(float((p * v).sum()), float((p * v.square()).sum())) for v in (m, t)]
    first, second = torch.tensor(moments, dtype=torch.float64).T
    log_evidence = float(log_p.flatten().logsumexp(0)) + math.log(cell)
    name = "schools-centred" if centred else "schools-noncentred"
    return Case(name, density, first, (second - first.square()).sqrt(), log_evidence)


def logistic_31() -> Case:
    """Simulated data of 400 rows, N(0, 1) weights; the truth by 400,000 importance draws around the mode."""
    generator = torch.Generator().manual_seed(3)
    mixing = torch.eye(31, dtype=torch.float64) + 0.35 * torch.randn(31, 31, generator=generator, dtype=torch.float64)
    design = torch.randn(400, 31, generator=generator, dtype=torch.float64) @ mixing
    truth = 0.5 * torch.randn(31, generator=generator, dtype=torch.float64)
    y = torch.bernoulli((design @ truth).sigmoid(), generator=generator)

    def density(x: Tensor) -> Tensor:
        logits = x @ design.to(x).mT
        return (logits * y.to(x) - torch.nn.functional.softplus(logits)).sum(-1) + normal(x, 0.0, 1.0).sum(-1)

    mode = torch.zeros(31, dtype=torch.float64)
    hessian = torch.eye(31, dtype=torch.float64)
    for _ in range(30):
        chance = (design @ mode).sigmoid()
        hessian = design.mT @ ((chance * (1 - chance))[:, None] * design) + torch.eye(31, dtype=torch.float64)
        mode = mode + torch.linalg.solve(hessian, design.mT @ (y - chance) - mode)
    proposal = torch.distributions.StudentT(30.0)
    factor = torch.linalg.cholesky(torch.linalg.inv(hessian)) * 1.05
    torch.manual_seed(4)
    z = proposal.sample((400_000, 31)).double()
    x = mode + z @ factor.mT
    log_w = torch.cat([density(part) for part in x.split(20_000)])
    log_w = log_w - proposal.log_prob(z).sum(-1) + factor.diagonal().log().sum()
    weight = log_w.softmax(0)[:, None]
    mean = (weight * x).sum(0)
    sd = (weight * (x - mean).square()).sum(0).sqrt()
    return Case("logistic-31", density, mean, sd, float(log_w.logsumexp(0)) - math.log(400_000))


def label_switching() -> Case:
    """Four data groups, four exchangeable centres in one dimension: 24 equal modes; each label is a permutation."""
    centres = torch.tensor([-6.0, -2.0, 2.0, 6.0], dtype=torch.float64)
    sds = torch.full((4,), 0.4, dtype=torch.float64)
    orders = torch.tensor(list(__import__("itertools").permutations(range(4))))
    even = torch.full((24,), 1 / 24, dtype=torch.float64)
    return mixture_case("label-switching-4", even, centres[orders], sds[orders])


ANCHORS = torch.tensor([[0.0, 0.0], [1.0, 0.1], [0.4, 0.9]], dtype=torch.float64)
RANGES = ((0, 0, 0.62), (0, 1, 0.61), (1, 1, 0.55), (1, 2, 0.71))
BETWEEN, RANGE_SD = 0.75, 0.06


def two_sensors() -> Case:
    """Two unknown positions in the plane, two ranges to anchors each, one between them; truth on a grid of pairs."""

    def each(sensor: int, place: Tensor) -> Tensor:
        value = normal(place, 0.5, 1.0).sum(-1)
        for which, anchor, distance in RANGES:
            if which == sensor:
                value = value + normal((place - ANCHORS[anchor].to(place)).norm(dim=-1), distance, RANGE_SD)
        return value

    def density(x: Tensor) -> Tensor:
        first, second = x[:, :2], x[:, 2:]
        gap = (first - second).square().sum(-1).clamp(min=1e-12).sqrt()
        return each(0, first) + each(1, second) + normal(gap, BETWEEN, RANGE_SD)

    line = torch.linspace(-1.2, 2.2, 341, dtype=torch.float64)
    cells = torch.cartesian_prod(line, line)
    kept = [cells[value > value.max() - 18] for value in (each(0, cells), each(1, cells))]
    log_p = each(0, kept[0])[:, None] + each(1, kept[1]) + normal(torch.cdist(kept[0], kept[1]), BETWEEN, RANGE_SD)
    p = log_p.flatten().softmax(0).reshape(log_p.shape)

    def side(x: Tensor) -> Tensor:
        above = x[:, 1] > 0.1 * x[:, 0]
        direction = ANCHORS[2] - ANCHORS[1]
        gap = x[:, 2:] - ANCHORS[1]
        right = direction[0] * gap[:, 1] - direction[1] * gap[:, 0] < 0
        return above.long() * 2 + right.long()

    shares = [p.sum(1), p.sum(0)]
    first = torch.cat([share @ place for share, place in zip(shares, kept, strict=True)])
    second = torch.cat([share @ place.square() for share, place in zip(shares, kept, strict=True)])
    left, right = side(kept[0].repeat(1, 2)) // 2, side(kept[1].repeat(1, 2)) % 2
    weights = torch.stack([p[left == a][:, right == b].sum() for a in (0, 1) for b in (0, 1)])
    log_evidence = float(log_p.flatten().logsumexp(0)) + 4 * math.log(float(line[1] - line[0]))
    return Case("two-sensors", density, first, (second - first.square()).sqrt(), log_evidence, side, weights)


def student_tails() -> Case:
    """Ten independent t with 2 degrees of freedom, scaled; the variance is infinite: judged on asinh(x / scale)."""
    scale = torch.logspace(-1, 1, 10, dtype=torch.float64)
    law = torch.distributions.StudentT(torch.tensor(2.0, dtype=torch.float64))

    def density(x: Tensor) -> Tensor:
        z = x / scale.to(x)
        return (-1.5 * torch.log1p(z.square() / 2) - scale.to(x).log() - 0.5 * math.log(8)).sum(-1)

    torch.manual_seed(5)
    spread = float(law.sample((1_000_000,)).asinh().std())
    ten = torch.ones(10, dtype=torch.float64)
    return Case("t2-10", density, 0 * ten, spread * ten, 0.0)


def funnel() -> Case:
    def density(x: Tensor) -> Tensor:
        return normal(x[:, 0], 0.0, 3.0) + normal(x[:, 1:], 0.0, (0.5 * x[:, :1]).exp()).sum(-1)

    zero = torch.zeros(10, dtype=torch.float64)
    return Case("funnel-10", density, zero, zero + 3.0, 0.0, judged=1)


def banana() -> Case:
    """x₁ ~ N(0, 10²), x₂ | x₁ ~ N(0.03 (x₁² − 100), 1) and eight N(0, 1)."""

    def density(x: Tensor) -> Tensor:
        bent = 0.03 * (x[:, 0].square() - 100)
        return normal(x[:, 0], 0.0, 10.0) + normal(x[:, 1], bent, 1.0) + normal(x[:, 2:], 0.0, 1.0).sum(-1)

    sd = torch.ones(10, dtype=torch.float64)
    sd[0], sd[1] = 10.0, math.sqrt(1 + 0.03**2 * 2 * 100**2)
    return Case("banana-10", density, torch.zeros(10, dtype=torch.float64), sd, 0.0)


def manywell(dim: int) -> Case:
    line = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    log_p = -line.pow(4) + 6 * line.square() + 0.5 * line
    p = log_p.softmax(0)
    mean = float(p @ line)
    sd = math.sqrt(float(p @ line.square()) - mean**2)
    block = float(log_p.logsumexp(0)) + math.log(float(line[1] - line[0])) + 0.5 * LOG_2PI
    right = float(p[line > 0].sum())

    def density(x: Tensor) -> Tensor:
        well, flat = x[:, ::2], x[:, 1::2]
        return (-well.pow(4) + 6 * well.square() + 0.5 * well - 0.5 * flat.square()).sum(-1)

    pair = torch.tensor([[mean, sd], [0.0, 1.0]], dtype=torch.float64).repeat(dim // 2, 1)
    weights = torch.full((dim // 2,), right, dtype=torch.float64)
    return Case(f"manywell-{dim}", density, pair[:, 0], pair[:, 1], dim // 2 * block, None, weights)


def cases() -> list[Callable[[], Case]]:
    return [
        gaussian_wide_scales,
        collinear_regression,
        lambda: eight_schools(True),
        lambda: eight_schools(False),
        logistic_31,
        grid_25,
        two_far_modes,
        label_switching,
        two_sensors,
        student_tails,
        funnel,
        banana,
        lambda: manywell(8),
        lambda: manywell(32),
        narrow_beside_wide,
    ]


def judge(case: Case, draws: Tensor) -> tuple[float, float, float, float]:
    """Largest mean error in sds, least and largest sd ratio, largest weight error in percentage points."""
    x = draws.double()
    if case.name.startswith("t2"):
        x = (x / torch.logspace(-1, 1, 10, dtype=torch.float64)).asinh()
    shown = slice(None, case.judged)
    error = ((x.mean(0) - case.mean) / case.sd)[shown].abs().max()
    ratio = (x.std(0) / case.sd)[shown]
    weight_error = math.nan
    if case.name.startswith("manywell"):
        weight_error = 100 * float(((x[:, ::2] > 0).double().mean(0) - case.weights).abs().max())
    elif case.labels is not None:
        share = torch.bincount(case.labels(x), minlength=case.weights.numel()) / x.shape[0]
        weight_error = 100 * float((share - case.weights).abs().max())
    return float(error), float(ratio.min()), float(ratio.max()), weight_error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--draws", type=int, default=2048)
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--max-seconds", type=float, default=40.0)
    options = parser.parse_args()
    print(f"{'target':22s}{'mean':>6s}{'sd ratio':>12s}{'weight':>7s}{'log Z error':>15s}{'calls':>9s}{'s':>6s}  trust")
    for build in cases():
        case = build()
        if options.only not in case.name:
            continue
        for seed in options.seeds:
            dtype = torch.float32 if options.float32 else torch.float64
            target = DensityTarget(case.density, case.mean.numel(), dtype=dtype)
            generator, clock = torch.Generator().manual_seed(seed), time.perf_counter
            time.perf_counter = lambda clock=clock, target=target: clock() + options.slow * target.calls
            found = warm_up(target, draws=options.draws, generator=generator, max_seconds=options.max_seconds)
            time.perf_counter = clock
            error, low, high, weight = judge(case, found.draws)
            gap = found.log_evidence.value - case.log_evidence
            print(
                f"{case.name:22s}{error:6.2f}{low:6.2f}{high:6.2f}{weight:7.1f}"
                f"{gap:8.2f} ±{found.log_evidence.std_error:5.2f}{found.target_calls:9d}{found.seconds:6.1f}"
                f"  {found.trustworthy!s:5s} {found.status}",
                flush=True,
            )


if __name__ == "__main__":
    main()
