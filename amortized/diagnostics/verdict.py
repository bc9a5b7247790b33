"""An honest answer to "may I use these draws?", in numbers and in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from amortized._types import Tensor
from amortized.diagnostics.weights import effective_sample_fraction, log_evidence
from amortized.estimate import Estimate
from amortized.mcmc.resampling import pareto_shape

TRUSTWORTHY = "trustworthy"
USABLE = "usable after resampling"
UNTRUSTED = "not to be trusted"

EVEN = 0.9
"""Effective fraction from which the weights are so even that the shape of their tail does not matter."""

LARGE_WEIGHT = 5.0
"""Nats above log Z from which a draw of the target counts as unseen by the sampler."""

TRAIN_LONGER = (
    "Train longer, DiffusionGuide(model, max_seconds=600, recipe=Recipe(steps=5_000, patience=10)), "
    "or write the model in coordinates that are closer to independent."
)


@dataclass(frozen=True)
class Diagnosis:
    """What the weights of fresh paths, and of paths noised back from other draws of the target, say of a sampler.

    ``ess_fraction``: effective sample size over the number of paths. ``khat``: Pareto tail index of the weights.
    ``elbo`` ≤ log Z ≤ ``eubo`` in nats, the latter as good as the draws it comes from. ``unseen``: fraction of those
    draws whose weight is over e⁵ times the mean: places that the sampler hardly visits.
    """

    ess_fraction: float
    khat: float
    elbo: float
    eubo: float
    log_evidence: Estimate
    unseen: float
    verdict: str
    advice: str

    def __str__(self) -> str:
        rows = {
            "verdict": self.verdict,
            "log evidence": str(self.log_evidence),
            "ELBO … EUBO": f"{self.elbo:.3f} … {self.eubo:.3f}",
            "effective draws": f"{self.ess_fraction:.1%}",
            "Pareto k-hat": f"{self.khat:.2f}",
            "unseen draws": f"{self.unseen:.1%}",
            "advice": self.advice,
        }
        return "\n".join(f"{name:<16}{value}" for name, value in rows.items())


def diagnose(
    log_weights: Tensor,
    reverse_log_weights: Tensor,
    warm_up_evidence: Estimate,
    warm_up_trusted: bool,
    warm_up_status: str = "",
    remedy: str | None = None,
) -> Diagnosis:
    """Judge a sampler by the log weights of its fresh paths ``(N,)`` and of paths noised back from draws ``(M,)``.

    ``remedy``: the advice where it is not to be trusted.
    """
    evidence = log_evidence(log_weights)
    khat = pareto_shape(log_weights)
    fraction = effective_sample_fraction(log_weights)
    unseen = float((reverse_log_weights - evidence.value > LARGE_WEIGHT).double().mean())
    disagreement = abs(evidence.value - warm_up_evidence.value)
    allowed = max(0.5, 3 * (evidence.std_error**2 + warm_up_evidence.std_error**2) ** 0.5)
    reasons = []
    outside = float((log_weights == -torch.inf).double().mean())
    undefined = int(log_weights.isnan().sum()) + int(reverse_log_weights.isnan().sum())
    if undefined:
        reasons.append(f"{undefined} paths have a weight that is not a number")
    if not (khat < 0.7 or fraction >= EVEN):
        reasons.append(f"the weights have too heavy a tail (k-hat {khat:.2f}, should be below 0.7)")
    if not fraction * len(log_weights) >= 100:
        reasons.append(f"only {fraction * len(log_weights):.0f} of {len(log_weights)} paths count")
    if unseen > 0.02:
        reasons.append(f"{unseen:.0%} of the draws it was compared with lie where it hardly goes")
    if not disagreement <= allowed:
        reasons.append(f"log Z differs from the warm-up's ({evidence} against {warm_up_evidence})")
    if reasons:
        verdict = UNTRUSTED
        advice = f"{_sentence(reasons)} {remedy or TRAIN_LONGER}"
    elif fraction < 0.3 or not warm_up_trusted or outside > 0.005:
        verdict = USABLE
        advice = "Use sample(n), which resamples by the weights, and log_evidence(); do not use correction='none'."
        if outside > 0.005:
            advice += (
                f" {outside:.1%} of the paths end where the density is zero: as it should be under a hard constraint, "
                "otherwise the posterior may be improper; give every site a proper prior."
            )
        if not warm_up_trusted:
            advice += f" Compare DiffusionGuide(model, seed=1): the warm-up is not sure of itself ({warm_up_status})."
    else:
        verdict, advice = TRUSTWORTHY, "None needed. A mode that no start reached is invisible to every check here."
    return Diagnosis(
        ess_fraction=fraction,
        khat=khat,
        elbo=float(log_weights.mean()),
        eubo=float(reverse_log_weights.mean()),
        log_evidence=evidence,
        unseen=unseen,
        verdict=verdict,
        advice=advice,
    )


def _sentence(reasons: list[str]) -> str:
    text = "; ".join(reasons)
    return text[0].upper() + text[1:] + "."
