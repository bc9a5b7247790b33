"""The product reference against the joint mixture, autograd and its limits."""

import pytest
import torch

from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.grids import Power
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.product_reference import ProductReference
from amortized.simulation import rollout
from tests.known import isotropic, network, seeded

WEIGHTS = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
MEANS = torch.tensor([[-2.0, 1.0], [0.5, 0.0]])
DEVIATIONS = torch.tensor([[0.5, 0.8], [2.0, 1.0]])


def both() -> tuple[ProductReference, MixtureReference]:
    """Two wells in the first coordinate, one in the second: the same law as two joint components."""
    means = torch.tensor([[-2.0, 0.5], [1.0, 0.5]])
    factors = torch.diag_embed(torch.tensor([[0.5, 2.0], [0.8, 2.0]]))
    joint = MixtureReference(WEIGHTS[0], means, factors)
    return ProductReference(WEIGHTS, MEANS, DEVIATIONS), joint


def test_belief_and_score_are_those_of_the_joint_mixture(in_double_precision):
    """Tables in single precision, hence 1e-5."""
    product, joint = both()
    x = 2 * torch.randn(3, 5, 2)
    signal, noise = torch.rand(3, 1, 1), torch.rand(3, 1, 1)
    for found, expected in zip(product.belief(x, signal, noise), joint.belief(x, signal, noise), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(product.score(x), joint.score(x), rtol=1e-4, atol=1e-5)


def test_no_noise_leaves_no_doubt_and_no_signal_leaves_the_mixture(in_double_precision):
    product, joint = both()
    x = torch.randn(5, 2)
    mean, variance = product.belief(x, torch.tensor(1.0), torch.tensor(0.0))
    torch.testing.assert_close(mean, x, rtol=1e-5, atol=1e-5)
    assert variance.abs().max() < 1e-5
    for found, expected in zip(
        product.belief(x, torch.tensor(0.0), torch.tensor(1.0)),
        joint.belief(x, torch.tensor(0.0), torch.tensor(1.0)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        ProductReference(WEIGHTS, MEANS, 0 * DEVIATIONS)


def test_a_learned_copy_has_no_infinities_and_its_own_tensors():
    """Weights of 0 have logarithm -inf, which the averaging of weights in training would turn into NaN."""
    means = torch.tensor([[-1.0, 1.0], [0.0, 0.0]])
    fixed = ProductReference(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), means, torch.ones(2, 2))
    anew = ProductReference(fixed.log_weights.exp(), means, torch.ones(2, 2), learned=True)
    for learned in (fixed.as_learned(), anew):
        assert all(bool(parameter.isfinite().all()) for parameter in learned.parameters())
        assert len(list(learned.parameters())) == 3 and not list(fixed.parameters())
        assert learned.means.data_ptr() != means.data_ptr()
        x, noised = torch.randn(5, 2), (torch.tensor([0.6]), torch.tensor([0.5]))
        for one, other in zip(fixed.belief(x, *noised), learned.belief(x, *noised), strict=True):
            torch.testing.assert_close(one, other)


def test_its_marginal_is_the_density_that_quadrature_gives():
    """1-D, 20 001 points; single precision."""
    wells = ProductReference(torch.tensor([[0.3, 0.7]]), torch.tensor([[-2.0, 1.0]]), torch.tensor([[0.5, 0.9]]))
    x = torch.linspace(-9, 9, 20_001)[:, None]
    density = wells.log_marginal(x, torch.tensor([0.6]), torch.tensor([0.5])).exp()
    assert abs(float(torch.trapezoid(density, x[:, 0])) - 1) < 1e-4
    noisy = 0.6 * torch.tensor([-2.0, 1.0])
    spread = (0.36 * torch.tensor([0.25, 0.81]) + 0.5).sqrt()
    expected = (torch.tensor([0.3, 0.7]) * torch.distributions.Normal(noisy, spread).log_prob(x).exp()).sum(-1)
    torch.testing.assert_close(density, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shift", [0.7, -1.5])
def test_learned_weights_need_not_be_normalized(shift):
    """Training moves the logarithms of weights freely: the marginal is a density all the same, and its law the same."""
    plain, moved = both()[0].as_learned(), both()[0].as_learned()
    with torch.no_grad():
        moved.log_weights += shift
    x, noised = torch.randn(5, 2), (torch.tensor([0.6]), torch.tensor([0.5]))
    torch.testing.assert_close(moved.log_marginal(x, *noised), plain.log_marginal(x, *noised))


def test_tiny_noise_keeps_variances_positive():
    """Steps that shorten towards the target reach noise that single precision loses beside 1."""
    wells = ProductReference(torch.full((2, 2), 0.5), torch.tensor([[-1.0, 1.0]] * 2), torch.ones(2, 2))
    process = OrnsteinUhlenbeck(256, reference=wells, grid=Power(2.0))
    path = rollout(process, network(2), isotropic(2), 100, seeded())
    assert path.log_weight.isfinite().all()
