"""A target in coordinates that straighten bends and funnels: a triangular map fitted to draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from amortized._types import Tensor
from amortized.targets.base import Target
from amortized.targets.transformed import TransformedTarget

MOST_DIMENSIONS = 50
"""Above it the fit of all rows takes over ten seconds, and the products of all pairs are over 1,000 features."""
MOST_TERMS = 8
"""Terms of each row and kind at the most: a bend of a bend needs three."""
BOUND = 12.0
"""Of a log std less its constant, in nats: a funnel's neck and mouth may differ by e^12 either way without overflow."""
LEVEL = 0.001
"""Chance that noise alone makes any term of any row significant."""
SELECTING, MOST_SELECTING = 300_000, 4_000
"""Draws times features, and draws, by which terms are chosen at the most; all draws are used to fit them."""
CONSTANT = (-1, -1)
"""The constant 1 as a pair of factors."""
TURNS, SCORING = 4, 15
"""Fits of mean and log std in turn, and steps of Fisher scoring in each; a choice."""
DEPENDENT = 1e-8
"""Part of a term's mean square beyond the others, below which it is their combination."""
TINY = 1e-300
"""Keeps logarithms and ratios of zeros finite."""


class Row(NamedTuple):
    """What one coordinate is given the earlier ones: ``z_k = m(z) + exp(s(z)) u_k``.

    Args:
        mean: a coefficient of m for each pair of factors ``(i, j)``; −1 stands for the constant 1.
        log_std: the same for s.
    """

    mean: dict[tuple[int, int], float]
    log_std: dict[tuple[int, int], float]

    @property
    def curved(self) -> bool:
        """Whether m is not linear, or s not constant."""
        return len(self.log_std) > 1 or any(-1 not in pair for pair in self.mean)

    @property
    def parents(self) -> set[int]:
        return {place for pair in (*self.mean, *self.log_std) for place in pair} - {-1}


class _Level:
    """Rows that depend on earlier levels only, evaluated together."""

    def __init__(self, rows: dict[int, Row], place: dict[int, int], device: torch.device):
        self.columns = torch.tensor(list(rows), device=device)
        self.mean = self._table([row.mean for row in rows.values()], place, device)
        self.log_std = self._table([row.log_std for row in rows.values()], place, device)

    @staticmethod
    def _table(
        rows: list[dict[tuple[int, int], float]], place: dict[int, int], device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Both factors of every term ``(P,)``, the constant's last, and its coefficient in each row ``(P, R)``."""
        pairs = [*dict.fromkeys(pair for row in rows for pair in row if pair != CONSTANT), CONSTANT]
        factors = torch.tensor([[place[i], place[j]] for i, j in pairs], device=device)
        table = [[row.get(pair, 0.0) for row in rows] for pair in pairs]
        return factors[:, 0], factors[:, 1], torch.tensor(table, dtype=torch.float64, device=device)

    def of(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """m and s ``(B, R)``, from ones and the coordinates of the earlier levels."""
        i, j, table = self.mean
        mean = (z[:, i] * z[:, j]) @ table
        i, j, table = self.log_std
        return mean, _bounded(z[:, i] * z[:, j], table)


class TriangularMap:
    """``x = m + scale · z`` with ``z_k = m_k(z_1 … z_{k−1}) + exp(s_k(z_1 … z_{k−1})) u_k``; float64.

    m_k and s_k are linear in products of two earlier coordinates. So a bend x → x² and a funnel become N(0, I). Rows
    that do not depend on each other are evaluated together.

    Args:
        shift: m, ``(D,)``.
        scale: of each coordinate, ``(D,)``.
        rows: of each coordinate.
    """

    def __init__(self, shift: Tensor, scale: Tensor, rows: Sequence[Row]):
        self.shift, self.scale, self.rows = shift, scale, tuple(rows)
        depth: list[int] = []
        for row in rows:
            depth.append(1 + max((depth[parent] for parent in row.parents), default=-1))
        order = sorted(range(len(rows)), key=lambda k: depth[k])
        place = {-1: 0, **{k: 1 + at for at, k in enumerate(order)}}
        together = [{k: rows[k] for k in order if depth[k] == level} for level in range(max(depth) + 1)]
        self._levels = [_Level(part, place, shift.device) for part in together]
        self._order = torch.tensor(order, device=shift.device)
        self._back = torch.tensor([place[k] for k in range(len(rows))], device=shift.device)

    @property
    def curved(self) -> bool:
        """Whether any row is more than affine."""
        return any(row.curved for row in self.rows)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """``x: (B, D)`` and ``log |det ∂x/∂u|: (B,)``."""
        u = u.double()
        z, log_det = torch.ones_like(u[:, :1]), self.scale.log().sum().expand(len(u))
        for level in self._levels:
            mean, log_std = level.of(z)
            z = torch.cat([z, mean + log_std.exp() * u[:, level.columns]], 1)
            log_det = log_det + log_std.sum(-1)
        return self.shift + z[:, self._back] * self.scale, log_det

    def inverse(self, x: Tensor) -> Tensor:
        """``u: (B, D)`` of ``x: (B, D)``."""
        z = (x.double() - self.shift) / self.scale
        known, u = torch.cat([torch.ones_like(z[:, :1]), z[:, self._order]], 1), torch.empty_like(z)
        for level in self._levels:
            mean, log_std = level.of(known)
            u[:, level.columns] = (z[:, level.columns] - mean) * (-log_std).exp()
        return u


class CurvedTarget(TransformedTarget):
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

    def moved(self, u: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det = self.map.forward(u)
        return x.to(self.target.dtype), log_det

    def moved_back(self, x: Tensor) -> Tensor:
        return self.map.inverse(x).to(self.dtype)

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

    Earlier coordinates and products of two of them enter m or s one at a time: the one whose part beyond the terms so
    far has the largest z-score against the residual, or, where no term of m is significant, against the logarithm of
    its square. After each, m is fitted again by weighted least squares, and s by Fisher scoring. Terms of m that later
    ones made superfluous leave again.

    Args:
        x: draws ``(N, D)``.
        effective: how many independent draws they are worth; None: half of their number.
    """
    count, dim = x.shape
    shift, scale = x.double().mean(0), x.double().std(0)
    z = (x.double() - shift) / scale
    effective = min(count / 2 if effective is None else effective, count)
    flat = Row({CONSTANT: 0.0}, {CONSTANT: 0.0})
    curved = dim <= MOST_DIMENSIONS
    return TriangularMap(shift, scale, [_row(z, k, effective / count) if k and curved else flat for k in range(dim)])


def _row(z: Tensor, k: int, worth: float) -> Row:
    """The row of coordinate k from standardized draws ``(N, D)``; a draw is worth ``worth`` independent ones."""
    pairs = [(i, j) for i in range(-1, k) for j in range(max(i, 0), k)]
    few = z[:: max(1, len(z) * len(pairs) // SELECTING, len(z) // MOST_SELECTING)]
    columns = torch.cat([few[:, :k], torch.ones_like(few[:, :1])], 1)  # the constant 1 is the last, so it has index −1
    features = columns[:, [i for i, _ in pairs]] * columns[:, [j for _, j in pairs]]
    limit, y, one = _limit(z.shape[1] ** 3 / 3) / math.sqrt(worth), few[:, k], torch.ones_like(few[:, :1])
    terms: tuple[list[int], list[int]] = [], []
    mean, log_std = _fitted(features, y, terms)
    for _ in range(2 * MOST_TERMS):
        s = _bounded(torch.cat([features[:, terms[1]], one], 1), log_std)
        residual, weight = (y - torch.cat([features[:, terms[0]], one], 1) @ mean) * (-s).exp(), (-s).exp()[:, None]
        best, kind = _significant(features * weight, residual, weight, limit, terms[0]), 0
        if best is None:  # no bend is left that a log std could take for its own
            best, kind = _significant(features, _log_square(residual), one, limit, terms[1]), 1
        if best is None or len(terms[kind]) >= MOST_TERMS:
            break
        terms[kind].append(best)
        for each in list(terms[0][:-1]) if kind == 0 else []:
            others = [other for other in terms[0] if other != each]
            both = features[:, [each, *others]] * weight
            if _significant(both, y * weight[:, 0], weight, limit, list(range(1, len(others) + 1))) is None:
                terms[0].remove(each)
        mean, log_std = _fitted(features, y, terms)
    columns = torch.cat([z[:, :k], torch.ones_like(z[:, :1])], 1)
    used = [pairs[each] for have in terms for each in have]
    designs = columns[:, [i for i, _ in used]] * columns[:, [j for _, j in used]]
    bends = len(terms[0])
    mean, log_std = _fitted(designs, z[:, k], (list(range(bends)), list(range(bends, len(used)))))
    names = [[pairs[each] for each in have] + [CONSTANT] for have in terms]
    return Row(dict(zip(names[0], mean.tolist(), strict=True)), dict(zip(names[1], log_std.tolist(), strict=True)))


def _fitted(features: Tensor, y: Tensor, terms: tuple[list[int], list[int]]) -> tuple[Tensor, Tensor]:
    """Coefficients of m and s of these terms and constants, fitted in turn."""
    one = torch.ones_like(features[:, :1]) if features.shape[1] else torch.ones_like(y)[:, None]
    designs = [torch.cat([features[:, have], one], 1) for have in terms]
    log_std = torch.zeros_like(y)
    coefficients = log_coefficients = y[:0]
    for _ in range(TURNS if terms[1] else 1):
        coefficients = _least_squares(designs[0], y, (-2 * log_std).exp())
        log_coefficients = _log_std(designs[1], y - designs[0] @ coefficients)
        log_std = _bounded(designs[1], log_coefficients)
    return coefficients, log_coefficients


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
