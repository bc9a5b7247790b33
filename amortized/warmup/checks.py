"""Whether to believe a warm-up: do independent estimates agree, and do importance weights confirm the draws?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from amortized.mcmc import tempered_smc
from amortized.warmup.polish import Weighed
from amortized.weights import Estimate

GOOD_FRACTION = 0.2


def _surpassed(runs: Sequence[tempered_smc.Result], weighed: Weighed) -> bool:
    """Whether many good importance weights found all the mass that the runs did: runs that lost modes find less."""
    found = weighed.evidence

    def above(run: Estimate) -> bool:
        return run.value > found.value + max(0.1, min(3 * math.hypot(run.std_error, found.std_error), 1.0))

    return weighed.fraction > GOOD_FRACTION and not any(above(run.log_evidence) for run in runs)


def _between(first: Estimate, second: Estimate) -> Estimate:
    """Both estimates weighed by their precisions."""
    precision = [1 / max(run.std_error, 0.02) ** 2 for run in (first, second)]
    value = (precision[0] * first.value + precision[1] * second.value) / sum(precision)
    return Estimate(value, sum(precision) ** -0.5)


def _said(run: tempered_smc.Result) -> str:
    return str(run.log_evidence) if run.finished else "not finished"


def verdict(
    narrow: tempered_smc.Result, wide: tempered_smc.Result, weighed: Weighed, cut: bool = False, looked: str = ""
) -> tuple[bool, Estimate, str]:
    """Whether the checks agree, the log Z that they favour, and what they were, in plain words.

    A run that did not finish has no log Z: the weights are compared with the runs that did, if any. ``cut``: whether
    the search for more modes had too little time, so that one may be missing; ``looked``: a word on how far it got.
    """
    runs = [run for run in (narrow, wide) if run.finished]
    estimates = [run.log_evidence for run in runs]
    runs_agree = len(runs) == 2 and abs(estimates[0].value - estimates[1].value) < max(
        0.3, min(3 * math.hypot(estimates[0].std_error, estimates[1].std_error), 1.0)
    )
    surpassed = not runs_agree and _surpassed(runs, weighed)
    tempered = _between(*estimates) if runs_agree else max(estimates, default=weighed.evidence)
    tolerance = max(0.1, min(3 * math.hypot(tempered.std_error, weighed.evidence.std_error), 0.5))
    near = surpassed or (bool(runs) and abs(weighed.evidence.value - tempered.value) < tolerance)
    tails_seen = weighed.shape < 0.7 and near
    draws_confirmed = weighed.moved < weighed.allowed
    disagreement = (
        " (one lost modes: importance weights find as much or more)"
        if surpassed
        else " (these disagree: modes or their weights may be wrong)"
    )
    wanted = f" and log Z within {tolerance:.2f} of {tempered.value:.2f}" if runs else ""
    said = [
        "" if len(runs) == 2 else "the budget ended before the tempering did: raise max_calls or max_seconds",
        f"log Z tempered from the modes {_said(narrow)}, from a wide Gaussian {_said(wide)}"
        + (disagreement if len(runs) == 2 and not runs_agree else ""),
        f"by importance weights {weighed.evidence} with k-hat {weighed.shape:.2f} and effective fraction "
        f"{weighed.fraction:.0%}" + ("" if tails_seen else f" (k-hat should be below 0.7{wanted})"),
        f"these move a draws' quantile by {weighed.moved:.2f}"
        + ("" if draws_confirmed else f" (should be below {weighed.allowed:.2f}: the tails are not confirmed)"),
        ""
        if weighed.covered
        else f"the climbs met density {weighed.uncovered:.0f} nats above what the draws explain: a funnel's neck or a "
        "spike may hold mass (a non-centred parametrization often helps)",
        looked,
        f"mode jumps accepted {weighed.accepted:.0%}; a mode that no start reached is invisible to these checks",
    ]
    evidence = weighed.evidence if tails_seen else tempered
    trustworthy = (runs_agree or surpassed) and tails_seen and draws_confirmed and weighed.covered and not cut
    return trustworthy, evidence, "; ".join(text for text in said if text)
