"""When the checks of a warm-up add up to trust."""

import math

import torch

from amortized.mcmc.state import State
from amortized.mcmc.tempered_smc import Result
from amortized.warmup.checks import verdict
from amortized.warmup.polish import Weighed
from amortized.weights import Estimate

GOOD = Weighed(Estimate(5.0, 0.01), 0.3, 0.6, 0.01, 0.05, 0.7, -2.0)


def run(value, error=0.1):
    empty = State(torch.zeros(1, 1), torch.zeros(1), torch.zeros(1, 1))
    return Result(empty, Estimate(value, error), (0.0, 1.0), 10, 0.8, True)


UNFINISHED = run(math.nan, math.nan)._replace(finished=False)


def test_everything_agrees():
    assert verdict(run(5.05), run(4.95), GOOD)[0]


def test_runs_that_lost_modes_do_not_outvote_good_importance_weights():
    trusted, evidence, status = verdict(run(-3.0), run(4.9), GOOD)
    assert trusted and evidence == GOOD.evidence and "lost modes" in status


def test_a_run_that_found_more_mass_is_believed():
    trusted, evidence, status = verdict(run(8.0), run(5.0), GOOD)
    assert not trusted and evidence.value == 8.0 and "disagree" in status


def test_few_effective_weights_do_not_outvote_the_runs():
    assert not verdict(run(-3.0), run(4.9), GOOD._replace(fraction=0.05))[0]


def test_each_failed_check_costs_the_trust_and_is_named():
    for change, word in (
        ({"shape": 0.9}, "k-hat should"),
        ({"moved": 0.2}, "tails are not confirmed"),
        ({"uncovered": 50.0}, "neck"),
    ):
        trusted, _, status = verdict(run(5.0), run(5.0), GOOD._replace(**change))
        assert not trusted and word in status


def test_an_unfinished_run_has_no_evidence_to_agree_with():
    """Good weights are believed without it, poor ones are not, and log Z is never that of a run that did not end."""
    trusted, evidence, status = verdict(UNFINISHED, UNFINISHED, GOOD)
    assert trusted and evidence == GOOD.evidence
    assert status.count("not finished") == 2 and "0.000" not in status and "nan" not in status
    trusted, evidence, _ = verdict(UNFINISHED, UNFINISHED, GOOD._replace(fraction=0.05))
    assert not trusted and evidence == GOOD.evidence
    trusted, evidence, status = verdict(run(8.0), UNFINISHED, GOOD)
    assert not trusted and evidence.value == 8.0 and "disagree" not in status
    assert verdict(UNFINISHED, run(-3.0), GOOD)[0]


def test_a_search_that_was_cut_costs_the_trust_and_a_shorter_one_is_told():
    short, cut = "looked for more modes at 65,536 of 1,048,576 points", "too little time: looked at 9"
    trusted, _, status = verdict(run(5.0), run(5.0), GOOD, False, short)
    assert trusted and short in status
    trusted, _, status = verdict(run(5.0), run(5.0), GOOD, True, cut)
    assert not trusted and cut in status
