"""The checks of a diagnosis: each is a function of a figure that says whether it is good, and what follows if not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from amortized._types import Tensor
from amortized.diagnostics.bracket import Bracket
from amortized.diagnostics.drift import Drift
from amortized.diagnostics.finding import UNTRUSTED, USABLE, Finding
from amortized.diagnostics.mode_search import SHARE, Exploration, Unbounded
from amortized.diagnostics.remedies import (
    BARRIER,
    COORDINATES,
    FIT_AGAIN,
    FLOAT64,
    NON_CENTRED,
    PROPER,
    RESAMPLE,
    Remedies,
)
from amortized.weights import Estimate

EVEN = 0.6
"""Effective fraction from which the tail of the weights, or density that climbs met, decides nothing alone. At 65 to
87 % effective draws sound fits have a k-hat over .7 in one of twenty runs; funnels of 62 and 68 % were right, and a
hierarchy of 57 % had lost 2 % of its mass in the neck."""

EVENEST = 0.9
"""Effective fraction from which the weights are so even that the shape of their tail does not matter at all."""

COVERED = 10.0
"""Nats, the warm-up's own limit."""

FEWEST = 100
"""Paths that have to count."""

HEAVY = 0.7
"""Tail index from which the weights' mean is not to be relied on (Vehtari et al., arXiv 1507.02646)."""

POOR = 0.3
"""Effective fraction below which draws have to be resampled."""

OUTSIDE = 0.005
"""Share of the paths that may end where there is no density, or none that can be followed."""

COARSE, USELESS = 0.1, 1.0
"""Nats of rounding from which a density is said to be coarse, and from which it decides which draws are kept."""


@dataclass(frozen=True)
class Checks:
    """What was checked beyond the weights; ``None`` or a word on why not.

    ``changed``: how the model differs from the one that was fitted. ``drift``: of chains started from the draws;
    ``exploration``: an independent search; ``beyond``: the share of the mass beyond the ends of the draws;
    ``target_calls``: density calls so far, of fit, draws and checks. ``uncovered``: nats by which the warm-up's climbs
    met more density than its draws explain. ``rounding``: of the log density, in nats. ``troubles``: what went wrong in
    evaluating it; ``troubled``: at which share of the paths' ends.
    ``scales``: names of coordinates that are positive numbers in the model; ``sites``: how many latent sites it has.
    """

    changed: str | None = None
    drift: Drift | str | None = None
    exploration: Exploration | Unbounded | str | None = None
    beyond: Estimate | str | None = None
    target_calls: int = 0
    uncovered: float = -math.inf
    rounding: float | str | None = None
    troubles: tuple[str, ...] = ()
    troubled: float = 0.0
    scales: tuple[str, ...] = ()
    sites: int = 1


def changed(how: str) -> Finding:
    return Finding("model", how, "as it was", False, "the model has changed since the fit", FIT_AGAIN)


def undefined(log_weights: Tensor, reverse_log_weights: Tensor) -> Finding:
    """Weights that are not a number, of fresh paths ``(N,)`` or of paths noised back ``(M,)``."""
    count = int(log_weights.isnan().sum()) + int(reverse_log_weights.isnan().sum())
    said = "some paths have a weight that is not a number"
    return Finding("undefined", f"{count} weights" if count else "", "none", not count, said, PROPER)


def climbs(checks: Checks, fraction: float) -> Finding:
    """Density that the warm-up's climbs met and its draws do not explain.

    A neck that holds mass makes the weights uneven where it is entered. So even weights refute it, if an independent
    search from the same tops found no mass that the sampler does not see.
    """
    found = checks.exploration
    searched = isinstance(found, Exploration) and found.unseen.value + 2 * found.unseen.std_error <= SHARE
    covered = checks.uncovered < COVERED
    value = "" if covered else f"met density {checks.uncovered:.0f} nats above what the draws explain"
    passed = covered or (searched and fraction >= EVEN)
    said = "a narrow place of high density, such as a funnel's neck, may hold mass that the draws miss"
    # a funnel takes a site for the scale and one for what it scales
    todo = NON_CENTRED if checks.sites > 1 else COORDINATES
    return Finding("climbs", value, f"under {COVERED:.0f}", passed, said, todo)


def effective(fraction: float, count: int, remedies: Remedies) -> Finding:
    """The effective fraction of ``count`` paths."""
    value = f"{fraction:.1%}"
    if not fraction * count >= FEWEST:
        limit = f"over {FEWEST} of {count:,} paths"
        return Finding("effective draws", value, limit, False, "too few paths count", remedies.train)
    passed = fraction >= POOR
    return Finding("effective draws", value, f"over {POOR:.0%}", passed, "weights are uneven", RESAMPLE, USABLE)


def tail(khat: float, fraction: float, others: bool, remedies: Remedies) -> Finding:
    """The weights' tail index, which decides nothing alone where weights are even and all ``others`` agree."""
    passed = khat < HEAVY or fraction >= EVENEST or (fraction >= EVEN and others)
    value, said = f"{khat:.2f}", "the weights have too heavy a tail"
    return Finding("Pareto k-hat", value, f"under {HEAVY}", passed, said, remedies.train)


def upper_bound(reverse_log_weights: Tensor) -> Finding:
    """Draws of the target ``(M,)`` on whose paths the weight is zero: they are no draws of it."""
    count = int((reverse_log_weights == -math.inf).sum())
    said = "there is no upper bound on log Z: draws to compare with lie where the density is zero"
    return Finding("without density", f"{count} draws" if count else "", "none", not count, said, PROPER)


def gap(found: Bracket, remedies: Remedies) -> Finding:
    passed = found.closes or not math.isfinite(found.upper.value)
    said = "the bounds on log Z do not meet"
    return Finding("log Z bracket", str(found), "closed", passed, said, remedies.train)


def unseen(share: float, remedies: Remedies) -> Finding:
    said = "draws to compare with lie where the sampler hardly goes"
    return Finding("unseen draws", f"{share:.1%}", f"under {SHARE:.0%}", not share > SHARE, said, remedies.train)


def same_evidence(own: Estimate, other: Estimate, remedies: Remedies) -> Finding:
    """log Z beside the warm-up's; the same where there was no warm-up."""
    allowed = max(0.5, 3 * math.hypot(own.std_error, other.std_error))
    passed = abs(own.value - other.value) <= allowed
    said = "log Z differs from the warm-up's"
    return Finding(
        "warm-up's log Z", str(other), f"within {allowed:.2f} of {own.value:.3f}", passed, said, remedies.train
    )


def warm_up(trusted: bool, status: str, remedies: Remedies) -> Finding:
    value = "" if trusted else status or "no reason given"
    return Finding("warm-up", value, "", trusted, "the warm-up is not sure of itself", remedies.compare, USABLE)


def outside(log_weights: Tensor) -> Finding:
    """The share of paths ``(N,)`` that end where the density is zero."""
    share = float((log_weights == -math.inf).double().mean())
    said = "some paths end where the density is zero"
    limit = f"under {OUTSIDE:.1%}"
    return Finding("paths outside", f"{share:.1%}" if share else "", limit, share <= OUTSIDE, said, BARRIER, USABLE)


def troubles(checks: Checks) -> Finding:
    said = "the density or its gradient is not a number at the ends of some paths"
    value = "; ".join(checks.troubles) + (f"; at {checks.troubled:.1%} of the paths' ends" if checks.troubles else "")
    passed = checks.troubled <= OUTSIDE
    return Finding("troubles", value, f"under {OUTSIDE:.1%}", passed, said, PROPER, USABLE)


def rounding(found: float | str | None) -> Finding:
    """Rounding of the log density, in nats; a word where it was not measured."""
    if found is None or isinstance(found, str):
        return Finding("rounding", found or "", "", True, "", FLOAT64)
    said = "the density is rounded too coarsely"
    leaves = UNTRUSTED if found > USELESS else USABLE
    value, limit = f"{found:.1g} nats", f"under {COARSE}"
    return Finding("rounding", value, limit, found <= COARSE, said, FLOAT64, leaves)


def drift(found: Drift | str | None, scales: tuple[str, ...], remedies: Remedies) -> Finding:
    """Chains that leave the draws; where a scale does it is a funnel's."""
    if not isinstance(found, Drift):
        return Finding("drift of chains", found or "", "", True, "", remedies.chains)
    said = f"chains started from the draws drift off in {found.name}"
    todo = NON_CENTRED if found.name.rstrip("²") in scales else remedies.chains
    return Finding("drift of chains", str(found), "", found.stays, said, todo)


def beyond(found: Estimate | str | None) -> Finding:
    """Mass beyond the ends of the draws, over what is allowed by more than two of its standard errors."""
    if not isinstance(found, Estimate):
        return Finding("beyond draws", found or "", "", True, "", COORDINATES)
    said = "the posterior goes on where the draws end, as along a bent valley"
    passed = found.value - 2 * found.std_error <= SHARE
    value = f"{found.value:.1%} of the mass unseen"
    return Finding("beyond draws", value, f"under {SHARE:.0%}", passed, said, COORDINATES)


def search(found: Exploration | Unbounded | str | None, remedies: Remedies) -> Finding:
    if isinstance(found, Unbounded):
        return Finding("exploration", found.said, "", False, "the posterior looks improper", PROPER)
    if not isinstance(found, Exploration):
        return Finding("exploration", found or "", "", True, "", remedies.another_seed)
    said = "an independent search found mass where the sampler hardly goes"
    return Finding("exploration", str(found), f"under {SHARE:.0%}", not found.found_more, said, remedies.another_seed)
