"""Particles of several tempered runs are pooled by what each found of Z; unfinished ones only if there is no other."""

import math

import pytest
import torch

from amortized.mcmc import tempered_smc
from amortized.mcmc.state import State
from amortized.mixtures.gaussian import GaussianMixture
from amortized.warmup.tempering import Tempering, wide_gaussian
from amortized.weights import Estimate
from tests.known import isotropic, seeded

MODES = GaussianMixture(
    torch.tensor([0.9, 0.1]).double(), torch.tensor([[-3.0], [3.0]]).double(), torch.tensor([[[1.0]], [[2.0]]]).double()
)


def run_at(place: float, log_z: float, finished: bool = True) -> tempered_smc.Result:
    x = torch.full((100, 1), place, dtype=torch.float64)
    return tempered_smc.Result(State(x, x[:, 0], 0 * x), Estimate(log_z, 0.0), (0.0, 1.0), 100, 0.8, finished)


def pooled(*runs: tempered_smc.Result) -> torch.Tensor:
    zero, one = torch.zeros(1).double(), torch.eye(1).double()
    tempering = Tempering(isotropic(1), MODES, zero, one, seeded(), lambda: False)
    tempering.runs = list(runs)
    state = tempering.pool(400)
    assert torch.equal(state.log_prob, state.x[:, 0])
    return state.x[:, 0]


@pytest.mark.parametrize(("finished", "share"), [(True, 0.75), (False, 0.0)])
def test_runs_are_pooled_by_their_z(finished, share):
    """Systematic resampling: to one draw of 400."""
    drawn = pooled(run_at(1.0, math.log(3), finished), run_at(2.0, 0.0))
    assert abs(int((drawn == 1.0).sum()) - 400 * share) <= 1


def test_unfinished_runs_are_better_than_none_and_have_equal_shares():
    assert (pooled(run_at(1.0, math.nan, False)) == 1.0).all()
    drawn = pooled(run_at(1.0, math.nan, False), run_at(2.0, math.nan, False))
    assert int((drawn == 1.0).sum()) == 200


def test_a_wide_gaussian_weighs_all_modes_alike():
    """Mean 0; variance (1 + 4) / 2 + 9, times the square of the scale."""
    wide = wide_gaussian(MODES, 2.0)
    assert wide.means.tolist() == [[0.0]]
    assert float(wide.scale_trils) == pytest.approx(2 * 11.5**0.5)
