"""An honest answer to "may I use these draws?", in numbers and in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from amortized._types import Tensor
from amortized.diagnostics.bracket import Bracket, bracket
from amortized.diagnostics.drift import Drift
from amortized.diagnostics.exploration import LARGE_WEIGHT, SHARE, Exploration
from amortized.diagnostics.weights import effective_sample_fraction
from amortized.estimate import Estimate
from amortized.mcmc.resampling import pareto_shape

TRUSTWORTHY, USABLE, UNTRUSTED = "trustworthy", "usable after resampling", "not to be trusted"

EVEN = 0.9
"""Effective fraction from which the weights are so even that the shape of their tail does not matter."""

TRAIN_LONGER = (
    "Train longer, DiffusionGuide(model, max_seconds=600, recipe=Recipe(steps=5_000, patience=10)), "
    "or write the model in coordinates that are closer to independent."
)
FIT_AGAIN = "Write guide.fit(*args) again."
ANOTHER_SEED = "Modes were lost: fit DiffusionGuide(model, seed=1), and keep what has the larger log evidence."
MOVE = "Use sample(n, correction='mcmc'), and train longer: DiffusionGuide(model, max_seconds=600)."
PROPER = "Look at the model's log density at extreme values; give every site a proper prior."
INVISIBLE = "A mode that no start reached is invisible to every check here."


@dataclass(frozen=True)
class Checks:
    """What was checked beyond the weights; ``None`` or a word on why not.

    ``changed``: how the model differs from the one that was fitted. ``drift``: of chains started from the draws;
    ``exploration``: an independent search; ``target_calls``: density calls so far, of fit, draws and checks.
    """

    changed: str | None = None
    drift: Drift | str | None = None
    exploration: Exploration | str | None = None
    target_calls: int = 0


@dataclass(frozen=True)
class Diagnosis:
    """What the weights of fresh paths, and of paths noised back from other draws of the target, say of a sampler.

    ``ess_fraction``: effective sample size over the number of paths. ``khat``: Pareto tail index of the weights.
    ``elbo`` ≤ log Z ≤ ``eubo`` in nats, the latter as good as the draws it comes from; ``bracket``: both with their
    errors, and two tighter bounds. ``unseen``: fraction of those draws whose weight is over e⁵ times the mean: places
    that the sampler hardly visits. ``checks``: what was looked at beyond the weights.
    """

    ess_fraction: float
    khat: float
    elbo: float
    eubo: float
    log_evidence: Estimate
    unseen: float
    verdict: str
    advice: str
    bracket: Bracket | None = None
    checks: Checks = Checks()

    def __str__(self) -> str:
        found, checks = self.bracket, self.checks
        bounds = (self.elbo, self.eubo) if found is None else (found.elbo, found.eubo)
        rows = {
            "verdict": self.verdict,
            "log evidence": str(self.log_evidence),
            "ELBO … EUBO": " … ".join(f"{x:.3f}" if isinstance(x, float) else str(x) for x in bounds),
            "effective draws": f"{self.ess_fraction:.1%}",
            "Pareto k-hat": f"{self.khat:.2f}",
            "log Z bracket": str(found),
            "unseen draws": f"{self.unseen:.1%}",
            "drift of chains": str(checks.drift),
            "exploration": str(checks.exploration),
            "target calls": f"{checks.target_calls:,}",
            "advice": self.advice,
        }
        return "\n".join(f"{name:<17}{value}" for name, value in rows.items() if value not in ("None", "0"))


def diagnose(
    log_weights: Tensor,
    reverse_log_weights: Tensor,
    warm_up_evidence: Estimate,
    warm_up_trusted: bool,
    warm_up_status: str = "",
    remedy: str | None = None,
    checks: Checks = Checks(),  # noqa: B008
) -> Diagnosis:
    """Judge a sampler by the log weights of its fresh paths ``(N,)`` and of paths noised back from draws ``(M,)``.

    ``remedy``: the advice where it is not to be trusted. ``checks``: what else is known.
    """
    found = bracket(log_weights, reverse_log_weights)
    evidence = found.lower
    khat = pareto_shape(log_weights)
    fraction = effective_sample_fraction(log_weights)
    unseen = float((reverse_log_weights - evidence.value > LARGE_WEIGHT).double().mean())
    outside = float((log_weights == -torch.inf).double().mean())
    reasons = [
        *_of_weights(log_weights, reverse_log_weights, khat, fraction),
        *_of_bounds(found, unseen, warm_up_evidence),
        *_of_checks(checks, evidence),
    ]
    if checks.changed:
        reasons = [(f"the model has changed since the fit: {checks.changed}", FIT_AGAIN)]
    if reasons:
        verdict, advice = UNTRUSTED, _advice(reasons, None if checks.changed else remedy)
    elif fraction < 0.3 or not warm_up_trusted or outside > 0.005:
        verdict, advice = USABLE, _caution(outside, "" if warm_up_trusted else warm_up_status or "no reason given")
    else:
        verdict, advice = TRUSTWORTHY, f"None needed. {INVISIBLE}"
    return Diagnosis(
        ess_fraction=fraction,
        khat=khat,
        elbo=found.elbo.value,
        eubo=found.eubo.value,
        log_evidence=evidence,
        unseen=unseen,
        verdict=verdict,
        advice=advice,
        bracket=found,
        checks=checks,
    )


Reasons = list[tuple[str, str]]
"""Why not to trust a sampler, each with what to do."""


def _of_weights(log_weights: Tensor, reverse_log_weights: Tensor, khat: float, fraction: float) -> Reasons:
    reasons = []
    undefined = int(log_weights.isnan().sum()) + int(reverse_log_weights.isnan().sum())
    if undefined:
        reasons.append((f"{undefined} paths have a weight that is not a number", PROPER))
    outside = int((reverse_log_weights == -torch.inf).sum())
    if outside:
        said = f"no upper bound on log Z: {outside} of the draws it was compared with lie where the density is zero"
        reasons.append((said, PROPER))
    if not (khat < 0.7 or fraction >= EVEN):
        reasons.append((f"the weights have too heavy a tail (k-hat {khat:.2f}, should be below 0.7)", TRAIN_LONGER))
    if not fraction * len(log_weights) >= 100:
        count = fraction * len(log_weights)
        reasons.append((f"only {count:.0f} of {len(log_weights)} paths count", TRAIN_LONGER))
    return reasons


def _of_bounds(found: Bracket, unseen: float, warm_up_evidence: Estimate) -> Reasons:
    reasons, evidence = [], found.lower
    if unseen > SHARE:
        reasons.append((f"{unseen:.0%} of the draws it was compared with lie where it hardly goes", TRAIN_LONGER))
    allowed = max(0.5, 3 * (evidence.std_error**2 + warm_up_evidence.std_error**2) ** 0.5)
    if not abs(evidence.value - warm_up_evidence.value) <= allowed:
        reasons.append((f"log Z differs from the warm-up's ({evidence} against {warm_up_evidence})", TRAIN_LONGER))
    if not found.closes and math.isfinite(found.upper.value):
        reasons.append((f"the bounds on log Z do not meet ({found})", TRAIN_LONGER))
    return reasons


def _of_checks(checks: Checks, evidence: Estimate) -> Reasons:
    reasons, drift, found = [], checks.drift, checks.exploration
    if isinstance(drift, Drift) and not drift.stays:
        said = f"chains started from its draws drift off (z {drift.z:+.1f} of {drift.name}, chance {drift.allowed:.1f})"
        reasons.append((said, MOVE))
    if isinstance(found, Exploration) and found.found_more:
        said = f"an independent search found {found.unseen.value:.0%} of the mass where it hardly goes"
        reasons.append((f"{said} (log Z {found.log_evidence} against {evidence})", ANOTHER_SEED))
    return reasons


def _advice(reasons: Reasons, remedy: str | None) -> str:
    """The reasons in one sentence, then what to do, each said once; that modes were lost only of a sampler that is
    sound where it goes."""
    text = "; ".join(reason for reason, _ in reasons)
    todo = dict.fromkeys(advice for _, advice in reasons)
    if len(todo) > 1:
        todo.pop(ANOTHER_SEED, None)
    return " ".join([text[0].upper() + text[1:] + ".", *([remedy] if remedy else todo)])


def _caution(outside: float, doubt: str) -> str:
    advice = "Use sample(n), which resamples by the weights, and log_evidence(); do not use correction='none'."
    if outside > 0.005:
        advice += (
            f" {outside:.1%} of the paths end where the density is zero: as it should be under a hard constraint, "
            "otherwise the posterior may be improper; give every site a proper prior."
        )
    if doubt:
        advice += f" Compare DiffusionGuide(model, seed=1): the warm-up is not sure of itself ({doubt})."
    return advice
