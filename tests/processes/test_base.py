"""The Gaussian log density, and the tables that follow from signal and noise."""

import math

import pytest
import torch
from torch import nn

from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from amortized.processes.base import Process
from amortized.processes.linear import POINT_MASS_STD
from amortized.processes.transitions import log_normal


def test_log_normal_is_the_density_of_independent_gaussians(in_double_precision):
    x, mean, std = torch.randn(3, 4, 2), torch.randn(4, 2), torch.rand(2) + 0.1
    expected = torch.distributions.Normal(mean, std).log_prob(x).sum(-1)
    torch.testing.assert_close(log_normal(x, mean, std), expected)
    common = torch.distributions.Normal(mean, std[0]).log_prob(x).sum(-1)
    torch.testing.assert_close(log_normal(x, mean, std[:1]), common)


def test_a_point_mass_has_log_density_zero_at_its_point():
    zero = torch.zeros(3, 5)
    assert log_normal(zero, zero, torch.tensor([POINT_MASS_STD])).abs().max() < 1e-6


def test_the_contract_alone_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Process(4)  # type: ignore[abstract]


def test_tables_move_with_the_module_and_are_not_saved():
    process = OrnsteinUhlenbeck(4)
    assert process.state_dict() == {}
    assert isinstance(process, nn.Module) and process.to("cpu").times.dtype == torch.float64


@pytest.mark.parametrize("process_class", [OrnsteinUhlenbeck, PinnedBrownian])
def test_single_precision_states_stay_single(process_class):
    process = process_class(4)
    x = process.sample_prior(3, 2)
    belief = process.belief(0, x)
    tensors = [x, *belief, *process.backward(0, x), process.bridge(x), process.features(1, x), process.log_prior(x)]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}


def test_features_have_unit_deviation_under_the_reference(in_double_precision):
    """Bridges to draws of N(0, 2²): 20 000 of them, five standard errors of a deviation."""
    process = PinnedBrownian(5, scale=2.0)
    states = process.bridge(2.0 * torch.randn(20_000, 1))
    for k in range(1, 6):
        assert abs(float(process.features(k, states[k]).std()) - 1) < 5 / math.sqrt(2 * 20_000)
