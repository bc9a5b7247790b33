"""The checks of a diagnosis: each function turns one figure into a ``Finding``, and is named after what it catches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from amortized._types import Tensor, renamed
from amortized.diagnostics.bracket import Bracket
from amortized.diagnostics.chain_check import FEWEST_DRAWS, JOINED, MIXED, ROUGH, ChainCheck
from amortized.diagnostics.drift import Drift
from amortized.diagnostics.finding import DRAWS, UNTRUSTED, USABLE, Finding
from amortized.diagnostics.mode_search import SHARE, ModeSearch, Unbounded
from amortized.diagnostics.remedies import (
    BARRIER,
    COORDINATES,
    FIT_AGAIN,
    FLOAT64,
    GENERIC,
    PROPER,
    RESAMPLE,
    WITHOUT_REPARAM,
    Remedies,
)
from amortized.weights import HEAVY_TAIL, Estimate

EVEN = 0.6
"""Effective fraction from which a heavy tail or an unexplained optimum alone is no failure.

At 65 to 87 % effective draws, sound fits have a k-hat over 0.7 in one of twenty runs. Funnels of 62 and 68 % were
right; a hierarchy of 57 % had lost 2 % of its mass in the neck.
"""

EVENEST = 0.9
"""Effective fraction from which the shape of the tail does not matter: the weights are almost equal."""

EXPLAINED = 10.0
"""Nats of density over what the draws explain; the warm-up has the same limit."""

FEWEST = 400
"""Effective paths that draws need, as many as those of chains. With 160 of 2,000 paths (100,000 rows, a fit that was
cut short) a 5 % quantile was 1.7 sd off."""

POOR = 0.3
"""Effective fraction below which the draws have to be resampled; a choice."""

OUTSIDE = 0.005
"""Share of the paths that may end where the density is zero or NaN: five of the thousand ends that are looked at."""

COARSE, USELESS = 0.1, 1.0
"""Nats of rounding error: 0.1 changes a weight by 10 %, and 1 by a factor of e."""

EVIDENCE_TOLERANCE, EVIDENCE_ERRORS = 0.5, 3
"""Nats, and standard errors, by which log Z may differ from the warm-up's: half a nat is a factor of 1.6 in Z."""


@dataclass(frozen=True)
class Checks:
    """What was looked at beyond the weights. None if a check was not made, or a text that says why.

    Args:
        changed: how the model differs from the one that was fitted.
        drift: how chains that start from the draws move.
        mode_search: what an independent search for modes found.
        beyond: the share of the mass beyond the draws.
        target_calls: evaluations of the density so far, by fit, draws and checks.
        uncovered: nats by which the warm-up's optima exceed the density that its draws explain.
        rounding: rounding error of the log density, in nats.
        troubles: what went wrong in evaluating the density, a sentence each.
        troubled: share of the paths' ends where the density or its gradient is NaN.
        scales: names of the coordinates that are positive numbers in the model.
        sites: number of latent sites.
        decentered: whether a site was made non-centred by ``LocScaleReparam``.
        cut_short: what the fit had too little time for.
        chains: the chains that the draws come from; None where they come from the sampler's paths.
    """

    changed: str | None = None
    drift: Drift | str | None = None
    mode_search: ModeSearch | Unbounded | str | None = None
    beyond: Estimate | str | None = None
    target_calls: int = 0
    uncovered: float = -math.inf
    rounding: float | str | None = None
    troubles: tuple[str, ...] = ()
    troubled: float = 0.0
    scales: tuple[str, ...] = ()
    sites: int = 1
    decentered: bool = False
    cut_short: str = ""
    chains: ChainCheck | None = None

    @property
    def exploration(self) -> ModeSearch | Unbounded | str | None:
        """Deprecated: ``mode_search``."""
        return renamed("checks.exploration", "mode_search", self.mode_search)


def changed_model(difference: str) -> Finding:
    return Finding("model", difference, "as it was", False, "the model has changed since the fit", FIT_AGAIN)


def undefined_weights(log_weights: Tensor, reverse_log_weights: Tensor) -> Finding:
    """NaN among the weights of on-policy paths ``(N,)`` or of backward paths ``(M,)``."""
    count = int(log_weights.isnan().sum()) + int(reverse_log_weights.isnan().sum())
    sentence = "some paths have a weight that is not a number"
    return Finding("undefined", f"{count} weights" if count else "", "none", not count, sentence, PROPER)


def unexplained_optimum(checks: Checks, fraction: float, remedies: Remedies = GENERIC) -> Finding:
    """An optimum of the warm-up whose density the draws do not explain, such as a funnel's neck.

    A neck that holds mass makes the weights uneven. So even weights refute it, if the mode search found nothing, or if
    chains from other optima have met the chains that give the draws.
    """
    search, chains = checks.mode_search, checks.chains
    searched = isinstance(search, ModeSearch) and search.unseen.value + 2 * search.unseen.std_error <= SHARE
    searched |= chains is not None and isinstance(chains.joined, float) and chains.joined < JOINED
    explained = checks.uncovered < EXPLAINED
    value = "" if explained else f"{checks.uncovered:.0f} nats above what the draws explain"
    passed = explained or (searched and fraction >= EVEN)
    sentence = "the density has a narrow peak, such as a funnel's neck, and the draws may miss its mass"
    # a funnel needs two sites: a scale, and what it scales; a model that is non-centred already needs another advice
    advice = WITHOUT_REPARAM if checks.decentered else remedies.funnel if checks.sites > 1 else COORDINATES
    if checks.cut_short:  # coordinates may not have been chosen, and draws not tempered to their end
        advice = f"Give the fit more time: {remedies.more_time}."
    return Finding("optima", value, f"under {EXPLAINED:.0f} nats", passed, sentence, advice)


def uneven_weights(fraction: float, count: int, remedies: Remedies) -> Finding:
    """The effective fraction of ``count`` paths; an uneven one, with its error, is no fault of log Z."""
    value = f"{fraction:.1%}"
    if not fraction * count >= FEWEST:
        limit = f"over {FEWEST} of {count:,} paths"
        few = fraction >= POOR
        sentence = "too few paths were weighed" if few else "a few paths have almost all the weight"
        return Finding("effective draws", value, limit, False, sentence, remedies.train)
    passed = fraction >= POOR
    sentence = "the weights of the draws differ too much"
    return Finding("effective draws", value, f"over {POOR:.0%}", passed, sentence, RESAMPLE, USABLE, DRAWS)


def heavy_tail(khat: float, fraction: float, others_pass: bool, remedies: Remedies) -> Finding:
    """The weights' tail index; it is no failure if the weights are even and all other checks pass."""
    passed = khat < HEAVY_TAIL or fraction >= EVENEST or (fraction >= EVEN and others_pass)
    sentence = "a few very large weights decide the result"
    return Finding("Pareto k-hat", f"{khat:.2f}", f"under {HEAVY_TAIL}", passed, sentence, remedies.train)


def no_upper_bound(reverse_log_weights: Tensor) -> Finding:
    """Comparison draws ``(M,)`` whose backward paths have weight zero: they are not draws of the target."""
    count = int((reverse_log_weights == -math.inf).sum())
    sentence = "log Z has no upper bound, because some comparison draws lie where the density is zero"
    return Finding("without density", f"{count} draws" if count else "", "none", not count, sentence, PROPER)


def open_bracket(found: Bracket, remedies: Remedies) -> Finding:
    passed = found.closes or not math.isfinite(found.upper.value)
    sentence = "the lower and the upper bound on log Z do not meet"
    return Finding("log Z bracket", str(found), "closed", passed, sentence, remedies.train)


def unseen_draws(share: float, remedies: Remedies) -> Finding:
    sentence = "some comparison draws lie where the sampler hardly goes"
    return Finding("unseen draws", f"{share:.1%}", f"under {SHARE:.0%}", not share > SHARE, sentence, remedies.train)


def other_evidence(own: Estimate, other: Estimate, remedies: Remedies) -> Finding:
    """log Z beside the warm-up's."""
    allowed = max(EVIDENCE_TOLERANCE, EVIDENCE_ERRORS * math.hypot(own.std_error, other.std_error))
    passed = abs(own.value - other.value) <= allowed
    limit, sentence = f"within {allowed:.2f} of {own.value:.3f}", "log Z differs from the warm-up's log Z"
    return Finding("warm-up's log Z", str(other), limit, passed, sentence, remedies.train)


def doubtful_warm_up(trusted: bool, status: str, remedies: Remedies) -> Finding:
    value = "" if trusted else status or "no reason given"
    return Finding("warm-up", value, "", trusted, "the warm-up could not confirm its result", remedies.compare, USABLE)


def cut_short(left_out: str, remedies: Remedies) -> Finding:
    """What time was too short for. It is no failure: the other checks judge what was done."""
    value = f"{left_out}; write {remedies.more_time}" if left_out else ""
    return Finding("cut short", value, "", True, "the fit had too little time", remedies.more_time)


def paths_outside(log_weights: Tensor) -> Finding:
    """The share of paths ``(N,)`` that end where the density is zero."""
    share = float((log_weights == -math.inf).double().mean())
    sentence = "some paths end where the density is zero"
    limit = f"under {OUTSIDE:.1%}"
    return Finding("paths outside", f"{share:.1%}" if share else "", limit, share <= OUTSIDE, sentence, BARRIER, USABLE)


def undefined_density(checks: Checks) -> Finding:
    """NaN among the density or its gradient: it fails where the draws are, and is only told where the search met it."""
    sentence = "the density or its gradient is not a number at the ends of some paths"
    passed = checks.troubled <= OUTSIDE
    share = f"at {checks.troubled:.2%} of the paths' ends" if checks.troubled else "at none of the paths' ends"
    met = "; ".join(checks.troubles)
    value = (f"{share}, too few to matter; the search met {met}" if passed else f"{met}; {share}") if met else ""
    return Finding("troubles", value, f"under {OUTSIDE:.1%}", passed, sentence, PROPER, USABLE)


def rounded_density(rounding: float | str | None) -> Finding:
    """Rounding error of the log density in nats, or why it was not measured."""
    if rounding is None or isinstance(rounding, str):
        return Finding("rounding", rounding or "", "", True, "", FLOAT64)
    sentence = "the rounding error of the log density is too large"
    leaves = UNTRUSTED if rounding > USELESS else USABLE
    value, limit = f"{rounding:.1g} nats", f"under {COARSE}"
    return Finding("rounding", value, limit, rounding <= COARSE, sentence, FLOAT64, leaves)


def drifting_chains(drift: Drift | str | None, scales: tuple[str, ...], remedies: Remedies) -> Finding:
    """Chains that leave the draws; a scale that drifts is a funnel's."""
    if not isinstance(drift, Drift):
        return Finding("drift of chains", drift or "", "", True, "", remedies.chains)
    sentence = f"chains that start from the draws drift away in {drift.name}"
    advice = remedies.funnel if drift.name.rstrip("²") in scales else remedies.chains
    return Finding("drift of chains", str(drift), "", drift.stays, sentence, advice)


def missed_modes(search: ModeSearch | Unbounded | str | None, remedies: Remedies) -> Finding:
    if isinstance(search, Unbounded):
        return Finding("mode search", search.message, "", False, "the posterior looks improper", PROPER)
    if not isinstance(search, ModeSearch):
        return Finding("mode search", search or "", "", True, "", remedies.another_seed)
    passed = not search.found_more
    sentence = "an independent search found mass where the sampler hardly goes"
    return Finding("mode search", str(search), f"under {SHARE:.0%}", passed, sentence, remedies.another_seed)


def mass_beyond(share: Estimate | str | None) -> Finding:
    """Mass beyond the draws; it fails if it is over 2 % by more than two of its standard errors."""
    if not isinstance(share, Estimate):
        return Finding("beyond draws", share or "", "", True, "", COORDINATES)
    sentence = "the posterior goes on where the draws end, for example along a curved valley"
    passed = share.value - 2 * share.std_error <= SHARE
    value = f"{share.value:.1%} of the mass unseen"
    return Finding("beyond draws", value, f"under {SHARE:.0%}", passed, sentence, COORDINATES)


def chain_findings(found: ChainCheck, remedies: Remedies) -> list[Finding]:
    """Whether chains agree with each other, are long enough, and meet chains from an independent search's optima."""
    joined = isinstance(found.joined, float)
    return [
        Finding(
            "R-hat of chains",
            f"{found.rhat:.3f}",
            f"under {MIXED}",
            found.rhat < MIXED,
            "the chains do not agree with each other",
            remedies.train,
            leaves=USABLE if found.rhat < ROUGH else UNTRUSTED,
            about=DRAWS,
        ),
        Finding(
            "ESS of chains",
            f"{found.ess:,.0f}",
            f"over {FEWEST_DRAWS}",
            found.ess > FEWEST_DRAWS,
            "the chains are too short",
            remedies.train,
            about=DRAWS,
        ),
        Finding(
            "other chains",
            f"R-hat {found.joined:.3f} with chains from other optima" if joined else str(found.joined),
            f"under {JOINED}",
            not joined or float(found.joined) < JOINED,
            "chains from another optimum stay apart from the draws",
            remedies.another_seed,
            about=DRAWS,
        ),
    ]
