"""What a density alone tells: modes, scale, weights of the modes, log Z, and whether to believe them."""

from amortized.warmup.record import WarmUp
from amortized.warmup.run import warm_up

__all__ = ["WarmUp", "warm_up"]
