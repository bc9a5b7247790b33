"""An honest answer to "may I use these draws?", in numbers and in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from amortized._types import Tensor
from amortized.diagnostics import finding, rows
from amortized.diagnostics.bracket import Bracket, bracket
from amortized.diagnostics.finding import TRUSTWORTHY, UNTRUSTED, USABLE, VERDICTS, Finding
from amortized.diagnostics.mode_search import LARGE_WEIGHT
from amortized.diagnostics.remedies import GENERIC, Remedies
from amortized.diagnostics.rows import Checks
from amortized.weights import Estimate, effective_sample_fraction, pareto_shape

__all__ = ["TRUSTWORTHY", "UNTRUSTED", "USABLE", "VERDICTS", "Checks", "Diagnosis", "diagnose"]


@dataclass(frozen=True)
class Diagnosis:
    """What the weights of fresh paths, and of paths noised back from other draws of the target, say of a sampler.

    ``ess_fraction``: effective sample size over the number of paths. ``khat``: Pareto tail index of the weights.
    ``elbo`` ≤ log Z ≤ ``eubo`` in nats, the latter as good as the draws it comes from; ``bracket``: both with their
    errors, and two tighter bounds. ``unseen``: fraction of those draws whose weight is over e⁵ times the mean: places
    that the sampler hardly visits. ``findings``: every check that was made, of which verdict and advice are functions;
    ``checks``: what was looked at beyond the weights.
    """

    ess_fraction: float
    khat: float
    elbo: float
    eubo: float
    log_evidence: Estimate
    unseen: float
    findings: tuple[Finding, ...] = ()
    bracket: Bracket | None = None
    checks: Checks = Checks()

    @property
    def verdict(self) -> str:
        """ "trustworthy", "usable after resampling" or "not to be trusted"."""
        return finding.verdict(self.findings)

    @property
    def advice(self) -> str:
        """What decided, and what to type: two sentences. The numbers stand in the table, ``str(diagnosis)``."""
        return finding.advice(self.findings)

    def __str__(self) -> str:
        found = self.bracket
        bounds = (self.elbo, self.eubo) if found is None else (found.elbo, found.eubo)
        rows = {
            "verdict": self.verdict,
            "log evidence": str(self.log_evidence),
            "ELBO … EUBO": " … ".join(f"{x:.3f}" if isinstance(x, float) else str(x) for x in bounds),
            **{row.name: str(row) for row in self.findings if row.value},
            "target calls": f"{self.checks.target_calls:,}" if self.checks.target_calls else "",
            "advice": self.advice,
        }
        return "\n".join(f"{name:<17}{value}" for name, value in rows.items() if value)


def diagnose(
    log_weights: Tensor,
    reverse_log_weights: Tensor,
    warm_up_evidence: Estimate | None,
    warm_up_trusted: bool,
    warm_up_status: str = "",
    remedies: Remedies = GENERIC,
    checks: Checks = Checks(),  # noqa: B008
) -> Diagnosis:
    """Judge a sampler by the log weights of its fresh paths ``(N,)`` and of paths noised back from draws ``(M,)``.

    ``warm_up_evidence``: None where there was no warm-up to agree with. ``remedies``: what to type where a check fails.
    ``checks``: what else is known.
    """
    found = bracket(log_weights, reverse_log_weights)
    khat, fraction = pareto_shape(log_weights), effective_sample_fraction(log_weights)
    unseen = float((reverse_log_weights - found.lower.value > LARGE_WEIGHT).double().mean())
    if checks.changed:
        findings = [rows.changed(checks.changed)]
    else:
        findings = [
            rows.undefined(log_weights, reverse_log_weights),
            rows.climbs(checks, fraction),
            rows.effective(fraction, len(log_weights), remedies),
            rows.upper_bound(reverse_log_weights),
            rows.gap(found, remedies),
            rows.unseen(unseen, remedies),
            *([rows.same_evidence(found.lower, warm_up_evidence, remedies)] if warm_up_evidence is not None else []),
            rows.warm_up(warm_up_trusted, warm_up_status, remedies),
            rows.outside(log_weights),
            rows.troubles(checks),
            rows.rounding(checks.rounding),
            rows.drift(checks.drift, checks.scales, remedies),
            rows.search(checks.exploration, remedies),
            rows.beyond(checks.beyond),
        ]
        others = all(row.passed or row.leaves != UNTRUSTED for row in findings)
        findings.insert(3, rows.tail(khat, fraction, others, remedies))
    return Diagnosis(
        ess_fraction=fraction,
        khat=khat,
        elbo=found.elbo.value,
        eubo=found.eubo.value,
        log_evidence=found.lower,
        unseen=unseen,
        findings=tuple(findings),
        bracket=found,
        checks=checks,
    )
