"""Our own bijections: their inverses, shapes and log-determinants against automatic differentiation."""

import math

import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints
from torch.distributions import biject_to

from amortized.targets.pyro.bijections import CorrelationTransform, SimplexTransform, TriangularTransform, bijection

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


def mixture(components):
    return dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), components)


def test_a_mixture_has_the_support_of_its_components():
    x = torch.randn(3)
    located = mixture(dist.Normal(torch.tensor([-1.0, 2.0]), 0.5))
    assert bijection(located.support)(x).equal(x)
    scales = mixture(dist.HalfNormal(torch.tensor([0.1, 2.0])))
    assert bijection(scales.support)(x).equal(x.exp())
    pairs = mixture(dist.Normal(torch.zeros(2, 3), 1.0).to_event(1))
    assert bijection(pairs.support).log_abs_det_jacobian(x, x).shape == ()


def test_components_with_bounds_of_their_own_have_no_bijection():
    with pytest.raises(NotImplementedError):
        bijection(mixture(dist.Uniform(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 3.0]))).support)


def test_no_bijection_onto_the_sphere():
    with pytest.raises(NotImplementedError):
        bijection(constraints.sphere)


def free_elements(transform, x):
    """The value without what follows from the rest: a simplex's last part, a correlation's diagonal."""
    value = transform(x)
    if isinstance(transform, SimplexTransform):
        return value[..., :-1]
    rows, columns = torch.tril_indices(value.shape[-1], value.shape[-1], offset=-1)
    return value[rows, columns]


TEN = [(SimplexTransform(), constraints.simplex, 4), (CorrelationTransform(), constraints.corr_cholesky, 6)]


@pytest.mark.parametrize(("transform", "support", "size"), TEN, ids=["simplex", "correlation"])
def test_a_transform_in_logarithms_is_torchs_own_map(transform, support, size):
    x = 2 * torch.randn(50, size, dtype=torch.float64)
    value, own = transform(x), biject_to(support)
    assert bijection(support) == transform and support.check(value).all()
    assert transform.forward_shape(x.shape) == value.shape and transform.inverse_shape(value.shape) == x.shape
    torch.testing.assert_close(value, own(x))
    torch.testing.assert_close(transform.inv(value), x)
    torch.testing.assert_close(transform.log_abs_det_jacobian(x, value), own.log_abs_det_jacobian(x, own(x)))


@pytest.mark.parametrize(("transform", "support", "size"), TEN, ids=["simplex", "correlation"])
def test_its_log_determinant_by_finite_differences(transform, support, size):
    x, step = torch.randn(size, dtype=torch.float64), 1e-6
    ahead, back = (
        torch.stack([free_elements(transform, x + s * row) for row in torch.eye(size).double()], 1)
        for s in (step, -step)
    )
    want = torch.linalg.slogdet((ahead - back) / (2 * step))[1]
    torch.testing.assert_close(transform.log_abs_det_jacobian(x, transform(x)), want, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("transform", "support", "size"), TEN, ids=["simplex", "correlation"])
def test_a_round_trip_in_single_precision_far_out(transform, support, size):
    """Where torch's own ends: parts of 1e-30, a correlation of 1 - 1e-16."""
    x = 20 * torch.randn(200, size, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    value = transform(x)
    single, double = (torch.diagonal(v, dim1=-2, dim2=-1) if v.ndim == 3 else v for v in (value, transform(x.double())))
    kept = double > 1e-37
    assert kept.double().mean() > 0.9
    torch.testing.assert_close(single[kept].double(), double[kept], rtol=1e-4, atol=0)
    whole = kept.all(-1)
    torch.testing.assert_close(transform.inv(value[whole]), x[whole], rtol=1e-4, atol=1e-3)


def test_a_part_that_is_too_small_for_its_dtype_ends_at_the_smallest_normal_number():
    tiny = torch.finfo(torch.float32).tiny
    value = SimplexTransform()(torch.tensor([300.0, 0.0]))
    assert value[0] == 1 and torch.allclose(value[1:], torch.full((2,), tiny), rtol=1e-4)
    assert dist.Dirichlet(torch.full((3,), 0.1)).log_prob(value).isfinite()
    assert CorrelationTransform()(torch.tensor([300.0]))[1, 1] > 0


def log_of_gamma(concentration, shape):
    """Exact draws of log g, g ~ Gamma(a, 1), however small g is: g = g' u^(1/a), g' ~ Gamma(a + 1, 1)."""
    larger = torch.distributions.Gamma(torch.tensor(concentration + 1.0, dtype=torch.float64), 1.0).sample(shape)
    return larger.log() + torch.rand(shape, dtype=torch.float64).log() / concentration


def log_z(transform, x, exact, distribution):
    """log E[density in float32 / true density] at exact draws: log Z as weights of an exact sampler have it."""
    single = x.float()
    value = transform(single)
    density = distribution.log_prob(value) + transform.log_abs_det_jacobian(single, value)
    return float((density.double() - exact).exp().mean().log())


def test_a_sparse_simplex_keeps_its_mass_in_single_precision():
    """Dirichlet(.1) of 5: log Z 0. torch's own transform has -.107; parts under 1e-38, cut off here, cost .0006."""
    logs = log_of_gamma(0.1, (20_000, 5))
    parts = logs.log_softmax(-1)
    rest = parts.flip(-1).logcumsumexp(-1).flip(-1)[:, 1:]
    x = parts[:, :-1] - rest + torch.arange(4, 0, -1).log()
    logits = parts[:, :-1] - rest
    jacobian = (parts[:, :-1] + torch.nn.functional.logsigmoid(-logits)).sum(-1)
    exact = -0.9 * parts.sum(-1) + math.lgamma(0.5) - 5 * math.lgamma(0.1) + jacobian
    prior = dist.Dirichlet(torch.full((5,), 0.1), validate_args=False)
    assert abs(log_z(SimplexTransform(), x, exact, prior)) < 0.002
    assert log_z(biject_to(constraints.simplex), x, exact, prior) < -0.08


def test_a_nearly_perfect_correlation_keeps_its_mass_in_single_precision():
    """LKJ(.1) of 2: x is half a logit of Beta(.1, .1). torch's own transform has log Z -.19."""
    x = 0.5 * (log_of_gamma(0.1, (20_000,)) - log_of_gamma(0.1, (20_000,)))[:, None]
    log_sech = math.log(2) + 0.5 * (torch.nn.functional.logsigmoid(2 * x) + torch.nn.functional.logsigmoid(-2 * x))
    prior = dist.LKJCholesky(2, torch.tensor(0.1), validate_args=False)
    exact = 0.2 * log_sech[:, 0] + float(prior.log_prob(torch.eye(2)))
    assert abs(log_z(CorrelationTransform(), x, exact, prior)) < 0.002
    assert log_z(biject_to(constraints.corr_cholesky), x, exact, prior) < -0.15
