"""The result of a warm-up."""

from __future__ import annotations

import math
from dataclasses import dataclass

from amortized._types import Tensor
from amortized.mixtures.gaussian import GaussianMixture
from amortized.mixtures.product import ProductMixture
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.product_reference import ProductReference
from amortized.processes.reference import Reference
from amortized.weights import Estimate


@dataclass(frozen=True)
class WarmUp:
    """The result of `warm_up`, in the target's unconstrained space.

    Args:
        draws: ``(N, D)`` in the target's dtype, of equal weights.
        log_prob: log R at the draws, ``(N,)`` in nats.
        shift: of the affine map that whitens the draws, ``(D,)``, float64.
        scale_tril: of that map, ``(D, D)``, lower-triangular, float64.
        mixture: fitted to the draws.
        product: the product of one-dimensional mixtures, where held-out draws are likelier with it, else None.
        log_evidence: log Z in nats.
        trustworthy: whether all checks agree.
        status: what was checked, in plain words with numbers.
        target_calls: density calls spent, one a particle.
        seconds: wall clock.
        uncovered: nats by which the optimisation met more density than the draws explain, as in `WeightCheck`.
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

    def reference(self) -> Reference:
        """``product``, else ``mixture``, as a reference in the whitened coordinates."""
        if self.product is not None:
            return ProductReference(self.product.weights, self.product.means, self.product.stds)
        mixture = self.mixture.inverse_affine(self.shift, self.scale_tril)
        return MixtureReference(mixture.weights, mixture.means, mixture.scale_trils)
