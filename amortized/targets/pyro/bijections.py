"""Bijections from R^n onto the supports of latent sites, with those that ``biject_to`` lacks or rounds."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from pyro.distributions import constraints
from pyro.distributions.transforms import CholeskyTransform, ComposeTransform, IndependentTransform, Transform
from torch.distributions import biject_to
from torch.distributions import constraints as torch_constraints
from torch.nn.functional import logsigmoid, pad

from amortized._types import Tensor


def _exp(logarithm: Tensor) -> Tensor:
    """``exp``, at least the smallest normal number: below it digits vanish, and a Dirichlet's density at 0 is NaN."""
    return logarithm.clamp(min=math.log(torch.finfo(logarithm.dtype).tiny)).exp()


class SimplexTransform(Transform):
    """Stick breaking from R^n onto the simplex, computed in logarithms.

    ``y_k = z_k Π_{j<k} (1 − z_j)``, ``z_k = sigmoid(x_k − log(n − k))``;
    ``log |det dy/dx| = Σ log y_k + log(1 − z_k)``.

    Every part keeps all its digits. ``StickBreakingTransform`` of torch computes the last part as 1 minus the others:
    it cannot be below 1.2e-7 in float32, where a Dirichlet of concentration 0.1 has a tenth of its mass.

    >>> SimplexTransform()(torch.zeros(2)), SimplexTransform()(torch.tensor([50.0]))
    (tensor([0.3333, 0.3333, 0.3333]), tensor([1.0000e+00, 1.9287e-22]))
    """

    bijective = True
    domain = constraints.real_vector
    codomain = constraints.simplex

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SimplexTransform)

    def forward_shape(self, shape):
        return torch.Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape):
        return torch.Size((*shape[:-1], shape[-1] - 1))

    def _logits(self, x: Tensor) -> Tensor:
        return x - torch.arange(x.shape[-1], 0, -1, dtype=x.dtype, device=x.device).log()

    def _log_parts(self, x: Tensor) -> Tensor:
        logits = self._logits(x)
        return pad(logsigmoid(logits), [0, 1]) + pad(logsigmoid(-logits).cumsum(-1), [1, 0])

    def _call(self, x: Tensor) -> Tensor:
        return _exp(self._log_parts(x))

    def _inverse(self, y: Tensor) -> Tensor:
        rest = y.flip(-1).cumsum(-1).flip(-1)[..., 1:]
        logits = y[..., :-1].log() - rest.log()
        return logits - self._logits(torch.zeros_like(logits))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return (self._log_parts(x)[..., :-1] + logsigmoid(-self._logits(x))).sum(-1)


class CorrelationTransform(Transform):
    """R^{n(n-1)/2} onto Cholesky factors of correlation matrices, whose rows have length 1.

    ``y_ij = tanh(x_ij) Π_{k<j} sech(x_ik)`` below the diagonal, ``y_ii = Π_{k<i} sech(x_ik)`` on it;
    ``log |det dy/dx| = Σ_{j<i} 2 log sech x_ij + Σ_{k<j} log sech x_ik``.

    The map of torch's ``CorrCholeskyTransform``. Its ``√(1 − tanh²)`` rounds the diagonal; ``sech`` in logarithms
    does not.

    >>> CorrelationTransform()(torch.tensor([20.0]))
    tensor([[1.0000e+00, 0.0000e+00],
            [1.0000e+00, 4.1223e-09]])
    """

    bijective = True
    domain = constraints.real_vector
    codomain = constraints.corr_cholesky

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CorrelationTransform)

    def forward_shape(self, shape):
        return TriangularTransform(unit_diagonal=True).forward_shape(shape)

    def inverse_shape(self, shape):
        return TriangularTransform(unit_diagonal=True).inverse_shape(shape)

    def _sech(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x as a matrix, its ``log sech``, and the sum of ``log sech`` to the left of each element."""
        matrix = TriangularTransform(unit_diagonal=True)._call(x).tril(-1)
        log_sech = math.log(2) + 0.5 * (logsigmoid(2 * matrix) + logsigmoid(-2 * matrix))
        return matrix, log_sech, pad(log_sech.cumsum(-1)[..., :-1], [1, 0])

    def _call(self, x: Tensor) -> Tensor:
        matrix, _, left = self._sech(x)
        return matrix.tanh() * left.exp() + _exp(left).diagonal(dim1=-2, dim2=-1).diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        wide = y.double()  # squares of elements below 1e-19 are 0 in float32
        right = pad(wide.square().flip(-1).cumsum(-1).flip(-1)[..., 1:], [0, 1], value=1.0)
        return TriangularTransform(unit_diagonal=True)._inverse((wide / right.sqrt()).asinh().to(y.dtype).tril(-1))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        _, log_sech, left = self._sech(x)
        return (2 * log_sech + left).tril(-1).sum((-2, -1))


class TriangularTransform(Transform):
    """``R^{n(n+1)/2}`` onto lower triangular matrices, row by row; ``R^{n(n-1)/2}`` with a diagonal of ones.

    ``L_ij = x_k`` below the diagonal, ``L_ii = exp x_k`` (or 1) on it; ``log |det dL/dx| = Σ log L_ii``.

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


_OF_A_MIXTURE = getattr(torch_constraints, "MixtureSameFamilyConstraint", None)
"""The support of a mixture, in versions of PyTorch that wrap that of its components."""


def _bounds(support: constraints.Constraint) -> Iterator[Tensor]:
    """The tensors of a support. Components of a mixture may have a bound each, and then no common support."""
    for part in vars(support).values():
        if isinstance(part, constraints.Constraint):
            yield from _bounds(part)
        elif isinstance(part, Tensor):
            yield part


def bijection(support: constraints.Constraint) -> Transform:
    """The transform from unconstrained space onto ``support``.

    Raises:
        NotImplementedError: There is none, for instance onto a sphere or a discrete set.

    >>> bijection(constraints.positive_definite)(torch.zeros(3)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if isinstance(support, constraints.independent):
        inner = bijection(support.base_constraint)
        return IndependentTransform(inner, support.reinterpreted_batch_ndims)
    if type(support) is _OF_A_MIXTURE and not any(bound.numel() > 1 for bound in _bounds(support)):
        return bijection(vars(support)["base_constraint"])
    if isinstance(support, type(constraints.lower_cholesky)):
        return TriangularTransform()
    if isinstance(support, type(constraints.unit_lower_cholesky)):
        return TriangularTransform(unit_diagonal=True)
    if isinstance(support, (type(constraints.positive_definite), type(constraints.positive_semidefinite))):
        return ComposeTransform([TriangularTransform(), CholeskyTransform().inv])
    if isinstance(support, type(constraints.simplex)):
        return SimplexTransform()
    if isinstance(support, type(constraints.corr_cholesky)):
        return CorrelationTransform()
    return biject_to(support)
