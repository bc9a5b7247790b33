"""What a warm-up hands on."""

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
    """What `warm_up` hands on; all in the target's unconstrained space.

    ``draws: (N, D)`` in the target's dtype, equally weighted, ``log_prob: (N,)`` their log R; ``shift: (D,)`` and
    lower-triangular ``scale_tril: (D, D)``, float64: the affine map that whitens them; ``mixture``: fitted to them;
    ``product``: the product of one-dimensional mixtures that explains unseen draws better, or None where none does;
    ``log_evidence``: log Z in nats; ``trustworthy`` and ``status``: what was checked, in plain words with numbers;
    ``uncovered``: nats by which climbs met more density than the draws explain, as `Weighed` has it;
    ``target_calls``: density calls spent, one a particle; ``seconds``: wall clock.
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
        """The better of ``product`` and ``mixture`` as a reference in the coordinates that the affine map whitens."""
        if self.product is not None:
            return ProductReference(self.product.weights, self.product.means, self.product.deviations)
        mixture = self.mixture.inverse_affine(self.shift, self.scale_tril)
        return MixtureReference(mixture.weights, mixture.means, mixture.scale_trils)
