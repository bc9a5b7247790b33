"""Each check of a diagnosis alone: the figure at which it passes, and the one at which it does not."""

import math
from dataclasses import replace

import pytest
import torch

from amortized.diagnostics import rows
from amortized.diagnostics.bracket import bracket
from amortized.diagnostics.chain_check import ChainCheck
from amortized.diagnostics.drift import Drift
from amortized.diagnostics.finding import UNTRUSTED, USABLE, Finding
from amortized.diagnostics.mode_search import ModeSearch, Unbounded
from amortized.diagnostics.remedies import GENERIC, NON_CENTRED, PROPER, WITHOUT_REPARAM
from amortized.diagnostics.rows import Checks
from amortized.weights import Estimate

NONE = torch.zeros(1_000, dtype=torch.float64)


def some(value: float, count: int = 1) -> torch.Tensor:
    """A thousand log weights, so many of them ``value`` and the others 0."""
    return torch.cat([torch.full((count,), value, dtype=torch.float64), NONE[count:]])


def searched(unseen: float, error: float = 0.001) -> ModeSearch:
    return ModeSearch(Estimate(unseen, error), Estimate(0.0, 0.1))


def met(nats: float, found: ModeSearch | str | None) -> Checks:
    return Checks(uncovered=nats, mode_search=found)


def joined(rhat: float) -> Checks:
    return Checks(uncovered=11.0, chains=ChainCheck(64, 100, 1.01, 2_000.0, rhat))


CASES = {
    "undefined, forward": (rows.undefined_weights(NONE, NONE), rows.undefined_weights(some(math.nan), NONE)),
    "undefined, reverse": (rows.undefined_weights(NONE, NONE), rows.undefined_weights(NONE, some(math.nan))),
    "optimum": (rows.unexplained_optimum(met(9.0, None), 0.5), rows.unexplained_optimum(met(11.0, None), 0.99)),
    "optimum, searched": (
        rows.unexplained_optimum(met(11.0, searched(0.0)), 0.8),
        rows.unexplained_optimum(met(11.0, searched(0.1)), 0.8),
    ),
    "optimum, other chains": (
        rows.unexplained_optimum(joined(1.09), 0.8),
        rows.unexplained_optimum(joined(1.11), 0.8),
    ),
    "optimum, uneven": (
        rows.unexplained_optimum(met(11.0, searched(0.0)), 0.61),
        rows.unexplained_optimum(met(11.0, searched(0.0)), 0.59),
    ),
    "effective, few": (rows.uneven_weights(0.5, 801, GENERIC), rows.uneven_weights(0.5, 799, GENERIC)),
    "tail": (rows.heavy_tail(0.69, 0.5, True, GENERIC), rows.heavy_tail(0.71, 0.5, True, GENERIC)),
    "tail, even": (rows.heavy_tail(2.0, 0.91, False, GENERIC), rows.heavy_tail(2.0, 0.89, False, GENERIC)),
    "tail, others": (rows.heavy_tail(2.0, 0.61, True, GENERIC), rows.heavy_tail(2.0, 0.61, False, GENERIC)),
    "upper bound": (rows.no_upper_bound(NONE), rows.no_upper_bound(some(-math.inf))),
    "gap": (
        rows.open_bracket(bracket(NONE, NONE + 0.1), GENERIC),
        rows.open_bracket(bracket(NONE, NONE + 0.3), GENERIC),
    ),
    "unseen": (rows.unseen_draws(0.019, GENERIC), rows.unseen_draws(0.021, GENERIC)),
    "evidence": (
        rows.other_evidence(Estimate(0.0, 0.1), Estimate(0.49, 0.1), GENERIC),
        rows.other_evidence(Estimate(0.0, 0.1), Estimate(0.51, 0.1), GENERIC),
    ),
    "evidence, vague": (
        rows.other_evidence(Estimate(0.0, 0.3), Estimate(1.4, 0.4), GENERIC),
        rows.other_evidence(Estimate(0.0, 0.3), Estimate(1.6, 0.4), GENERIC),
    ),
    "drift": (
        rows.drifting_chains(Drift(3.0, "mu", 5), (), GENERIC),
        rows.drifting_chains(Drift(-6.0, "mu", 5), (), GENERIC),
    ),
    "beyond": (rows.mass_beyond(Estimate(0.1, 0.05)), rows.mass_beyond(Estimate(0.1, 0.03))),
    "search": (rows.missed_modes(searched(0.1, 0.05), GENERIC), rows.missed_modes(searched(0.1, 0.03), GENERIC)),
    "rounding, useless": (rows.rounded_density(0.1), rows.rounded_density(1.1)),
}
USABLE_CASES = {
    "effective": (rows.uneven_weights(0.31, 4_000, GENERIC), rows.uneven_weights(0.29, 4_000, GENERIC)),
    "warm-up": (rows.doubtful_warm_up(True, "", GENERIC), rows.doubtful_warm_up(False, "the runs differ", GENERIC)),
    "outside": (rows.paths_outside(some(-math.inf, 5)), rows.paths_outside(some(-math.inf, 6))),
    "troubles": (
        rows.undefined_density(Checks(troubled=0.005)),
        rows.undefined_density(Checks(troubles=("NaN",), troubled=0.006)),
    ),
    "rounding": (rows.rounded_density(0.1), rows.rounded_density(0.11)),
}


@pytest.mark.parametrize(("good", "bad"), CASES.values(), ids=CASES)
def test_what_makes_draws_useless(good: Finding, bad: Finding):
    assert good.passed and not bad.passed and bad.leaves == UNTRUSTED


@pytest.mark.parametrize(("good", "bad"), USABLE_CASES.values(), ids=USABLE_CASES)
def test_what_resampling_mends(good: Finding, bad: Finding):
    assert good.passed and not bad.passed and bad.leaves == USABLE


def test_a_changed_model_passes_nothing():
    found = rows.changed_model("the data are others")
    assert not found.passed and found.leaves == UNTRUSTED and found.value == "the data are others"


def test_without_an_upper_bound_there_is_no_gap_to_close():
    assert rows.open_bracket(bracket(NONE, some(-math.inf)), GENERIC).passed


@pytest.mark.parametrize("word", [None, "not looked at: it would take 80 s"])
def test_what_was_not_looked_at_passes_and_says_so(word):
    for found in (
        rows.drifting_chains(word, (), GENERIC),
        rows.missed_modes(word, GENERIC),
        rows.mass_beyond(word),
        rows.rounded_density(word),
    ):
        assert found.passed and found.value == (word or "")


def test_the_advice_follows_what_drifts_and_how_many_sites_there_are():
    off = Drift(-6.0, "tau²", 5)
    assert (
        rows.drifting_chains(off, ("tau",), GENERIC).advice
        == NON_CENTRED
        != rows.drifting_chains(off, ("mu",), GENERIC).advice
    )
    hierarchy, single = Checks(uncovered=20.0, sites=2), Checks(uncovered=20.0)
    assert (
        rows.unexplained_optimum(hierarchy, 0.5).advice == NON_CENTRED != rows.unexplained_optimum(single, 0.5).advice
    )
    already = Checks(uncovered=20.0, sites=2, decentered=True)
    assert rows.unexplained_optimum(already, 0.5).advice == WITHOUT_REPARAM


def test_an_improper_posterior_is_not_trusted():
    found = rows.missed_modes(Unbounded("the log density climbs to 1e+13 and on"), GENERIC)
    assert not found.passed and found.leaves == UNTRUSTED and found.advice == PROPER
    assert "climbs to 1e+13" in found.value


def test_a_fit_that_was_cut_short_is_given_more_time_before_other_coordinates():
    cut = Checks(uncovered=11.0, sites=2, cut_short="the tempering of the warm-up")
    assert "non-centred" in rows.unexplained_optimum(replace(cut, cut_short=""), 0.5).advice
    assert rows.unexplained_optimum(cut, 0.5).advice == f"Give the fit more time: {GENERIC.more_time}."
