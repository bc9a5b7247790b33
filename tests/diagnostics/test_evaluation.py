"""An evaluation's bounds and overlap, where they are known in closed form."""

import math

import pytest
import torch

from amortized.diagnostics.evaluation import evaluate
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from amortized.targets.density import DensityTarget
from tests.known import gaussian, isotropic, network, seeded

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
