"""An evaluation's bounds and overlap, where they are known in closed form."""

import math

import pytest
import torch

from amortized.path import log_probs
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from amortized.simulation import reverse_rollout, rollout
from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.training.evaluation import evaluate
from amortized.weights import effective_sample_fraction, log_mean_exp
from tests.known import Located, SameFeatures, gaussian, isotropic, network, seeded

every_process = pytest.mark.parametrize("process", [OrnsteinUhlenbeck(6), PinnedBrownian(6)], ids=["ou", "brownian"])


def held_out(target: DensityTarget, mean: float, std: float, count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    ends = mean + std * torch.randn(count, 1, generator=seeded(5))
    return ends, target.log_prob(ends).double()


@every_process
def test_a_perfect_sampler_has_nothing_to_gain(process):
    target = isotropic(1, log_partition=2.0)
    found = evaluate(process, network(1), target, held_out(target, 0.0, 1.0), generator=seeded())
    for value in (found.elbo, found.eubo, found.log_evidence):
        assert value == pytest.approx(2.0, abs=1e-3)
    assert found.ess_fraction == pytest.approx(1.0, abs=1e-3)
    assert found.overlap == pytest.approx(1.0, abs=1e-3)


@every_process
def test_a_shifted_target_has_the_bounds_of_two_gaussians(process):
    """q = N(0, 1), p = N(1, 1): KL = 1/2 each way, ESS = 1/e, overlap 2 Φ(−1/2). Log weights have deviation 1 and the
    held-out number is 4 000: 0.08 is five standard errors; 20 000 weights of relative variance e − 1."""
    target = gaussian([1.0], [[1.0]], log_partition=2.0)
    found = evaluate(process, network(1), target, held_out(target, 1.0, 1.0), count=20_000, generator=seeded())
    assert found.elbo == pytest.approx(1.5, abs=0.04)
    assert found.eubo == pytest.approx(2.5, abs=0.08)
    assert found.log_evidence == pytest.approx(2.0, abs=5 * math.sqrt((math.e - 1) / 20_000))
    assert found.ess_fraction == pytest.approx(math.exp(-1), abs=0.05)
    assert found.overlap == pytest.approx(math.erfc(0.5 / math.sqrt(2)), abs=0.03)


@every_process
def test_a_lost_mode_shows_in_the_overlap_alone(process):
    """Half of the target's mass 40 deviations away: fresh paths are happy, held-out draws are not."""
    far = torch.tensor([0.0, 40.0])
    target = DensityTarget(lambda x: (-0.5 * (x - far).square()).logsumexp(-1) - 0.5 * math.log(8 * math.pi), 1)
    ends, _ = held_out(target, 0.0, 1.0)
    ends[::2] += 40
    found = evaluate(process, network(1), target, (ends, target.log_prob(ends).double()), generator=seeded())
    assert found.ess_fraction > 0.99
    assert found.overlap == pytest.approx(0.5, abs=0.02)
    assert found.eubo > 100


def test_no_gradient_is_kept():
    target, policy = isotropic(1), network(1, 0.2)
    evaluate(OrnsteinUhlenbeck(2), policy, target, held_out(target, 0.0, 1.0, count=10), count=10)
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in policy.parameters())


@every_process
def test_of_several_contexts_it_is_the_mean_of_each(process, in_double_precision):
    """The same fresh paths, context by context; the overlap is that of all ratios, each relative to its own log Z."""
    target = Located(torch.tensor([[0.0], [0.5], [-1.0], [2.0]]), 0.8)
    policy = network(1, 0.1, embedding=SameFeatures(1))
    ends = target.located.repeat(50, 1) + 0.8 * torch.randn(200, 1, generator=seeded(5))
    log_ends = target.log_prob(ends)
    together = evaluate(process, policy, target, (ends, log_ends), 400, seeded())
    with torch.no_grad():
        path = rollout(process, policy, target, 400, seeded())
        noised = log_probs(process, policy, reverse_rollout(process, policy, target, ends, log_ends, seeded(1)))
    forward, backward = path.by_context(path.log_weight), noised.by_context(noised.log_weight)
    assert together.elbo == pytest.approx(float(forward.mean()))
    log_evidence = torch.stack([log_mean_exp(column) for column in forward.T])
    assert together.log_evidence == pytest.approx(float(log_evidence.mean()))
    sizes = [effective_sample_fraction(column) for column in forward.T]
    assert together.ess_fraction == pytest.approx(sum(sizes) / 4)
    # the bridges are drawn anew here: 200 log weights of each, four errors of the difference of means
    assert together.eubo == pytest.approx(float(backward.mean()), abs=4 * float(backward.std()) * (2 / 200) ** 0.5)
    overlap = min(float((s * (w - log_evidence)).clamp(max=0).exp().mean()) for s, w in ((1, forward), (-1, backward)))
    assert together.overlap == pytest.approx(overlap, abs=0.1)


def test_contexts_that_are_solved_have_nothing_to_gain():
    """N(c, 1) seen where it is N(0, 1): log Z differ by the contexts themselves, 10/3 on average."""
    target = Located(torch.tensor([[0.0], [30.0], [-20.0]]))
    white = WhitenedTarget(target, target.located, torch.eye(1).expand(3, 1, 1))
    ends = torch.randn(300, 1, generator=seeded(5))
    found = evaluate(OrnsteinUhlenbeck(6), network(1), white, (ends, white.log_prob(ends)), 300, seeded())
    assert found.elbo == pytest.approx(10 / 3, abs=1e-3) and found.overlap == pytest.approx(1.0, abs=1e-3)
    assert found.ess_fraction == pytest.approx(1.0, abs=1e-3)
