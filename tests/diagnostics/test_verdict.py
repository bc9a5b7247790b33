"""Planted failures are seen, good samplers are not slandered."""

import math

import pytest
import torch

from amortized.diagnostics.drift import Drift
from amortized.diagnostics.mode_search import ModeSearch
from amortized.diagnostics.remedies import in_python, only
from amortized.diagnostics.verdict import TRUSTWORTHY, UNTRUSTED, USABLE, Checks, Diagnosis, diagnose
from amortized.path import log_probs
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.mixture_reference import MixtureReference
from amortized.samplers import DiffusionSampler
from amortized.simulation import reverse_rollout
from amortized.targets.callable import DensityTarget
from amortized.weights import Estimate
from tests.known import gaussian, network, seeded

SEPARATION = 8.0


def two_modes(weight: float = 0.5) -> tuple[DensityTarget, torch.Tensor]:
    """``w N(0, 1) + (1 − w) N(8, 1)``, normalised, and exact draws of it."""
    centres, logs = torch.tensor([0.0, SEPARATION]), torch.tensor([weight, 1 - weight]).log()
    constant = 0.5 * math.log(2 * math.pi)
    target = DensityTarget(lambda x: (logs - 0.5 * (x - centres).square()).logsumexp(-1) - constant, 1)
    ends = torch.randn(4000, 1, generator=seeded(5))
    ends[torch.rand(4000, generator=seeded(6)) > weight] += SEPARATION
    return target, ends


def judged(
    target: DensityTarget,
    ends: torch.Tensor,
    reference: MixtureReference | None = None,
    evidence: Estimate = Estimate(0.0, 0.01),  # noqa: B008
    trusted: bool = True,
) -> Diagnosis:
    """An untrained sampler, which draws its reference, judged against draws of the target."""
    sampler = DiffusionSampler(OrnsteinUhlenbeck(32, reference=reference), network(1))
    _, fresh = sampler.sample(target, 4000, seeded())
    with torch.no_grad():
        log_target = target.log_prob(ends).double()
        noised = reverse_rollout(sampler.process, sampler.policy, target, ends, log_target, seeded(1))
        backward = log_probs(sampler.process, sampler.policy, noised).log_weight
    return diagnose(fresh, backward, evidence, trusted)


def test_a_good_sampler_is_trustworthy():
    found = judged(gaussian([0.1], [[0.9]]), 0.1 + 0.9**0.5 * torch.randn(4000, 1, generator=seeded(5)))
    assert found.verdict == TRUSTWORTHY
    assert found.elbo <= found.log_evidence.value <= found.eubo
    assert found.khat < 0.7 and found.ess_fraction > 0.9 and found.unseen == 0


def test_a_sampler_of_both_modes_is_trustworthy():
    both = MixtureReference(torch.tensor([0.5, 0.5]), torch.tensor([[0.0], [SEPARATION]]), torch.ones(2, 1, 1))
    target, ends = two_modes()
    assert judged(target, ends, both).verdict == TRUSTWORTHY


@pytest.mark.parametrize("weight", [0.5, 0.9])
@pytest.mark.parametrize("evidence", [0.0, None], ids=["true log Z", "the same wrong log Z"])
def test_a_sampler_of_one_mode_of_two_is_not(weight, evidence):
    """Its weights are perfect (ESS ≈ 1); what the warm-up knows of the other mode gives it away, log Z or draws."""
    target, ends = two_modes(weight)
    found = judged(target, ends, evidence=Estimate(math.log(weight) if evidence is None else evidence, 0.01))
    assert found.ess_fraction > 0.95
    assert found.unseen == pytest.approx(1 - weight, abs=0.02)
    assert found.verdict == UNTRUSTED
    assert "hardly goes" in found.advice and "Train longer" in found.advice and "50.0%" not in found.advice


def test_wrong_weights_of_the_modes_are_not_trusted_unresampled():
    """A mode of weight one half that gets one path in twenty: ESS 0.19, nothing unseen."""
    rare = MixtureReference(torch.tensor([0.95, 0.05]), torch.tensor([[0.0], [SEPARATION]]), torch.ones(2, 1, 1))
    target, ends = two_modes()
    assert judged(target, ends, rare).verdict == USABLE


@pytest.mark.parametrize("deviation", [3.0, 5.0])
def test_heavy_tails_are_not_trusted(deviation):
    """Target N(0, σ²) under a sampler of N(0, 1): the weights' tail index is 1 − 1/σ², 0.89 and 0.96."""
    ends = deviation * torch.randn(4000, 1, generator=seeded(5))
    found = judged(gaussian([0.0], [[deviation**2]]), ends)
    assert found.verdict == UNTRUSTED
    assert found.khat >= 0.7 and "very large weights decide" in found.advice


def normal_weights(deviation: float, count: int = 4000, seed: int = 0) -> torch.Tensor:
    """Log weights of mean weight 1."""
    return deviation * torch.randn(count, generator=seeded(seed), dtype=torch.float64) - deviation**2 / 2


def test_each_reason_is_named():
    good = normal_weights(0.3)
    assert diagnose(good, good, Estimate(0.0, 0.01), True).verdict == TRUSTWORTHY
    differing = diagnose(good, good, Estimate(2.0, 0.1), True)
    assert differing.verdict == UNTRUSTED and "og Z differs from the warm-up's log Z" in differing.advice
    assert "2.000 ± 0.100, should be within 0.50 of -0.0" in str(differing)
    few = diagnose(good[:50], good, Estimate(0.0, 0.01), True)
    assert few.verdict == UNTRUSTED and "Too few paths were weighed. Train longer: " in few.advice
    uneven = diagnose(torch.cat([good, torch.tensor([12.0]).double()]), good, None, True)
    assert uneven.verdict == UNTRUSTED and "few paths have almost all the weight" in uneven.advice
    unseen = torch.cat([good, torch.full((200,), 9.0)])
    found = diagnose(good, unseen, Estimate(0.0, 0.01), True)
    assert "lie where the sampler hardly goes" in found.advice and "4.8%, should be under 2%" in str(found)


def test_a_vague_warm_up_may_differ():
    good = normal_weights(0.3)
    assert diagnose(good, good, Estimate(2.0, 1.0), True).verdict == TRUSTWORTHY


def test_moderate_weights_and_doubtful_warm_ups_ask_for_resampling():
    spread, good = normal_weights(1.25), normal_weights(0.3)
    wide = diagnose(spread, spread, Estimate(0.0, 0.05), True)
    assert wide.verdict == USABLE and 0.02 < wide.ess_fraction < 0.3 and "resamples" in wide.advice
    doubtful = diagnose(good, good, Estimate(0.0, 0.05), False)
    assert doubtful.verdict == USABLE and "seed=1" in doubtful.advice


def test_weights_that_are_all_zero_are_not_trusted():
    none = torch.full((4000,), -torch.inf, dtype=torch.float64)
    assert diagnose(none, none, Estimate(0.0, 0.05), True).verdict == UNTRUSTED


def test_it_prints_as_a_short_table():
    good = normal_weights(0.3)
    lines = str(diagnose(good, good, Estimate(0.0, 0.01), True)).splitlines()
    assert lines[0].split() == ["verdict", "trustworthy"]
    assert [line[:16].strip() for line in lines[1:5]] == ["evidence", "log evidence", "ELBO … EUBO", "effective draws"]


def test_the_tail_of_even_weights_does_not_matter():
    """Weights ``1 + 0.001 (1 − u)⁻¹`` have tail index 1, yet the largest is 9 and the effective fraction over 0.95."""
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    log_weights = (1 + 0.001 / (1 - u)).log()
    found = diagnose(log_weights, torch.zeros(100), Estimate(0.0, 0.01), True)
    assert found.khat > 0.7 and found.ess_fraction > 0.95 and found.verdict == TRUSTWORTHY


def test_a_weight_that_is_not_a_number_is_not_trusted():
    log_weights = torch.zeros(4000, dtype=torch.float64)
    log_weights[7] = torch.nan
    assert diagnose(log_weights, torch.zeros(100), Estimate(0.0, 0.01), True).verdict == UNTRUSTED


def test_paths_that_end_outside_are_told():
    log_weights = torch.zeros(4000, dtype=torch.float64)
    log_weights[:200] = -torch.inf
    found = diagnose(log_weights, torch.zeros(100), Estimate(-0.05, 0.01), True)
    assert (
        found.verdict == USABLE and "end where the density is zero" in found.advice and "proper prior" in found.advice
    )
    assert "5.0%, should be under 0.5%" in str(found)


GOOD = normal_weights(0.3)
SEARCHED = ModeSearch(Estimate(0.0, 0.002), Estimate(0.0, 0.05))


def with_checks(**checks) -> Diagnosis:
    return diagnose(GOOD, GOOD, Estimate(0.0, 0.01), True, checks=Checks(**checks))


def test_checks_that_pass_change_nothing():
    found = with_checks(drift=Drift(3.0, "mu", 5), mode_search=SEARCHED, target_calls=1_234_567)
    assert found.verdict == TRUSTWORTHY
    text = str(found)
    assert "z +3.0 at most, of mu" in text and "0.0% of the mass unseen" in text and "1,234,567" in text


def test_a_check_that_was_left_out_says_so():
    text = str(with_checks(mode_search="not looked at: it would take 80 s; write guide.at().explore(seconds=160)"))
    assert "mode search      not looked at: it would take 80 s" in text and "drift" not in text


def test_a_drift_beyond_chance_is_not_trusted():
    found = with_checks(drift=Drift(-6.0, "tau²", 5))
    assert found.verdict == UNTRUSTED and "drift away in tau²" in found.advice and "correction='mcmc'" in found.advice


def test_mass_elsewhere_is_not_trusted_where_it_is_beyond_doubt():
    sure = with_checks(mode_search=ModeSearch(Estimate(0.3, 0.02), Estimate(0.4, 0.05)))
    assert sure.verdict == UNTRUSTED and "search found mass" in sure.advice and "seed=1" in sure.advice
    unsure = with_checks(mode_search=ModeSearch(Estimate(0.1, 0.05), Estimate(0.1, 0.3)))
    assert unsure.verdict == TRUSTWORTHY


def test_a_changed_model_comes_before_everything():
    found = with_checks(changed="the log density at one point was -1 and is -3", drift=Drift(-6.0, "tau", 5))
    assert found.verdict == UNTRUSTED
    assert found.advice == "The model has changed since the fit. Fit again: guide.fit(*args)."
    assert "the log density at one point was -1 and is -3" in str(found)


def test_bounds_that_do_not_meet_are_not_trusted():
    """Half of the reverse weights are far too large to enter the upper bound: log 2 above the lower one."""
    backward = GOOD.clone()
    backward[::2] = 4.9
    found = diagnose(GOOD, backward, Estimate(0.0, 0.01), True)
    assert found.unseen == 0 and found.verdict == UNTRUSTED and "do not meet" in found.advice


def test_a_draw_of_density_zero_is_no_draw_of_the_target():
    backward = GOOD.clone()
    backward[0] = -torch.inf
    found = diagnose(GOOD, backward, Estimate(0.0, 0.01), True)
    assert found.verdict == UNTRUSTED and "do not meet" not in found.advice
    assert (
        "has no upper bound" in found.advice
        and "1 draws, should be none" in str(found)
        and "Train longer" not in found.advice
    )
    assert "no upper bound" in str(found) and "(± nan)" not in str(found)


def test_lost_modes_are_the_advice_only_where_nothing_else_is_wrong():
    elsewhere = Checks(mode_search=ModeSearch(Estimate(0.3, 0.02), Estimate(0.4, 0.05)))
    found = diagnose(GOOD[:50], GOOD, Estimate(0.0, 0.01), True, checks=elsewhere)
    assert "search found mass" in found.advice and "Train longer" in found.advice and "seed=1" not in found.advice


def test_a_tail_alone_condemns_no_even_weights():
    """Weights ``1 + 0.0036 (1 − u)⁻¹`` have tail index 1, and 81 % are effective. A second failure brings it back."""
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    heavy = (1 + 0.0036 / (1 - u)).log() - 0.03
    alone = diagnose(heavy, torch.zeros(100), Estimate(0.0, 0.01), True)
    assert alone.khat > 0.7 and 0.75 < alone.ess_fraction < 0.9 and alone.verdict == TRUSTWORTHY
    assert diagnose(heavy, torch.zeros(100), Estimate(0.0, 0.01), False).verdict == USABLE  # the warm-up's own tail
    both = diagnose(heavy, torch.zeros(100), Estimate(1.0, 0.01), True)
    assert both.verdict == UNTRUSTED and "very large weights decide" in both.advice


def test_an_unexplained_optimum_decides_unless_even_weights_and_a_search_refute_it():
    nothing = ModeSearch(Estimate(0.0, 0.002), Estimate(0.0, 0.05))
    met = with_checks(uncovered=116.0, sites=2)
    assert met.verdict == UNTRUSTED and "non-centred" in met.advice and "116 nats" in str(met)
    alone = with_checks(uncovered=116.0, mode_search="not looked at")
    assert alone.verdict == UNTRUSTED and "non-centred" not in alone.advice
    assert with_checks(uncovered=116.0, mode_search=nothing).verdict == TRUSTWORTHY
    uneven = diagnose(
        normal_weights(0.8), GOOD, Estimate(0.0, 0.01), True, checks=Checks(mode_search=nothing, uncovered=116.0)
    )
    assert 0.5 < uneven.ess_fraction < 0.6 and uneven.verdict == UNTRUSTED
    assert with_checks(uncovered=9.0).verdict == TRUSTWORTHY and "optima" not in str(with_checks(uncovered=9.0))


def test_a_scale_that_drifts_is_a_funnels():
    found = with_checks(drift=Drift(-6.0, "tau²", 5), scales=("tau",))
    assert found.verdict == UNTRUSTED and "Write the model non-centred" in found.advice


def test_mass_beyond_the_draws_decides():
    """By more than two errors over 2 %, however even the weights are."""
    found = with_checks(beyond=Estimate(0.1, 0.01))
    assert found.verdict == UNTRUSTED and "goes on where the draws end" in found.advice
    assert "10.0% of the mass unseen, should be under 2%" in str(found)
    assert with_checks(beyond=Estimate(0.03, 0.01)).verdict == TRUSTWORTHY
    assert "too slow" in str(with_checks(beyond="too slow"))


def test_rounding_and_troubles_are_told():
    coarse = with_checks(rounding=0.4)
    assert coarse.verdict == USABLE and "torch.set_default_dtype(torch.float64)" in coarse.advice
    assert with_checks(rounding=3.0).verdict == UNTRUSTED and with_checks(rounding=0.01).verdict == TRUSTWORTHY
    assert "not compared" in str(with_checks(rounding="not compared: no model"))
    rare = with_checks(troubles=("7 of 9,000 densities were not finite",))
    assert rare.verdict == TRUSTWORTHY and "7 of 9,000" in str(rare)
    often = with_checks(troubles=("700 of 9,000 densities were not finite",), troubled=0.01)
    assert often.verdict == USABLE and "not a number" in often.advice


def test_advice_is_two_sentences_that_can_be_followed():
    """It names a seed that was not tried, and a training that goes past where this one was content."""
    bad = Checks(drift=Drift(-6.0, "tau²", 5), mode_search=ModeSearch(Estimate(0.3, 0.02), Estimate(0.4, 0.05)))
    remedies = in_python("DiffusionGuide", 3, 7, 60.0, 0.9)
    uneven = torch.cat([GOOD, torch.tensor([12.0]).double()])
    few = diagnose(uneven, GOOD, Estimate(9.0, 0.01), True, remedies=remedies, checks=bad)
    assert few.advice.startswith(
        "A few paths have almost all the weight; log Z differs from the warm-up's log Z; and 2 more, in the table. "
        "Train longer"
    )
    assert "seed=3, max_seconds=600, recipe=Recipe(steps=5_000, enough=0.97" in few.advice
    lost = diagnose(
        GOOD, GOOD, Estimate(0.0, 0.01), True, remedies=remedies, checks=Checks(mode_search=bad.mode_search)
    )
    assert "seed=7" in lost.advice
    assert "replace(TBGuide.default_recipe, steps" in in_python("TBGuide", 0, 1, 400.0, 0.98).train
    assert "max_seconds=800" in in_python("TBGuide", 0, 1, 400.0, 0.98).train


def test_a_remedy_replaces_the_advice():
    found = diagnose(GOOD[:50], GOOD, Estimate(0.0, 0.01), True, remedies=only("Refine it."))
    assert found.advice.endswith("Refine it.") and "Train longer" not in found.advice


def test_where_no_warm_up_was_there_is_no_row_of_it():
    found = diagnose(GOOD, GOOD, None, True)
    assert found.verdict == TRUSTWORTHY and "warm-up" not in str(found)
    assert "warm-up's log Z" in str(diagnose(GOOD, GOOD, Estimate(0.0, 0.01), True))


def test_the_name_of_the_last_release_warns():
    with pytest.deprecated_call(match="mode_search"):
        assert Checks(mode_search=SEARCHED).exploration is SEARCHED
