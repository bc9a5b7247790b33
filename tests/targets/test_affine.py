"""Whitening keeps Z, moves moments to (0, I), turns scores by the chain rule, and stays precise far from the origin."""

import torch

from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from tests.known import Located, seeded

SHIFT = torch.tensor([3.0, -1000.0], dtype=torch.float64)
FACTOR = torch.tensor([[0.1, 0.0], [40.0, 30.0]], dtype=torch.float64)


def skewed() -> DensityTarget:
    return DensityTarget(lambda x: -(x[:, 0] - 3).exp() - 1e-4 * (x[:, 1] + 1000).square(), 2, dtype=torch.float64)


def test_it_is_the_density_of_the_whitened_variable():
    """log R(m + L u) + log det L, and its gradient by autograd."""
    white, target = WhitenedTarget(skewed(), SHIFT, FACTOR, dtype=torch.float64), skewed()
    u = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    expected = target.log_prob(SHIFT + u @ FACTOR.mT) + torch.linalg.slogdet(FACTOR).logabsdet
    (gradient,) = torch.autograd.grad(expected.sum(), u)
    value, score = white.log_prob_and_score(u.detach())
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(white.log_prob(u.detach()), expected.detach())
    torch.testing.assert_close(score, gradient)


def test_a_gaussian_becomes_standard():
    normal = torch.distributions.MultivariateNormal(SHIFT, scale_tril=FACTOR)
    white = WhitenedTarget(DensityTarget(normal.log_prob, 2, dtype=torch.float64), SHIFT, FACTOR)
    u = torch.randn(6, 2)
    value, score = white.log_prob_and_score(u)
    torch.testing.assert_close(value, torch.distributions.Normal(0.0, 1.0).log_prob(u).sum(-1).double())
    torch.testing.assert_close(score, -u, rtol=1e-4, atol=1e-4)


def test_there_and_back():
    white = WhitenedTarget(skewed(), SHIFT, FACTOR)
    u = torch.randn(3, 6, 2)
    torch.testing.assert_close(white.whiten(white.unwhiten(u)), u, rtol=1e-5, atol=1e-5)
    x = white.unwhiten(u)
    torch.testing.assert_close(white.constrain(u[0])["x"], x[0])


def test_types_are_the_networks_outside_and_the_targets_inside():
    seen = []
    target = DensityTarget(lambda x: seen.append(x.dtype) or -x.square().sum(-1), 2, dtype=torch.float64)
    white = WhitenedTarget(target, SHIFT, FACTOR)
    value, score = white.log_prob_and_score(torch.zeros(1, 2))
    assert (value.dtype, score.dtype, white.whiten(SHIFT[None]).dtype) == (torch.float64, torch.float32, torch.float32)
    assert set(seen) == {torch.float64} and white.log_prob(torch.zeros(1, 2)).dtype == torch.float64


def test_both_count_and_bad_particles_stay_bad():
    target = DensityTarget(lambda x: x[:, 0].log(), 1)
    white = WhitenedTarget(target, torch.zeros(1), torch.ones(1, 1))
    value, score = white.log_prob_and_score(torch.tensor([[-1.0], [2.0]]))
    assert value[0] == -torch.inf and score[0] == 0 and score[1] == 0.5
    assert (white.calls, target.calls, target.nonfinite) == (2, 2, 1)


def several() -> tuple[Located, torch.Tensor, torch.Tensor]:
    """Three contexts with a map for each."""
    generator = seeded(3)
    target = Located(torch.randn(3, 2, generator=generator).double(), indices=torch.tensor([5, 1, 9]))
    shift = torch.randn(3, 2, generator=generator).double()
    scale_tril = torch.randn(3, 2, 2, generator=generator).double().tril(-1) + torch.diag_embed(
        0.2 + torch.rand(3, 2, generator=generator).double()
    )
    return target, shift, scale_tril


def test_every_context_has_a_map_of_its_own(in_double_precision):
    """Row i is seen through map i mod M: as each context alone, and by central differences of step 1e-5."""
    target, shift, scale_tril = several()
    white = WhitenedTarget(target, shift, scale_tril, torch.float64)
    assert torch.equal(white.context, target.context) and white.indices.tolist() == [5, 1, 9] and white.contexts == 3
    u = torch.randn(6, 2, generator=seeded())
    value, score = white.log_prob_and_score(u)
    torch.testing.assert_close(white.log_prob(u), value)
    torch.testing.assert_close(white.whiten(white.unwhiten(u)), u)
    torch.testing.assert_close(white.log_dets(6), torch.linalg.slogdet(scale_tril).logabsdet.repeat(2))
    for m in range(3):
        alone = WhitenedTarget(target.at(m), shift[m], scale_tril[m], torch.float64)
        expected, slope = alone.log_prob_and_score(u[m::3])
        torch.testing.assert_close(white.unwhiten(u)[m::3], shift[m] + u[m::3] @ scale_tril[m].mT)
        torch.testing.assert_close(value[m::3], expected)
        torch.testing.assert_close(score[m::3], slope)
    for d in range(2):
        step = 1e-5 * torch.eye(2)[d]
        slope = (white.log_prob(u + step) - white.log_prob(u - step)) / 2e-5
        torch.testing.assert_close(score[:, d], slope, rtol=1e-6, atol=1e-6)


def test_gradients_reach_the_maps_in_single_precision():
    target, shift, scale_tril = several()
    shift.requires_grad_()
    white = WhitenedTarget(target, shift, scale_tril)
    assert white.log_dets(6).dtype == torch.float64 and white.log_prob(torch.zeros(6, 2)).dtype == torch.float64
    white.log_prob(torch.zeros(6, 2)).sum().backward()
    torch.testing.assert_close(shift.grad, 2 * (target.located - shift.detach()))
