"""When the checks of a warm-up add up to trust."""

import math

import torch

from amortized.mcmc.state import State
from amortized.mcmc.tempered_smc import Result
from amortized.warmup.checks import conclude
from amortized.warmup.polish import WeightCheck
from amortized.warmup.rays import normal_rays
from amortized.warmup.screening import Screening
from amortized.weights import Estimate
from tests.known import isotropic

SEARCHED = Screening(isotropic(2), normal_rays, 60.0, None)
GOOD = WeightCheck(Estimate(5.0, 0.01), 0.3, 0.6, 0.01, 0.05, 0.7, -2.0)


def run(value, error=0.1):
    empty = State(torch.zeros(1, 1), torch.zeros(1), torch.zeros(1, 1))
    return Result(empty, Estimate(value, error), (0.0, 1.0), 10, 0.8, True)


UNFINISHED = run(math.nan, math.nan)._replace(finished=False)


def test_everything_agrees():
    assert conclude((run(5.05), run(4.95)), GOOD, SEARCHED)[0]


def test_runs_that_lost_modes_do_not_outvote_good_importance_weights():
    trusted, evidence, status = conclude((run(-3.0), run(4.9)), GOOD, SEARCHED)
    assert trusted and evidence == GOOD.log_evidence and "lost modes" in status


def test_a_run_that_found_more_mass_is_believed():
    trusted, evidence, status = conclude((run(8.0), run(5.0)), GOOD, SEARCHED)
    assert not trusted and evidence.value == 8.0 and "disagree" in status


def test_few_effective_weights_do_not_outvote_the_runs():
    assert not conclude((run(-3.0), run(4.9)), GOOD._replace(ess_fraction=0.05), SEARCHED)[0]


def test_each_failed_check_costs_the_trust_and_is_named():
    for change, word in (
        ({"k_hat": 0.9}, "k-hat should"),
        ({"quantile_shift": 0.2}, "tails are not confirmed"),
        ({"uncovered": 50.0}, "neck"),
    ):
        trusted, _, status = conclude((run(5.0), run(5.0)), GOOD._replace(**change), SEARCHED)
        assert not trusted and word in status


def test_an_unfinished_run_has_no_evidence_to_agree_with():
    """Good weights are believed without it, poor ones are not, and log Z is never that of a run that did not end."""
    trusted, evidence, status = conclude((UNFINISHED, UNFINISHED), GOOD, SEARCHED)
    assert trusted and evidence == GOOD.log_evidence
    assert status.count("not finished") == 2 and "0.000" not in status and "nan" not in status
    trusted, evidence, _ = conclude((UNFINISHED, UNFINISHED), GOOD._replace(ess_fraction=0.05), SEARCHED)
    assert not trusted and evidence == GOOD.log_evidence
    trusted, evidence, status = conclude((run(8.0), UNFINISHED), GOOD, SEARCHED)
    assert not trusted and evidence.value == 8.0 and "disagree" not in status
    assert conclude((UNFINISHED, run(-3.0)), GOOD, SEARCHED)[0]


def test_a_search_that_was_cut_costs_the_trust_and_a_shorter_one_is_reported():
    screening = Screening(isotropic(2), normal_rays, 60.0, None)
    screening.wanted, screening.looked = 1_048_576, 65_536
    trusted, _, status = conclude((run(5.0), run(5.0)), GOOD, screening)
    assert trusted and "looked for more modes at 65,536 of 1,048,576 points" in status
    screening.looked = 9
    trusted, _, status = conclude((run(5.0), run(5.0)), GOOD, screening)
    assert not trusted and "too little time: looked for more modes at 9 of" in status
