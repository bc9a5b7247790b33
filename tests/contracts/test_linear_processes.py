"""What every linear process promises: bridges in closed form, kernels that are their averages, beliefs of a mixture."""

import math

import pytest
import torch

import amortized.processes
from amortized._types import Belief, Control
from amortized.processes.linear import LinearProcess
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.transitions import log_normal
from tests.contracts.discovery import concrete_classes
from tests.known import network, seeded

PROCESSES = concrete_classes(amortized.processes, LinearProcess)
every_process = pytest.mark.parametrize("process_class", PROCESSES)
every_size = pytest.mark.parametrize(("steps", "scale"), [(1, 1.0), (2, 0.3), (7, 2.5), (33, 1.0)])
WEIGHTS = torch.tensor([0.3, 0.7], dtype=torch.float64)
MEANS = torch.tensor([[-2.0], [1.0]], dtype=torch.float64)
DEVIATIONS = torch.tensor([[[0.5]], [[0.9]]], dtype=torch.float64)


@every_process
@every_size
def test_bridges_have_the_stated_signal_and_noise(process_class, steps, scale, in_double_precision):
    """Five standard errors of 20 000 draws: n/√N for a mean, √(2/N) relative for a variance, r√N for a covariance."""
    process, count = process_class(steps, scale), 20_000
    ends = torch.full((count, 1), 1.7 * scale)
    signal, noise = process.signal(process.times), process.noise_variance(process.times).clamp(min=0)
    states = process.bridge(ends, seeded())
    picked = torch.stack([process.noised(torch.full((count,), k), ends, seeded(k)) for k in range(steps)])
    assert (states[-1] == ends).all()
    for drawn in (states[:-1, :, 0], picked[:, :, 0]):
        assert ((drawn.mean(1) - signal[:-1] * 1.7 * scale).abs() <= 5 * (noise[:-1] / count).sqrt() + 1e-12).all()
        assert ((drawn.var(1) - noise[:-1]).abs() <= 5 * math.sqrt(2 / count) * noise[:-1] + 1e-12).all()
    centred = states[:, :, 0] - signal[:, None] * 1.7 * scale
    covariance = (centred[:-1] * centred[1:]).mean(1)
    expected = signal[:-1] / signal[1:] * noise[1:]
    assert ((covariance - expected).abs() <= 5 * (2 * noise[:-1] * noise[1:] / count).sqrt() + 1e-12).all()


@every_process
@every_size
def test_the_bridge_kernel_is_the_noising_kernel_turned_by_bayes(process_class, steps, scale, in_double_precision):
    process = process_class(steps, scale)
    x, end = torch.tensor([[0.4 * scale]]), torch.tensor([[-1.1 * scale]])
    for k in range(steps):
        mean, variance = process.bridge_forward(k, x, end)
        if k == steps - 1:
            expected_mean, expected_variance = end, torch.zeros(1, 1)
        else:
            slope = process.backward(k, torch.ones(1, 1))[0]
            spread = process.backward(k, x)[1].square()
            later = process.times[k + 1]
            noise = process.noise_variance(later)
            expected_variance = 1 / (slope.square() / spread + 1 / noise)
            expected_mean = expected_variance * (slope * x / spread + process.signal(later) * end / noise)
        torch.testing.assert_close(mean, expected_mean, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(variance.expand(1, 1), expected_variance, rtol=1e-10, atol=1e-12)


@every_process
@every_size
def test_a_controlled_kernel_is_the_bridge_averaged_over_the_stated_end(
    process_class, steps, scale, in_double_precision
):
    process = process_class(steps, scale)
    x = torch.tensor([[0.4, -0.2]]) * scale
    belief = Belief(torch.tensor([[0.9, -1.0]]), torch.tensor([[0.5, 2.0]]))
    control = Control(torch.tensor([[1.5, 0.0]]), torch.tensor([[-0.7, 0.4]]))
    end = belief.mean + belief.std * control.shift
    for k in range(steps):
        mean, std = process.forward(k, x, belief, control)
        bridge_mean, bridge_variance = process.bridge_forward(k, x, end)
        reach = process.bridge_forward(k, x, end + 1)[0] - bridge_mean
        end_variance = belief.std.square() * torch.as_tensor(control.log_variance).exp()
        variance = bridge_variance + reach.square() * end_variance
        torch.testing.assert_close(mean, bridge_mean, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(std.square(), variance, rtol=1e-10, atol=1e-12)


@every_process
def test_the_belief_under_a_mixture_is_what_quadrature_gives(process_class, in_double_precision):
    """1-D, a grid of 40 000 points; the mixture keeps its tables in single precision, hence 1e-5."""
    process = process_class(6, 1.2, MixtureReference(WEIGHTS, MEANS, DEVIATIONS))
    end = torch.linspace(-9, 9, 40_001)
    prior = (WEIGHTS.log()[:, None] + log_normal(end[:, None, None], MEANS, DEVIATIONS[:, :, 0]).T).logsumexp(0)
    for k in range(6):
        signal, noise = process.signal(process.times[k]), process.noise_variance(process.times[k])
        for x in (-1.0, 0.0, 0.6) if noise > 0 else (0.0,):
            likelihood = -0.5 * (x - signal * end).square() / noise if noise > 0 else torch.zeros_like(end)
            posterior = (prior + likelihood).softmax(0)
            mean = (posterior * end).sum()
            std = (posterior * (end - mean).square()).sum().sqrt()
            belief = process.belief(k, torch.tensor([[x]]))
            assert abs(belief.mean.item() - mean) < 1e-5
            assert abs(belief.std.item() - std) < 1e-5


@every_process
def test_a_mixture_of_the_reference_alone_changes_nothing(process_class, in_double_precision):
    plain = process_class(4, 1.5)
    same = process_class(4, 1.5, MixtureReference(torch.ones(1), torch.zeros(1, 2), 1.5 * torch.eye(2)[None]))
    x, steps = torch.randn(4, 3, 2), torch.arange(4)
    x[0] *= plain.prior_noise
    belief, score_of_target = plain.belief(steps, x), torch.randn(4, 3, 2)
    for one, other in zip(belief, same.belief(steps, x), strict=True):
        torch.testing.assert_close(one.expand_as(x), other, rtol=1e-6, atol=1e-6)
    shift = plain.langevin(x, score_of_target, belief)
    torch.testing.assert_close(shift, same.langevin(x, score_of_target, belief), rtol=1e-6, atol=1e-6)
    assert plain.langevin(x, -x / 1.5**2, belief).abs().max() < 1e-12


@every_process
def test_other_steps_keep_the_scale_and_the_reference(process_class):
    reference = MixtureReference(WEIGHTS, MEANS, DEVIATIONS)
    process = process_class(4, 1.7, reference).with_steps(9)
    assert type(process) is process_class
    assert (process.steps, process.scale, len(process.times)) == (9, 1.7, 10)
    assert process.reference is reference


@every_process
@every_size
def test_signal_and_noise_end_at_the_target(process_class, steps, scale):
    process = process_class(steps, scale)
    signal, noise = process.signal(process.times), process.noise_variance(process.times)
    assert (signal.diff() > 0).all() and (signal[-1] - 1).abs() < 1e-15
    assert (noise >= -1e-15).all() and noise[-1].abs() < 1e-15
    torch.testing.assert_close((signal[:1].square() * scale**2 + noise[:1]).sqrt(), process.prior_noise)


@every_process
def test_learned_noising_draws_from_the_kernel_that_it_scores(process_class, in_double_precision):
    """Mean and std of 20 000 noised states given the later ones: five standard errors of each."""
    count = 20_000
    process = process_class(4, 1.3, noising=network(1, 0.5))
    states = process.bridge(1.3 * torch.randn(count, 1, generator=seeded(1)), seeded())
    bent = False
    for k in range(4):
        mean, std = process.backward(k, states[k + 1])
        if process.backward_noise[k] == 0:
            assert (states[k] == mean).all() and (std == process.backward_std[k]).all()
            continue
        residual = (states[k] - mean) / std
        assert residual.mean().abs() < 5 / math.sqrt(count)
        assert (residual.std() - 1).abs() < 5 / math.sqrt(2 * count)
        plain = process_class(4, 1.3).backward(k, states[k + 1])
        bent = bent or bool((mean - plain[0]).abs().max() > 0.01 and (std / plain[1]).log().abs().max() > 0.01)
    assert bent


@every_process
def test_fresh_noising_bends_nothing(process_class, in_double_precision):
    plain, learned = process_class(4, 1.3), process_class(4, 1.3, noising=network(2))
    states = plain.bridge(torch.randn(3, 2), seeded())
    for k in range(4):
        for one, other in zip(plain.backward(k, states[k + 1]), learned.backward(k, states[k + 1]), strict=True):
            torch.testing.assert_close(one.expand_as(states[k]), other.expand_as(states[k]))


@every_process
def test_noising_is_learned_and_shared(process_class):
    process = process_class(4, noising=network(2, 0.2))
    twin = process.with_steps(7)
    assert twin.noising is process.noising and len(list(process.parameters())) > 0
    x = process.bridge(torch.randn(5, 2), seeded())
    mean, std = process.backward(torch.arange(4), x[1:])
    (mean.square().sum() + std.log().sum()).backward()
    for name, parameter in twin.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@every_process
def test_noising_that_wants_the_score_is_refused_by_name(process_class):
    with pytest.raises(ValueError, match=r"noising=LangevinMLP\(dim, langevin=False\)"):
        process_class(4, noising=network(2, langevin=True))
