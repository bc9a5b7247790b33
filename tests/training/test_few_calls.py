"""Where few calls fit, one untrained sampler is weighed once, and its paths are the verdict's."""

import math

import pytest
import torch

from amortized.policies import LangevinMLP
from amortized.processes import OrnsteinUhlenbeck
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.training.few_calls import LEAST, PATHS, weighed_once
from amortized.training.recipe import PAYING
from amortized.training.record import material_of


def weighed(shift: float, seconds: float, seconds_a_call: float = 5e-3):
    """The density exp(1) N(shift, I) in two dimensions, with exact draws."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.distributions.Normal(shift, 1.0)
    target = DensityTarget(lambda x: 1.0 + normal.log_prob(x).sum(-1), dim=2)
    white = WhitenedTarget(target, torch.zeros(2), torch.eye(2))
    ends = shift + torch.randn(1_024, 2, generator=generator)
    material = material_of(white, (ends, white.log_prob(ends).double()), 512)
    sampler = DiffusionSampler(OrnsteinUhlenbeck(steps=16), LangevinMLP(2))
    target.calls = 0
    return weighed_once(sampler, material, PAYING, seconds, seconds_a_call, generator), target


def test_an_even_reference_takes_one_call_a_path_and_gives_the_evidence():
    record, target = weighed(0.0, 60.0)
    assert target.calls == PATHS == len(record.fresh.ends)
    assert record.kept.process.steps == 64 and record.cut_short == ""
    weights = record.fresh.log_weights.exp()
    assert abs(float(weights.mean()) - math.e) < 5 * float(weights.std()) / math.sqrt(PATHS) + 1e-3


def test_an_uneven_one_says_that_there_was_no_time_to_train():
    record, _ = weighed(1.5, 60.0)
    assert record.cut_short.startswith("the training: no time to train at 5 ms a call")


@pytest.mark.parametrize(("seconds", "count"), [(0.0, LEAST), (8.0, 800), (1e3, PATHS)])
def test_the_time_decides_how_many_paths_are_weighed(seconds, count):
    record, _ = weighed(0.0, seconds)
    assert len(record.fresh.ends) == count


def test_paths_of_a_cheap_density_are_many_though_no_time_is_left():
    record, _ = weighed(0.0, 0.0, seconds_a_call=1e-5)
    assert len(record.fresh.ends) == PATHS
