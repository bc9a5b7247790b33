"""A target in coordinates that straighten bends and funnels: a triangular map fitted to draws."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from amortized._types import Tensor
from amortized.targets.base import Target
from amortized.targets.wrapped import WrappedTarget

MOST_DIMENSIONS = 100
"""Above it the products of all pairs of coordinates are over 5,000 features, too many to tell from noise."""
MOST_TERMS = 12
"""Terms of each row and kind at the most: the map is a loop over rows, whose cost they are."""
BOUND = 12.0
"""Of a log std less its constant, in nats: a funnel's neck and mouth may differ by e^12 either way without overflow."""
LEVEL = 0.001
"""Chance that noise alone makes any term of any row significant."""
SELECTING = 4_000
"""Draws by which terms are chosen; all are used to fit them."""
TURNS, SCORING = 4, 15
"""Fits of mean and log std in turn, and steps of Fisher scoring in each: both then move by under a percent."""
DEPENDENT = 1e-8
"""Part of a term's mean square beyond the others, below which it is their combination."""
TINY = 1e-300
"""Keeps logarithms and ratios of zeros finite."""


@dataclass(frozen=True)
class Row:
    """What one coordinate is given the earlier ones: ``z_k = m(z) + exp(s(z)) u_k``.

    Args:
        pairs: indices ``(P, 2)`` of the factors of each term of m; k stands for the constant 1, and so the last term.
        mean: coefficients of m, ``(P,)``.
        steep: indices ``(Q, 2)`` of the terms of s.
        log_std: coefficients of s, ``(Q,)``.
    """

    pairs: Tensor
    mean: Tensor
    steep: Tensor
    log_std: Tensor

    @property
    def curved(self) -> bool:
        """Whether m is not linear or s not constant; the last column of ones has the index k."""
        last = self.pairs[-1, 1]
        return len(self.steep) > 1 or bool((self.pairs != last).all(-1).any())

    def of(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """m and s, each ``(B,)``, from the earlier coordinates with a last column of ones ``(B, k + 1)``."""
        mean = (z[:, self.pairs[:, 0]] * z[:, self.pairs[:, 1]]) @ self.mean
        return mean, _bounded(z[:, self.steep[:, 0]] * z[:, self.steep[:, 1]], self.log_std)


@dataclass(frozen=True)
class TriangularMap:
    """``x = m + scale · z`` with ``z_k = m_k(z_1 … z_{k−1}) + exp(s_k(z_1 … z_{k−1})) u_k``; float64.

    m_k and s_k are linear in products of two earlier coordinates. So a bend x → x² and a funnel become
    N(0, I).

    Args:
        shift: m, ``(D,)``.
        scale: of each coordinate, ``(D,)``.
        rows: of each coordinate; None where ``z_k = u_k``.
    """

    shift: Tensor
    scale: Tensor
    rows: tuple[Row | None, ...]

    @property
    def curved(self) -> bool:
        """Whether any row is more than affine."""
        return any(row is not None and row.curved for row in self.rows)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """``x: (B, D)`` and ``log |det ∂x/∂u|: (B,)``."""
        u = u.double()
        one = torch.ones_like(u[:, :1])
        columns: list[Tensor] = []
        log_det = self.scale.log().sum().expand(len(u))
        for k, row in enumerate(self.rows):
            if row is None:
                columns.append(u[:, k])
                continue
            mean, log_std = row.of(torch.cat([torch.stack(columns, 1), one], 1) if columns else one)
            columns.append(mean + log_std.exp() * u[:, k])
            log_det = log_det + log_std
        return self.shift + torch.stack(columns, 1) * self.scale, log_det

    def inverse(self, x: Tensor) -> Tensor:
        """``u: (B, D)`` of ``x: (B, D)``."""
        z = (x.double() - self.shift) / self.scale
        one, u = torch.ones_like(z[:, :1]), z.clone()
        for k, row in enumerate(self.rows):
            if row is not None:
                mean, log_std = row.of(torch.cat([z[:, :k], one], 1))
                u[:, k] = (z[:, k] - mean) * (-log_std).exp()
        return u


class CurvedTarget(WrappedTarget):
    """A target in the coordinates ``u`` of a triangular map; it has the same Z.

    Args:
        target: the density of x, called in its own dtype.
        map: from u to x.

    >>> from amortized.targets.callable import DensityTarget
    >>> bend = DensityTarget(lambda x: -0.5 * (x[:, 0].square() + (x[:, 1] - x[:, 0].square()).square()), dim=2)
    >>> x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    >>> x[:, 1] += x[:, 0].square()
    >>> straight = CurvedTarget(bend, triangular_map(x))
    >>> u = torch.randn(1000, 2)
    >>> bool((straight.log_prob(u) + 0.5 * u.square().sum(-1)).std() < 0.1)
    True
    """

    def __init__(self, target: Target, map: TriangularMap):
        super().__init__(target.dim, torch.get_default_dtype(), target.device)
        self.target = target
        self.map = map

    def inside(self, x: Tensor) -> Tensor:
        return self.map.forward(x)[0].to(self.target.dtype)

    def _log_prob(self, x: Tensor) -> Tensor:
        inside, log_det = self.map.forward(x)
        return self.target.log_prob(inside.to(self.target.dtype)).double() + log_det

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            u = x.detach().double().requires_grad_()
            inside, log_det = self.map.forward(u)
            value, score = self.target.log_prob_and_score(inside.detach().to(self.target.dtype))
            surrogate = (inside * score.double()).sum() + log_det.sum()
            (pulled,) = torch.autograd.grad(surrogate, u)
        return value.double() + log_det.detach(), pulled.to(self.dtype)


def triangular_map(x: Tensor, effective: float | None = None) -> TriangularMap:
    """The map fitted to draws, row by row; only terms that noise does not explain.

    Each row starts from a linear regression on the earlier coordinates. Then products of two of them enter m or s one
    at a time: the one whose part beyond the terms so far explains most of the residual, or of its square, as long as
    its z-score is significant. After each, m is fitted again by weighted least squares, and s by Fisher scoring.

    Args:
        x: draws ``(N, D)``.
        effective: how many independent draws they are worth; None: half of their number.
    """
    count, dim = x.shape
    shift, scale = x.double().mean(0), x.double().std(0)
    z = (x.double() - shift) / scale
    effective = min(count / 2 if effective is None else effective, count)
    rows = tuple(_row(z, k, effective / count) for k in range(dim)) if dim <= MOST_DIMENSIONS else (None,) * dim
    return TriangularMap(shift, scale, rows)


def _row(z: Tensor, k: int, worth: float) -> Row | None:
    """The row of coordinate k from standardized draws ``(N, D)``; a draw is worth ``worth`` independent ones."""
    if k == 0:
        return None
    few = z[:: max(1, len(z) // SELECTING)]
    earlier = _with_ones(few, k)
    i, j = torch.triu_indices(k + 1, k + 1, device=z.device)[:, :-1]  # without 1 · 1, which is the intercept
    terms: tuple[list[int], list[int]] = ((j == k).nonzero()[:, 0].tolist(), [])
    features = earlier[:, i] * earlier[:, j]
    limit = _limit(z.shape[1] ** 3 / 3) / math.sqrt(worth)
    row = _fitted(earlier, few[:, k], i, j, terms)
    for _ in range(2 * MOST_TERMS):
        mean, log_std = row.of(earlier)
        residual, weight = (few[:, k] - mean) * (-log_std).exp(), (-log_std).exp()[:, None]
        best, kind = _significant(features * weight, residual, weight, limit, terms[0]), 0
        if best is None:  # no bend is left that a log std could take for its own
            best, kind = _significant(features, _log_square(residual), torch.ones_like(weight), limit, terms[1]), 1
        if best is None or len(terms[kind]) >= k * (1 - kind) + MOST_TERMS:
            break
        terms[kind].append(best)
        row = _fitted(earlier, few[:, k], i, j, terms)
    return _fitted(_with_ones(z, k), z[:, k], i, j, terms)


def _with_ones(z: Tensor, k: int) -> Tensor:
    return torch.cat([z[:, :k], torch.ones_like(z[:, :1])], 1)


def _fitted(earlier: Tensor, y: Tensor, i: Tensor, j: Tensor, terms: tuple[list[int], list[int]]) -> Row:
    """m and s of these terms, fitted in turn to all draws."""
    last = torch.full((1, 2), earlier.shape[1] - 1, device=y.device)
    pairs, steep = (torch.cat([torch.stack([i[have], j[have]], 1), last]) for have in terms)
    designs = [earlier[:, index[:, 0]] * earlier[:, index[:, 1]] for index in (pairs, steep)]
    log_std = torch.zeros_like(y)
    for _ in range(1 if not terms[1] else TURNS):
        coefficients = _least_squares(designs[0], y, (-2 * log_std).exp())
        log_coefficients = _log_std(designs[1], y - designs[0] @ coefficients)
        log_std = _bounded(designs[1], log_coefficients)
    return Row(pairs, coefficients, steep, log_coefficients)


def _significant(features: Tensor, signal: Tensor, one: Tensor, limit: float, have: list[int]) -> int | None:
    """The feature whose part beyond those in the model has the largest z-score against the signal, over the limit.

    The standard error is HC3 of MacKinnon and White (1985): it knows of unequal variances and of single far draws.
    """
    known = torch.linalg.qr(torch.cat([features[:, have], one], 1)).Q
    part = features - known @ (known.mT @ features)
    signal = signal - known @ (known.mT @ signal)
    square = part.square().sum(0).clamp(min=TINY)
    slope = part.mT @ signal / square
    left = (signal[:, None] - part * slope) / (1 - part.square() / square).clamp(min=DEPENDENT)
    score = slope.abs() * square / (part * left).square().sum(0).sqrt().clamp(min=TINY)
    score[square < DEPENDENT * features.square().sum(0)] = 0.0
    best = int(score.argmax())
    return best if float(score[best]) > limit else None


def _log_square(residual: Tensor) -> Tensor:
    """``½ log r²`` plus what its mean is for a unit Gaussian: an estimate of log std without heavy tails."""
    return 0.5 * residual.square().clamp(min=1e-12).log() + 0.6352


def _bounded(design: Tensor, coefficients: Tensor) -> Tensor:
    """s of its terms, of which the constant is the last and not bounded: ``(B,)``."""
    moving = design[:, :-1] @ coefficients[:-1]
    return coefficients[-1] + BOUND * (moving / BOUND).tanh()


def _limit(tests: float) -> float:
    """z-score that noise exceeds in any of so many tests with chance ``LEVEL``."""
    return math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - LEVEL / max(tests, 1.0), dtype=torch.float64)))


def _least_squares(design: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """By QR: terms of a bend of a bend differ by powers of ten."""
    root = weight.sqrt()[:, None]
    scale = (design * root).square().mean(0).sqrt().clamp(min=TINY)
    q, r = torch.linalg.qr(design * root / scale)
    ridge = 1e-12 * torch.eye(len(r), dtype=r.dtype, device=r.device)
    return torch.linalg.solve(r + ridge, q.mT @ (y * root[:, 0])) / scale


def _log_std(design: Tensor, residual: Tensor) -> Tensor:
    """Coefficients of log std by Fisher scoring on the Gaussian likelihood; the last term is the constant."""
    scale = residual.square().mean().sqrt().clamp(min=TINY)
    coefficients = _least_squares(design, _log_square(residual / scale), torch.ones_like(residual))
    coefficients[-1] = coefficients[-1] + scale.log()
    square, gram = residual.square(), design.mT @ design
    if design.shape[1] == 1:
        return scale.log()[None]
    factor = torch.linalg.cholesky(gram + 1e-9 * gram.diagonal().diag())
    for _ in range(SCORING):
        ratio = square * (-2 * _bounded(design, coefficients)).exp()
        slope = design.mT @ (0.5 * (ratio - 1).clamp(max=4.0))
        coefficients = coefficients + torch.cholesky_solve(slope[:, None], factor)[:, 0]
    return coefficients
