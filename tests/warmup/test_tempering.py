"""What tempered runs leave behind."""

import math

import torch

from amortized.estimate import Estimate
from amortized.mcmc.mixture import GaussianMixture
from amortized.mcmc.state import State
from amortized.mcmc.tempered_smc import Result
from amortized.targets.density import DensityTarget
from amortized.warmup.tempering import Search
from tests.known import seeded


def run(place: float, value: float, finished: bool) -> Result:
    state = State(torch.full((100, 1), place), torch.zeros(100), torch.zeros(100, 1))
    return Result(state, Estimate(value, 0.1), (0.0, 1.0), 10, 0.8, finished)


def search(*runs: Result) -> Search:
    one = torch.ones(1, 1, dtype=torch.float64)
    target = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=1)
    made = Search(target, GaussianMixture(one[0], 0 * one, one[None]), 0 * one[0], one, seeded(), lambda: False)
    made.runs += runs
    return made


def test_finished_runs_share_by_their_evidence_and_others_have_no_say():
    x = search(run(1.0, 0.0, True), run(2.0, math.log(3), True), run(3.0, math.nan, False)).pool(400).x
    assert [int((x == place).sum()) for place in (1, 2, 3)] == [100, 300, 0]


def test_unfinished_runs_have_equal_shares():
    x = search(run(1.0, math.nan, False), run(2.0, math.nan, False)).pool(400).x
    assert [int((x == place).sum()) for place in (1, 2)] == [200, 200]
