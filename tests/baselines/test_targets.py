"""What a baseline takes: a target, or a model with its arguments."""

import pytest
import torch

from amortized.baselines.targets import as_target
from tests.baselines import known


def test_a_target_stays_what_it_is():
    target = known.skewed_mixture()
    assert as_target(target) is target


def test_a_model_is_called_with_its_arguments():
    target = as_target(known.conjugate, (known.CONJUGATE_DATA,), {"scale": 2.0})
    x = torch.tensor([[0.3]])
    prior = torch.distributions.Normal(0.0, 2.0).log_prob(x[:, 0])
    likelihood = torch.distributions.Normal(x, 2.0).log_prob(known.CONJUGATE_DATA).sum(-1)
    assert torch.allclose(target.log_prob(x), prior + likelihood)


def test_arguments_beside_a_target_are_refused():
    with pytest.raises(ValueError, match="2 and 1 given beside a Target.*leave them out"):
        as_target(known.skewed_mixture(), (1, 2), {"scale": 1.0})


def test_what_is_no_model_is_named():
    with pytest.raises(TypeError, match=r"tensor\(1.\) is neither a Target nor a Pyro model"):
        as_target(torch.tensor(1.0))  # type: ignore[arg-type]
