"""Whether to trust a warm-up: do independent estimates agree, and do importance weights confirm the draws?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from amortized.mcmc import tempered_smc
from amortized.mcmc.many_chains import Chains
from amortized.warmup.polish import TAILS_SEEN, WeightCheck
from amortized.warmup.screening import Screening
from amortized.weights import Estimate

GOOD_FRACTION = 0.2
"""ESS fraction from which importance weights may overrule the tempered runs."""

SMALLEST_STD_ERROR = 0.02
"""Nats, the least std error of a run in a mean of both. Each run estimates its own roughly: none may count alone."""

RUNS_AGREE = 0.3, 1.0
"""Two runs agree if their log Z differ by less than three std errors of the difference. That limit is never below the
first number of nats, nor above the second. At a difference of one nat a run has missed 63 % of the mass."""

WEIGHTS_AGREE = 0.1, 0.5
"""The same limits in nats for a run and the importance weights. Weights are more precise."""

WEIGHTS_SURPASS = 0.1, 1.0
"""The same limits in nats where a run finds more mass than the importance weights: beyond, the weights missed some."""

UNSEEN = "a mode that no start reached is invisible to these checks"
"""Part of every status: no check of draws sees what no draw and no run has met."""


class Conclusion(NamedTuple):
    """Whether the draws can be trusted, the log Z to believe in nats, and what was checked, in plain words."""

    trustworthy: bool
    log_evidence: Estimate
    status: str


def _tolerance(first: Estimate, second: Estimate, bounds: tuple[float, float]) -> float:
    """Three std errors of a difference, between bounds in nats."""
    least, most = bounds
    return max(least, min(3 * math.hypot(first.std_error, second.std_error), most))


def _agree(first: Estimate, second: Estimate, bounds: tuple[float, float]) -> bool:
    return abs(first.value - second.value) < _tolerance(first, second, bounds)


def _surpassed(estimates: Sequence[Estimate], check: WeightCheck) -> bool:
    """Whether many good importance weights found all the mass that the runs found: runs that lost modes find less."""
    found = check.log_evidence
    missed = [run for run in estimates if run.value > found.value + _tolerance(run, found, WEIGHTS_SURPASS)]
    return check.ess_fraction > GOOD_FRACTION and not missed


def _mean(first: Estimate, second: Estimate) -> Estimate:
    """The mean of both estimates, weighted by their precisions."""
    precision = [1 / max(run.std_error, SMALLEST_STD_ERROR) ** 2 for run in (first, second)]
    value = (precision[0] * first.value + precision[1] * second.value) / sum(precision)
    return Estimate(value, sum(precision) ** -0.5)


def _tempering_in_words(runs: Sequence[tempered_smc.Result], agree: bool, surpassed: bool) -> str:
    """What both runs say of log Z, and what it means where they do not agree."""
    narrow, wide = (str(run.log_evidence) if run.finished else "not finished" for run in runs)
    text = f"tempering gives log Z {narrow} from the modes, {wide} from a wide Gaussian"
    if agree:
        return text
    if surpassed:
        return f"{text} (one lost modes: importance weights find as much or more)"
    return f"{text} (these disagree: modes or their weights may be wrong)"


def _weights_in_words(check: WeightCheck, tails_seen: bool, wanted: str = "") -> list[str]:
    """What the importance weights say, and what they should say where they do not."""
    tails = "" if tails_seen else f" (k-hat should be below {TAILS_SEEN}{wanted})"
    shift = "" if check.confirms_draws else f" (should be below {check.allowed_shift:.2f}: the tails are not confirmed)"
    return [
        f"importance weights give log Z {check.log_evidence} with k-hat {check.k_hat:.2f} and effective fraction "
        f"{check.ess_fraction:.0%}{tails}",
        f"they shift a quantile of the draws by {check.quantile_shift:.2f}{shift}",
        ""
        if check.covered
        else f"optimisation met density {check.uncovered:.0f} nats above what the draws explain: a funnel's neck or a "
        "spike may hold mass (a non-centred parametrization often helps)",
    ]


def conclude(
    runs: tuple[tempered_smc.Result, tempered_smc.Result], check: WeightCheck, screening: Screening
) -> Conclusion:
    """Compares two tempered runs with each other and with importance weights.

    A run that did not finish has no log Z. The weights are then compared with the run that did, if any.

    Args:
        runs: from the known modes, and from a wide Gaussian.
        check: what importance weights say of the draws.
        screening: the search for more modes; where it had too little time, a mode may be missing.
    """
    estimates, weighed = [run.log_evidence for run in runs if run.finished], check.log_evidence
    both = len(estimates) == 2
    runs_agree = both and _agree(estimates[0], estimates[1], RUNS_AGREE)
    surpassed = not runs_agree and _surpassed(estimates, check)
    tempered = _mean(*estimates) if runs_agree else max(estimates, default=weighed)
    near = surpassed or (bool(estimates) and _agree(weighed, tempered, WEIGHTS_AGREE))
    tails_seen = check.k_hat < TAILS_SEEN and near
    tolerance = _tolerance(tempered, weighed, WEIGHTS_AGREE)
    wanted = f" and log Z within {tolerance:.2f} of {tempered.value:.2f}" if estimates else ""
    parts = [
        "" if both else "the budget ended before the tempering did: raise max_calls or max_seconds",
        _tempering_in_words(runs, runs_agree or not both, surpassed),
        *_weights_in_words(check, tails_seen, wanted),
        str(screening),
        f"{check.acceptance_rate:.0%} of the last jumps were accepted",
        UNSEEN,
    ]
    confirmed = (runs_agree or surpassed) and tails_seen and check.confirms_draws and check.covered
    return Conclusion(
        confirmed and not screening.cut, weighed if tails_seen else tempered, "; ".join(filter(None, parts))
    )


def conclude_from_weights(check: WeightCheck) -> Conclusion:
    """Believes importance weights alone, where there are too many dimensions for tempering."""
    tails_seen = check.k_hat < TAILS_SEEN
    status = "; ".join(filter(None, [*_weights_in_words(check, tails_seen), UNSEEN]))
    return Conclusion(tails_seen and check.confirms_draws and check.covered, check.log_evidence, status)


def conclude_from_chains(chains: Chains, check: WeightCheck, screening: Screening | None) -> Conclusion:
    """Chains give the draws, importance weights the evidence; both are trusted if the chains converged and all agrees.

    Args:
        chains: whose draws are taken.
        check: what the weights of a law that was fitted to their draws say.
        screening: the search for more modes; None where there was none.
    """
    tails_seen = check.k_hat < TAILS_SEEN
    parts = [chains.status, *_weights_in_words(check, tails_seen), "" if screening is None else str(screening), UNSEEN]
    searched = screening is None or not screening.cut
    confirmed = chains.converged and tails_seen and check.confirms_draws and check.covered and searched
    return Conclusion(confirmed, check.log_evidence, "; ".join(filter(None, parts)))
