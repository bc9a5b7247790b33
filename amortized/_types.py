"""Shape letters and aliases used in every signature.

K steps of a path, B paths (or particles), D latent dimension, C context dimension.
Time comes first: states ``(K+1, B, D)``, per-step log densities ``(K, B)``, losses ``(B,)``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor
Generator = torch.Generator
Sites = dict[str, Tensor]
LogDensity = Callable[[Tensor], Tensor]
