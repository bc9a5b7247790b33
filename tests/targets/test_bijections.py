"""Our own bijections: their inverses, shapes and log-determinants against automatic differentiation."""

import pytest
import torch
from pyro.distributions import constraints

from amortized.targets.bijections import TriangularTransform, bijection

SUPPORTS = [constraints.lower_cholesky, constraints.positive_definite, constraints.positive_semidefinite]


@pytest.mark.parametrize("support", SUPPORTS, ids=str)
def test_triangular_supports(support):
    transform = bijection(support)
    x = torch.randn(6, dtype=torch.float64)
    value = transform(x)
    assert support.check(value)
    assert transform.inverse_shape(value.shape) == x.shape and transform.forward_shape(x.shape) == value.shape
    torch.testing.assert_close(transform.inv(value), x)
    rows, columns = torch.tril_indices(3, 3)
    jacobian = torch.func.jacrev(lambda z: bijection(support)(z)[rows, columns])(x)
    torch.testing.assert_close(transform.log_abs_det_jacobian(x, value), torch.linalg.slogdet(jacobian)[1])


def test_unit_diagonal():
    transform = TriangularTransform(unit_diagonal=True)
    x = torch.randn(5, 3)
    value = transform(x)
    assert constraints.unit_lower_cholesky.check(value).all()
    assert transform.inverse_shape(value.shape) == x.shape
    assert transform.inv(value).equal(x)
    assert transform.log_abs_det_jacobian(x, value).equal(torch.zeros(5))


@pytest.mark.parametrize("size", range(1, 40))
def test_the_side_of_a_triangle(size):
    for transform in (TriangularTransform(), TriangularTransform(unit_diagonal=True)):
        shape = torch.Size((2, size, size))
        if size > 1:
            assert transform.forward_shape(transform.inverse_shape(shape)) == shape


def test_independent_supports_are_entered():
    transform = bijection(constraints.independent(constraints.positive_definite, 1))
    x = torch.randn(4, 3)
    assert transform(x).shape == (4, 2, 2)
    assert transform.log_abs_det_jacobian(x, transform(x)).shape == ()


def test_no_bijection_onto_the_sphere():
    with pytest.raises(NotImplementedError):
        bijection(constraints.sphere)
