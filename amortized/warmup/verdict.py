"""Whether to believe a warm-up: do independent estimates agree, and do importance weights confirm the draws?"""

from __future__ import annotations

import math

from amortized.estimate import Estimate
from amortized.mcmc import tempered_smc
from amortized.warmup.polish import Weighed

GOOD_FRACTION = 0.2


def _surpassed(runs: tuple[tempered_smc.Result, ...], weighed: Weighed) -> bool:
    """Whether many good importance weights found all the mass that the runs did: runs that lost modes find less."""
    found = weighed.evidence

    def above(run: Estimate) -> bool:
        return run.value > found.value + max(0.1, min(3 * math.hypot(run.std_error, found.std_error), 1.0))

    return weighed.fraction > GOOD_FRACTION and not any(above(run.log_evidence) for run in runs)


def verdict(narrow: tempered_smc.Result, wide: tempered_smc.Result, weighed: Weighed) -> tuple[bool, Estimate, str]:
    """Whether the checks agree, the log Z that they favour, and what they were, in plain words."""
    first, second = narrow.log_evidence, wide.log_evidence
    finished = narrow.finished and wide.finished
    gap, joint = abs(first.value - second.value), math.hypot(first.std_error, second.std_error)
    runs_agree = finished and gap < max(0.3, min(3 * joint, 1.0))
    surpassed = not runs_agree and _surpassed((narrow, wide), weighed)
    precision = [1 / max(run.std_error, 0.02) ** 2 for run in (first, second)]
    between = (precision[0] * first.value + precision[1] * second.value) / sum(precision)
    tempered = Estimate(between, sum(precision) ** -0.5) if runs_agree else max(first, second)
    tolerance = max(0.1, min(3 * math.hypot(tempered.std_error, weighed.evidence.std_error), 0.5))
    near = surpassed or abs(weighed.evidence.value - tempered.value) < tolerance
    tails_seen = weighed.shape < 0.7 and near
    draws_confirmed = weighed.moved < weighed.allowed
    covered = weighed.uncovered < 10
    disagreement = (
        " (one lost modes: importance weights find as much or more)"
        if surpassed
        else " (these disagree: modes or their weights may be wrong)"
    )
    said = [
        "" if finished else "the budget ended before the tempering did: raise max_calls or max_seconds",
        f"log Z tempered from the modes {first}, from a wide Gaussian {second}" + ("" if runs_agree else disagreement),
        f"by importance weights {weighed.evidence} with k-hat {weighed.shape:.2f} and effective fraction "
        f"{weighed.fraction:.0%}"
        + (
            ""
            if tails_seen
            else f" (k-hat should be below 0.7 and log Z within {tolerance:.2f} of {tempered.value:.2f})"
        ),
        f"these move a draws' quantile by {weighed.moved:.2f}"
        + ("" if draws_confirmed else f" (should be below {weighed.allowed:.2f}: the tails are not confirmed)"),
        ""
        if covered
        else f"the climbs met density {weighed.uncovered:.0f} nats above what the draws explain: a funnel's neck or a "
        "spike may hold mass (a non-centred parametrization often helps)",
        f"mode jumps accepted {weighed.accepted:.0%}; a mode that no start reached is invisible to these checks",
    ]
    evidence = weighed.evidence if tails_seen else tempered
    trustworthy = (runs_agree or surpassed) and tails_seen and draws_confirmed and covered
    return trustworthy, evidence, "; ".join(text for text in said if text)
