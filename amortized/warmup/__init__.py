"""What a density alone says: modes, their weights, scale, log Z, and whether to trust them."""

from amortized.warmup.record import WarmUp
from amortized.warmup.run import warm_up

__all__ = ["WarmUp", "warm_up"]
