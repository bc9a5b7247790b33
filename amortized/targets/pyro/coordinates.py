"""Coordinates of a site with a location and a scale: between the value itself and the value standardized by its prior.

::

    value = T(v),   v = loc + scale^(1 − c) (u − c loc)

u are the coordinates and T is today's bijection. c = 1 gives v = u, as the model is written. c = 0 gives
u = (v − loc) / scale, whose prior does not depend on other sites. (Gorinova, Moore and Hoffman, arXiv 1906.03028.)

The elements of a multivariate normal move in turn. Each is normal given those before it: its location is that of its
conditional, its scale the diagonal of the Cholesky factor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as td
from pyro.distributions.torch_distribution import ExpandedDistribution
from torch.distributions import transforms

from amortized._types import Tensor

SYMMETRIC = {
    *(dist.Normal, dist.StudentT, dist.Laplace, dist.Cauchy, dist.Logistic, dist.SoftLaplace),
    *(td.Normal, td.StudentT, td.Laplace, td.Cauchy),
}
"""Families whose density is that of |v − loc| / scale. Exact types: a user's sub-class may have another density."""
LOCATED = SYMMETRIC | {dist.Gumbel, td.Gumbel}
"""Families whose density is that of (v − loc) / scale."""
SCALED = {dist.HalfNormal, dist.HalfCauchy, dist.Weibull, td.HalfNormal, td.HalfCauchy, td.Weibull}
"""Positive families with ``scale``: in log space they have a location, and no scale that this file reads."""
RATED = {dist.Exponential, td.Exponential, dist.Gamma, td.Gamma}
"""Positive families with ``rate``, the inverse of a scale."""
INVERSE = {dist.InverseGamma, td.InverseGamma}
"""Positive families whose ``rate`` is a scale."""


@dataclass(frozen=True)
class Frame:
    """What a distribution says of v, the unconstrained value: its location and its scale.

    Args:
        loc: In the shape of the value.
        scale: In the shape of the value; of a multivariate normal the diagonal of ``tril``.
        tril: Cholesky factor of the covariance of a multivariate normal, ``(..., n, n)``.
        standard: The law of z = (v − loc) / scale; None where only the location moves.
        is_log: Whether v is the logarithm of the value.
    """

    loc: Tensor
    scale: Tensor
    tril: Tensor | None = None
    standard: Any = None
    is_log: bool = False


@dataclass(frozen=True)
class Placed:
    """Coordinates u moved to v.

    Args:
        v: What the bijection takes.
        log_det: ``log |dv/du|``, one term for each element of v.
        z: ``(v − loc) / scale`` without cancellation: ``scale^−c (u − c loc)``.
    """

    v: Tensor
    log_det: Tensor
    z: Tensor


def frame_of(fn: Any) -> Frame | None:
    """The frame of a site's distribution, through independent, masked and expanded layers; None if it has none."""
    shape = torch.Size(fn.batch_shape + fn.event_shape)
    inner = fn
    while isinstance(inner, (td.Independent, dist.MaskedDistribution, ExpandedDistribution)):
        inner = inner.base_dist
    found = _frame(inner)
    if found is None:
        return None
    ends = torch.finfo(found.scale.dtype)  # a scale that under- or overflows has a logarithm: 0 times it is 0
    try:
        return replace(found, loc=found.loc.expand(shape), scale=found.scale.clamp(ends.tiny, ends.max).expand(shape))
    except RuntimeError:
        return None


def _frame(fn: Any) -> Frame | None:
    kind = type(fn)
    if kind in SCALED | RATED | INVERSE:  # before the transformed ones, of which they are
        scale = 1 / fn.rate if kind in RATED else fn.rate if kind in INVERSE else fn.scale
        return Frame(scale.log(), torch.ones_like(scale), is_log=True)
    if kind in LOCATED:
        return Frame(fn.loc, fn.scale, standard=_standard(fn))
    if kind in (dist.MultivariateNormal, td.MultivariateNormal):
        tril = fn.scale_tril
        return Frame(fn.loc, tril.diagonal(dim1=-2, dim2=-1), tril, _standard(dist.Normal(fn.loc, 1.0)))
    if isinstance(fn, td.TransformedDistribution) and kind in (dist.LogNormal, td.LogNormal, *_TRANSFORMED):
        return _transformed(fn)
    return None


_TRANSFORMED = (dist.TransformedDistribution, td.TransformedDistribution)


def _transformed(fn: Any) -> Frame | None:
    """Of a symmetric family moved by affine maps and then, perhaps, by exp, each element on its own."""
    base = fn.base_dist
    while isinstance(base, (td.Independent, ExpandedDistribution)):
        base = base.base_dist
    if type(base) not in SYMMETRIC:  # an affine map may turn the axis round
        return None
    loc, scale = base.loc, base.scale
    for place, step in enumerate(fn.transforms):
        if isinstance(step, transforms.AffineTransform):
            factor = torch.as_tensor(step.scale, dtype=loc.dtype, device=loc.device)
            loc, scale = step.loc + factor * loc, factor.abs() * scale
        elif not (isinstance(step, transforms.ExpTransform) and place == len(fn.transforms) - 1):
            return None
    is_log = bool(fn.transforms) and isinstance(fn.transforms[-1], transforms.ExpTransform)
    return Frame(loc, scale, standard=_standard(base), is_log=is_log)


def _standard(fn: Any) -> Any:
    """The family at location 0 and scale 1, without the family's own check of values."""
    zero, one = torch.zeros_like(fn.loc), torch.ones_like(fn.loc)
    if isinstance(fn, td.StudentT):
        return dist.StudentT(fn.df, zero, one, validate_args=False)
    return type(fn)(zero, one, validate_args=False)


def place(frame: Frame, u: Tensor, c: Tensor) -> Placed:
    """u to v, for c in [0, 1] in the shape of the site's coordinates."""
    r = u - c * frame.loc
    log_scale = frame.scale.log()
    log_det = ((1 - c) * log_scale).expand(r.shape)
    if frame.tril is not None:
        z = torch.linalg.solve_triangular(_in_turn(frame, c), r[..., None], upper=False)
        return Placed(frame.loc + (frame.tril @ z)[..., 0], log_det, z[..., 0])
    return Placed(frame.loc + log_det.exp() * r, log_det, (-c * log_scale).exp() * r)


def find(frame: Frame, v: Tensor, c: Tensor) -> Tensor:
    """The inverse of ``place``: v to u."""
    if frame.tril is not None:
        z = torch.linalg.solve_triangular(frame.tril, (v - frame.loc)[..., None], upper=False)
        return c * frame.loc + (_in_turn(frame, c) @ z)[..., 0]
    return c * frame.loc + (v - frame.loc) * ((c - 1) * frame.scale.log()).exp()


def _in_turn(frame: Frame, c: Tensor) -> Tensor:
    """M with ``M z = u − c loc``: element i has the location ``loc_i + Σ_{j<i} L_ij z_j`` and the scale ``L_ii``.

    It is the identity at c = 0, and L at c = 1.
    """
    assert frame.tril is not None
    return torch.diag_embed(frame.scale.pow(c)) + c[..., None] * frame.tril.tril(-1)


class Standardized:
    """A distribution whose log density is computed from z.

    Computed from the value it would be wrong where the scale is small: ``(v − loc) / scale`` cancels, 2 nats off at a
    scale of e^−15 in float32, and −inf at e^−90. It stands in a finished trace only: the model meets its own.
    """

    def __init__(self, fn: Any, frame: Frame, placed: Placed):
        self.fn, self.frame, self.placed = fn, frame, placed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["fn"], name)

    def log_prob(self, value: Tensor) -> Tensor:
        each = self.frame.standard.log_prob(self.placed.z) - self.frame.scale.log()
        if self.frame.is_log:
            each = each - self.placed.v
        return _through_layers(self.fn, each.sum(-1) if self.frame.tril is not None else each)

    def curvature(self) -> Tensor:
        """−d² log p / dz² of the prior along each element of z, in the shape of z: 1 for a normal one."""
        if self.frame.standard is not None:
            law, start = self.frame.standard, self.placed.z

            def log_density(z: Tensor) -> Tensor:
                return law.log_prob(z).sum()
        else:
            fn, start = self.fn, self.placed.v

            def log_density(z: Tensor) -> Tensor:
                return fn.log_prob(z.exp()).sum() + z.sum()

        slope = torch.func.grad(log_density)
        return -torch.func.grad(lambda z: slope(z).sum())(start)


def _through_layers(fn: Any, each: Tensor) -> Tensor:
    """Terms of the innermost distribution's batch, summed and masked as the layers around it do."""
    if isinstance(fn, td.Independent):
        inner = _through_layers(fn.base_dist, each)
        count = fn.reinterpreted_batch_ndims
        return inner.sum(tuple(range(-count, 0))) if count else inner
    if isinstance(fn, dist.MaskedDistribution):
        inner = _through_layers(fn.base_dist, each)
        if isinstance(fn._mask, bool):
            return inner if fn._mask else torch.zeros_like(inner)
        return torch.where(fn._mask, inner, torch.zeros_like(inner))
    if isinstance(fn, ExpandedDistribution):
        return _through_layers(fn.base_dist, each)
    if isinstance(fn, td.TransformedDistribution) and fn.event_shape:
        return each.sum(tuple(range(-len(fn.event_shape), 0)))
    return each
