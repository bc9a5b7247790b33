"""Independent fits of one guide as the chains of one record: R-hat then compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from amortized.diagnostics.verdict import VERDICTS
from amortized.results.counts import NUM_SAMPLES, check_count
from amortized.results.draws import Draws
from amortized.results.posterior import Posterior
from amortized.weights import Estimate, log_mean_exp


def record_of(
    posteriors: Sequence[Posterior],
    seconds: float,
    num_samples: int | None = None,
    correction: str = "best",
    after: Sequence[Draws] = (),
) -> tuple[Draws, Posterior]:
    """Draws of independent fits, equally many of each, and the posterior that is trusted least.

    Args:
        posteriors: One of each fit.
        seconds: What all fits took.
        num_samples: How many draws in all. None: 4,000, or as many below as can be shared.
        correction: As in ``Posterior.sample``.
        after: Draws of other methods, whose calls of the first posterior's density are not the fits' own.

    Raises:
        ValueError: So many draws cannot be shared.
    """
    fits = len(posteriors)
    if num_samples is None:
        num_samples = NUM_SAMPLES - NUM_SAMPLES % fits
    check_count(num_samples)
    if num_samples % fits:
        even = fits * (num_samples // fits + 1)
        raise ValueError(f"num_samples={num_samples} for {fits} replicas: write num_samples={even}")
    each = [posterior.draws(num_samples // fits, correction) for posterior in posteriors]
    draws = as_chains(each) if fits > 1 else each[0]
    worst = max(zip(each, posteriors, strict=True), key=lambda judged: distrust(judged[0]))[1]
    calls = draws.target_calls - sum(found.target_calls for found in after if found.target is draws.target)
    return replace(draws, seconds=seconds, target_calls=calls), worst


def distrust(draws: Draws) -> int:
    """The rank of the verdict on the draws, 0 for the best; -1 if they have none."""
    return VERDICTS.index(str(draws.attributes["verdict"])) if "verdict" in draws.attributes else -1


def as_chains(replicas: Sequence[Draws]) -> Draws:
    """Draws of independent fits as the chains of one record.

    ``Z = mean Z_r``, with the error of independent estimates. The verdict and its figures are the worst's, all other
    attributes the first's.

    Args:
        replicas: Equally many draws of each fit.

    >>> one = Draws({"x": torch.zeros(3)}, "guide", seconds=1.0)
    >>> both = as_chains([one, one])
    >>> len(both), both.chains, both.seconds
    (6, 2, 2.0)
    """
    first = replicas[0]
    joined = {name: torch.cat([one.sites[name] for one in replicas]) for name in first.sites}
    states = [one.states for one in replicas if one.states is not None]
    weights = [one.log_weights for one in replicas if one.log_weights is not None]
    return Draws(
        sites=joined,
        method=first.method,
        states=torch.cat(states) if states else None,
        target=first.target,
        log_weights=torch.cat(weights) if weights else None,
        log_evidence=averaged([one.log_evidence for one in replicas if one.log_evidence is not None]),
        chains=len(replicas),
        seconds=sum(one.seconds for one in replicas),
        target_calls=sum(one.target_calls for one in replicas),
        attributes={**first.attributes, **_worst(replicas)},
    )


def averaged(estimates: Sequence[Estimate]) -> Estimate | None:
    """``log mean Z_r`` of independent estimates ``log Z_r``, with the error of the delta method; None without any.

    >>> averaged([Estimate(0.0, 0.1), Estimate(0.0, 0.1)])
    Estimate(value=0.0, std_error=0.0707...)
    """
    if not estimates:
        return None
    values = torch.tensor([estimate.value for estimate in estimates], dtype=torch.float64)
    errors = torch.tensor([estimate.std_error for estimate in estimates], dtype=torch.float64)
    shares = values.softmax(0)
    return Estimate(float(log_mean_exp(values)), float((shares * errors).square().sum().sqrt()))


def _worst(replicas: Sequence[Draws]) -> dict[str, float | int | str]:
    attributes = max(replicas, key=distrust).attributes
    judged = ("verdict", "evidence_verdict", "khat", "ess_fraction", "source", "rhat", "ess")
    return {name: attributes[name] for name in judged if name in attributes}
