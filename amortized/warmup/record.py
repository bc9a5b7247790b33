"""The result of a warm-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from amortized._types import Tensor
from amortized.mcmc import tempered_smc
from amortized.mcmc.many_chains import Chains
from amortized.mcmc.state import State
from amortized.mixtures.covariance import significant_scale_tril
from amortized.mixtures.gaussian import GaussianMixture
from amortized.mixtures.product import ProductMixture
from amortized.mixtures.product_fit import fit_product
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.product_reference import ProductReference
from amortized.processes.reference import Reference
from amortized.warmup.budget import Budget
from amortized.warmup.checks import Conclusion
from amortized.warmup.polish import Polish
from amortized.weights import Estimate


@dataclass(frozen=True)
class WarmUp:
    """The result of `warm_up`, in the target's unconstrained space.

    Args:
        draws: ``(N, D)`` in the target's dtype, of equal weights.
        log_prob: log R at the draws, ``(N,)`` in nats.
        shift: of the affine map that whitens the draws, ``(D,)``, float64.
        scale_tril: of that map, ``(D, D)``, lower-triangular, float64.
        mixture: Gaussians that describe the target. Up to 100 dimensions they are fitted to the draws, and `sharpened`
            may move them on. Above, it is the one nearest Gaussian.
        product: a product of one-dimensional mixtures, fitted to the draws. Up to 100 dimensions it is None unless
            held-out draws are likelier with it than with the mixture. Above, it is always there.
        log_evidence: log Z in nats.
        trustworthy: whether all checks agree.
        status: what was checked, in plain words with numbers.
        target_calls: density calls spent, one a particle.
        seconds: wall clock.
        uncovered: largest log weight at an optimum, minus log Z, in nats; as in `WeightCheck`.
        chains: HMC chains from dispersed starts. If they converged and nothing else was confirmed, the draws
            are theirs. None where the mixture was good enough without them.
        cut_short: what the budget was too small for; else empty.
    """

    draws: Tensor
    log_prob: Tensor
    shift: Tensor
    scale_tril: Tensor
    mixture: GaussianMixture
    product: ProductMixture | None
    log_evidence: Estimate
    trustworthy: bool
    status: str
    target_calls: int
    seconds: float
    uncovered: float = -math.inf
    chains: Chains | None = None
    cut_short: str = ""

    def reference(self) -> Reference:
        """The ``product`` if there is one, else the ``mixture``, as a reference in the whitened coordinates."""
        if self.product is not None:
            return ProductReference(self.product.weights, self.product.means, self.product.stds)
        mixture = self.mixture.inverse_affine(self.shift, self.scale_tril)
        return MixtureReference(mixture.weights, mixture.means, mixture.scale_trils)


def recorded(
    state: State, polish: Polish, conclusion: Conclusion, uncovered: float, budget: Budget, chains: Chains | None
) -> WarmUp:
    """The draws ``state`` in the target's coordinates, with the laws and the affine map that describe them.

    Args:
        state: in the whitened coordinates of ``polish``.
        polish: holds the laws.
        conclusion: of the checks.
        uncovered: of the last weights, in nats.
        budget: counted the cost.
        chains: if any ran.
    """
    white = polish.tempering.white
    draws, product = white.unwhiten(state.x), None
    if not polish.joint:
        assert polish.product is not None
        product = polish.product.affine(white.shift, white.scale_tril)
        shift, scale_tril = product.shift, product.scale_tril
    elif polish.product is None:
        shift, scale_tril = draws.double().mean(0), significant_scale_tril(draws)
    else:
        product = fit_product(draws, polish.tempering.generator).product
        shift, scale_tril = product.shift, product.scale_tril
    status = conclusion.status
    if chains is not None and not chains.usable:
        status = f"{chains.status}, so that nothing is taken from them; {status}"
    return WarmUp(
        draws=draws,
        log_prob=state.log_prob - white.log_det,
        shift=shift,
        scale_tril=scale_tril,
        mixture=polish.mixture.affine(white.shift, white.scale_tril),
        product=product,
        log_evidence=conclusion.log_evidence,
        trustworthy=conclusion.trustworthy,
        status=status,
        target_calls=budget.calls,
        seconds=budget.seconds,
        uncovered=uncovered,
        chains=chains,
        cut_short="; ".join(left_out(polish.tempering.runs, budget)),
    )


def left_out(runs: Sequence[tempered_smc.Result], budget: Budget) -> list[str]:
    """What the budget was too small for, a few words each: the tempered ``runs``, or the search for modes."""
    screening = budget.screening
    looked = f"the search for modes at {screening.looked:,} of {screening.wanted:,} points"
    unfinished = ["the tempering of the warm-up"] if not all(run.finished for run in runs) else []
    return unfinished + ([looked] if screening.cut else [])
