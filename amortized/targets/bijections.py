"""Bijections from R^n onto the supports of latent sites, those that ``biject_to`` lacks included."""

from __future__ import annotations

import torch
from pyro.distributions import constraints
from pyro.distributions.transforms import CholeskyTransform, ComposeTransform, IndependentTransform, Transform
from torch.distributions import biject_to

from amortized._types import Tensor


class TriangularTransform(Transform):
    """``R^{n(n+1)/2}`` (or ``R^{n(n-1)/2}`` where the diagonal is 1) onto lower triangular matrices, row by row.

    ``L_ij = x_k`` below the diagonal, ``L_ii = exp x_k`` (or 1) on it; its sum is ``log |det dL/dx|``.

    >>> TriangularTransform()(torch.zeros(3)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    bijective = True
    domain = constraints.real_vector

    def __init__(self, unit_diagonal: bool = False):
        super().__init__()
        self.unit_diagonal = unit_diagonal
        self.codomain = constraints.unit_lower_cholesky if unit_diagonal else constraints.lower_cholesky

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TriangularTransform) and self.unit_diagonal == other.unit_diagonal

    def _indices(self, size: int, device: torch.device) -> Tensor:
        return torch.tril_indices(size, size, offset=-1 if self.unit_diagonal else 0, device=device)

    def _side(self, length: int) -> int:
        side = int((2 * length) ** 0.5)
        return side + 1 if self.unit_diagonal else side

    def forward_shape(self, shape):
        side = self._side(shape[-1])
        return torch.Size((*shape[:-1], side, side))

    def inverse_shape(self, shape):
        side = shape[-1]
        return torch.Size((*shape[:-2], side * (side - 1 if self.unit_diagonal else side + 1) // 2))

    def _call(self, x: Tensor) -> Tensor:
        side = self._side(x.shape[-1])
        rows, columns = self._indices(side, x.device)
        place = torch.full((side, side), x.shape[-1], device=x.device)
        place[rows, columns] = torch.arange(x.shape[-1], device=x.device)
        matrix = torch.cat([x, x.new_zeros((*x.shape[:-1], 1))], -1)[..., place]
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        ends = torch.ones_like(diagonal) if self.unit_diagonal else diagonal.exp()
        return matrix.tril(-1) + ends.diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        rows, columns = self._indices(y.shape[-1], y.device)
        if not self.unit_diagonal:
            y = y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()
        return y[..., rows, columns]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        diagonal = y.diagonal(dim1=-2, dim2=-1)
        return torch.zeros_like(diagonal[..., 0]) if self.unit_diagonal else diagonal.log().sum(-1)


def bijection(support: constraints.Constraint) -> Transform:
    """The transform from unconstrained space onto ``support``.

    Raises ``NotImplementedError`` for a support without one (the sphere, discrete sets).

    >>> bijection(constraints.positive_definite)(torch.zeros(3)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if isinstance(support, constraints.independent):
        inner = bijection(support.base_constraint)
        return IndependentTransform(inner, support.reinterpreted_batch_ndims)
    if isinstance(support, type(constraints.lower_cholesky)):
        return TriangularTransform()
    if isinstance(support, type(constraints.unit_lower_cholesky)):
        return TriangularTransform(unit_diagonal=True)
    if isinstance(support, (type(constraints.positive_definite), type(constraints.positive_semidefinite))):
        return ComposeTransform([TriangularTransform(), CholeskyTransform().inv])
    return biject_to(support)
