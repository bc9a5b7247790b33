"""The answer to "may I use these draws?", in numbers and in plain words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from amortized._types import Tensor
from amortized.diagnostics import finding, rows
from amortized.diagnostics.bracket import Bracket, bracket
from amortized.diagnostics.finding import DRAWS, EVIDENCE, TRUSTWORTHY, UNTRUSTED, USABLE, VERDICTS, Finding, about
from amortized.diagnostics.mode_search import LARGE_WEIGHT
from amortized.diagnostics.remedies import GENERIC, Remedies
from amortized.diagnostics.rows import Checks
from amortized.display import html
from amortized.display.text import cut
from amortized.weights import Estimate, effective_sample_fraction, pareto_shape

__all__ = ["TRUSTWORTHY", "UNTRUSTED", "USABLE", "VERDICTS", "Checks", "Diagnosis", "diagnose"]


@dataclass(frozen=True)
class Diagnosis:
    """What the weights of a sampler's paths, and the other checks, say of the draws and of log Z.

    There are two verdicts. Draws of chains can be right where the weights are too uneven for log Z. Both verdicts, and
    their advice, are functions of ``findings``; nothing else decides.

    Args:
        ess_fraction: effective sample size over the number of on-policy paths.
        khat: Pareto tail index of their weights.
        bracket: the bounds on log Z.
        unseen: share of the comparison draws whose weight is over e⁵ times the mean. The sampler hardly goes there.
        findings: the result of every check that was made.
        checks: what was looked at beyond the weights.
    """

    ess_fraction: float
    khat: float
    bracket: Bracket
    unseen: float
    findings: tuple[Finding, ...] = ()
    checks: Checks = Checks()

    @property
    def log_evidence(self) -> Estimate:
        """log Z in nats, from on-policy paths."""
        return self.bracket.lower

    @property
    def elbo(self) -> float:
        """``E_q[log w]`` ≤ log Z, in nats."""
        return self.bracket.elbo.value

    @property
    def eubo(self) -> float:
        """``E_p[log w]`` ≥ log Z, in nats; as good as the comparison draws."""
        return self.bracket.eubo.value

    @property
    def source(self) -> str:
        """Where the draws come from that the verdict is about: ``"paths"`` of the sampler, or ``"chains"``."""
        return "paths" if self.checks.chains is None else "chains"

    @property
    def verdict(self) -> str:
        """On the draws: "trustworthy", "usable after resampling" or "not to be trusted"."""
        return finding.verdict(about(self.findings, DRAWS))

    @property
    def evidence_verdict(self) -> str:
        """On the log evidence, in the words of ``verdict``."""
        return finding.verdict(about(self.findings, EVIDENCE))

    @property
    def advice(self) -> str:
        """What decided about the draws, and what to type. The numbers are in the table, ``str(diagnosis)``."""
        return finding.advice(about(self.findings, DRAWS))

    @property
    def evidence_advice(self) -> str:
        """What decided about the log evidence, and what to type."""
        return finding.advice(about(self.findings, EVIDENCE))

    @property
    def evidence_text(self) -> str:
        """The verdict on the log evidence, with its own advice where that is not the draws'."""
        own = self.evidence_advice != self.advice and self.evidence_verdict != TRUSTWORTHY
        return f"{self.evidence_verdict}. {self.evidence_advice}" if own else self.evidence_verdict

    def table(self) -> dict[str, str]:
        """Every row between verdict and advice, as printed."""
        texts = {
            "draws from": "" if self.checks.chains is None else str(self.checks.chains),
            "evidence": self.evidence_text,
            "log evidence": str(self.log_evidence),
            "ELBO … EUBO": f"{self.bracket.elbo} … {self.bracket.eubo}",
            **{row.name: str(row) for row in self.findings if row.value},
            "target calls": f"{self.checks.target_calls:,}" if self.checks.target_calls else "",
        }
        return {name: text for name, text in texts.items() if text}

    def __str__(self) -> str:
        texts = {"verdict": self.verdict, **self.table(), "advice": self.advice}
        return "\n".join(f"{name:<17}{text}" for name, text in texts.items())

    def __repr__(self) -> str:
        return cut(str(self))

    def _repr_html_(self) -> str:
        title, tone = self.verdict.capitalize(), finding.TONES[self.verdict]
        return html.card(title, html.paragraph(self.advice), html.facts(self.table()), tone=tone)


def diagnose(
    log_weights: Tensor,
    reverse_log_weights: Tensor,
    warm_up_evidence: Estimate | None,
    warm_up_trusted: bool,
    warm_up_status: str = "",
    remedies: Remedies = GENERIC,
    checks: Checks = Checks(),  # noqa: B008
) -> Diagnosis:
    """Judge a sampler by the log weights of its paths and by what else was looked at.

    Args:
        log_weights: ``(N,)``, of on-policy paths, in nats.
        reverse_log_weights: ``(M,)``, of backward paths from comparison draws, in nats.
        warm_up_evidence: log Z by the warm-up; None if it has none.
        warm_up_trusted: whether the warm-up confirmed its result.
        warm_up_status: why it did not.
        remedies: what to type if a check fails.
        checks: what was looked at beyond the weights.
    """
    found = bracket(log_weights, reverse_log_weights)
    khat, fraction = pareto_shape(log_weights), effective_sample_fraction(log_weights)
    unseen = float((reverse_log_weights - found.lower.value > LARGE_WEIGHT).double().mean())
    if checks.changed:
        return Diagnosis(fraction, khat, found, unseen, (rows.changed_model(checks.changed),), checks)
    of_paths = [
        rows.undefined_weights(log_weights, reverse_log_weights),
        rows.unexplained_optimum(checks, fraction, remedies),
        rows.uneven_weights(fraction, len(log_weights), remedies),
        rows.no_upper_bound(reverse_log_weights),
        rows.open_bracket(found, remedies),
        rows.unseen_draws(unseen, remedies),
        *([] if warm_up_evidence is None else [rows.other_evidence(found.lower, warm_up_evidence, remedies)]),
        rows.doubtful_warm_up(warm_up_trusted, warm_up_status, remedies),
        rows.cut_short(checks.cut_short, remedies),
        rows.paths_outside(log_weights),
        rows.drifting_chains(checks.drift, checks.scales, remedies),
        rows.missed_modes(checks.mode_search, remedies),
        rows.mass_beyond(checks.beyond),
    ]
    of_density = [rows.undefined_density(checks), rows.rounded_density(checks.rounding)]
    others_pass = all(row.passed or row.leaves != UNTRUSTED for row in [*of_paths, *of_density])
    of_paths.insert(3, rows.heavy_tail(khat, fraction, others_pass, remedies))
    of_chains: list[Finding] = []
    if checks.chains is not None:
        of_paths = [replace(row, about=EVIDENCE) for row in of_paths]
        of_chains = rows.chain_findings(checks.chains, remedies)
    return Diagnosis(fraction, khat, found, unseen, (*of_chains, *of_paths, *of_density), checks)
