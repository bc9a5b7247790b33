"""The mixture reference against linear algebra, autograd and brute force, with full covariances."""

import torch

from amortized.processes.mixture_reference import MixtureReference

FACTORS = torch.tensor(
    [[[1.0, 0.0, 0.0], [0.6, 0.5, 0.0], [-0.3, 0.2, 2.0]], [[0.3, 0.0, 0.0], [0.0, 1.0, 0.0], [0.4, -0.7, 0.6]]]
)
MEANS = torch.tensor([[1.0, -2.0, 0.5], [-1.0, 0.0, 3.0]])
WEIGHTS = torch.tensor([0.25, 0.75])


def mixture_law() -> torch.distributions.MixtureSameFamily:
    components = torch.distributions.MultivariateNormal(MEANS.double(), scale_tril=FACTORS.double())
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(WEIGHTS.double()), components)


def test_one_component_is_a_gaussian_conditional(in_double_precision):
    """x = c e + n ε with e ~ N(m, C): e given x in closed form; tables in single precision, hence 1e-5."""
    reference = MixtureReference(torch.ones(1), MEANS[:1], FACTORS[:1])
    covariance, mean = (FACTORS[0] @ FACTORS[0].mT).double(), MEANS[0].double()
    x, signal, noise = torch.randn(4, 3), torch.tensor(0.7), torch.tensor(0.4)
    gain = signal * covariance @ torch.linalg.inv(signal**2 * covariance + noise * torch.eye(3))
    expected_mean = mean + (x - signal * mean) @ gain.mT
    expected_variance = (covariance - signal * gain @ covariance).diagonal().expand(4, 3)
    found_mean, found_variance = reference.belief(x, signal, noise)
    torch.testing.assert_close(found_mean, expected_mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found_variance, expected_variance, rtol=1e-5, atol=1e-5)


def test_two_components_agree_with_weighted_draws(in_double_precision):
    """Posterior moments by a million weighted draws; the effective number is over 10⁴, five standard errors 0.05 sd."""
    reference = MixtureReference(WEIGHTS, MEANS, FACTORS)
    ends = mixture_law().sample((1_000_000,))
    x, signal, noise = torch.tensor([[0.2, -0.8, 1.5]]), torch.tensor(0.6), torch.tensor(0.5)
    weights = (-0.5 * (x - signal * ends).square().sum(-1) / noise).softmax(0)
    assert 1 / weights.square().sum() > 10_000
    mean = weights @ ends
    variance = weights @ (ends - mean).square()
    found_mean, found_variance = reference.belief(x, signal, noise)
    assert ((found_mean[0] - mean) / variance.sqrt()).abs().max() < 0.05
    assert (found_variance[0] / variance - 1).abs().max() < 0.07


def test_the_score_is_the_gradient_of_the_log_density(in_double_precision):
    """Tables in single precision; scores here are of order 10."""
    x = (3 * torch.randn(20, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture_law().log_prob(x).sum(), x)
    found = MixtureReference(WEIGHTS, MEANS, FACTORS).score(x.detach())
    torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-4)


def test_no_noise_leaves_no_doubt_and_no_signal_leaves_the_mixture(in_double_precision):
    reference = MixtureReference(WEIGHTS, MEANS, FACTORS)
    x = torch.randn(5, 3)
    mean, variance = reference.belief(x, torch.tensor(1.0), torch.tensor(0.0))
    torch.testing.assert_close(mean, x, rtol=1e-5, atol=1e-5)
    assert variance.abs().max() < 1e-5
    mean, variance = reference.belief(x, torch.tensor(0.0), torch.tensor(1.0))
    law = mixture_law()
    torch.testing.assert_close(mean, law.mean.expand(5, 3), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(variance, law.variance.expand(5, 3), rtol=1e-5, atol=1e-5)


def test_steps_broadcast_over_leading_slices():
    reference = MixtureReference(WEIGHTS, MEANS, FACTORS)
    x, signal, noise = torch.randn(4, 5, 3), torch.rand(4, 1, 1), torch.rand(4, 1, 1)
    together = reference.belief(x, signal, noise)
    for k in range(4):
        for one, all_of_them in zip(reference.belief(x[k], signal[k], noise[k]), together, strict=True):
            torch.testing.assert_close(one, all_of_them[k])


def test_learned_weights_need_not_be_normalized():
    plain, moved = (MixtureReference(WEIGHTS, MEANS, FACTORS, learned=True) for _ in range(2))
    with torch.no_grad():
        moved.log_weights += 0.7
    x, noised = torch.randn(5, 3), (torch.tensor([0.6]), torch.tensor([0.5]))
    torch.testing.assert_close(moved.log_marginal(x, *noised), plain.log_marginal(x, *noised))


def test_its_marginal_without_noise_is_the_mixture(in_double_precision):
    x = torch.randn(5, 3)
    found = MixtureReference(WEIGHTS, MEANS, FACTORS).log_marginal(x, torch.tensor([1.0]), torch.tensor([0.0]))
    torch.testing.assert_close(found, mixture_law().log_prob(x), rtol=1e-4, atol=1e-4)
