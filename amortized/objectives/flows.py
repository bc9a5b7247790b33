"""State flows: the learned mass of paths through every state, and potentials that are constant at balance."""

from __future__ import annotations

import copy

import torch
from torch import nn

from amortized._types import Tensor, for_rows
from amortized.objectives.base import zero_head
from amortized.path import ScoredPath
from amortized.policies.embeddings import CosineTime


class StateFlow(nn.Module):
    """``log F_k(x) = log Z + log m_k(x) + f(x, t)``: the reference's marginal m_k, corrected by a residual perceptron.

    f starts at zero. The ends of a path need no learning: ``F_0 = Z p₀``, ``F_K = R``.

    Args:
        dim: S, the size of a state.
        width: of the hidden layers.
        depth: residual layers.
        forward_looking: reads the target too, ``(1 − t) (log Z + log m_k) + t log R(x) + f(x, t)`` (arXiv 2302.01687,
            2402.05098).

    >>> StateFlow(dim=2).correction(torch.randn(4, 7, 2), torch.rand(4)).shape
    torch.Size([4, 7])
    """

    def __init__(self, dim: int, width: int = 64, depth: int = 2, forward_looking: bool = False):
        super().__init__()
        self.forward_looking = forward_looking
        self.time = CosineTime()
        self.read_state = nn.Linear(dim, width)
        self.read_time = nn.Linear(self.time.frequencies.numel(), width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.read_context: nn.Module | None = None

    def on_contexts(self, embedding: nn.Module) -> None:
        """Let f depend on the context too."""
        self.read_context = zero_head(copy.deepcopy(embedding), self.read_state.out_features)

    def correction(self, features: Tensor, times: Tensor, context: Tensor | None = None) -> Tensor:
        """``f: (K, B)`` float64 from the states ``features: (K, B, S)``, ``times: (K,)`` and ``context: (M, C)``."""
        weight = self.read_state.weight
        time = self.read_time(self.time(times.to(weight.dtype)[:, None]))[:, None]
        hidden = self.read_state(features.to(weight.dtype))
        if context is not None and self.read_context is not None:
            hidden = hidden + for_rows(self.read_context(context), features.shape[1])
        for block in self.blocks:
            hidden = hidden + block(nn.functional.silu(hidden + time))
        return self.head(nn.functional.silu(hidden))[..., 0].double()

    def forward(self, path: ScoredPath, log_partition: Tensor) -> Tensor:
        """``log F_k(x_k) − Σ_{j<k} (log P_F − log P_B)``, the same for every k at balance: ``(K+1, B)`` float64.

        The last minus the first is ``log w − log Z``. NaN for a state without a finite value, and for all states of a
        path without a finite weight. Raises ``ValueError`` if the flow looks forward and the path has no log targets.
        """
        log_marginal, log_prior = path.log_marginal.double(), path.log_prior.double()
        inner = log_partition + log_marginal
        if self.forward_looking:
            if path.log_targets is None:
                raise ValueError(
                    "a forward-looking flow reads log R along the path; write "
                    "path = with_log_targets(process, target, path)"
                )
            times = path.times.double()[:, None]
            inner = (1 - times) * inner + times * path.log_targets.double()
        inner = inner + self.correction(path.features, path.times, path.context)
        carried = _carried(path, log_marginal[0], log_prior)
        first, last = log_partition + log_prior + carried, path.log_target.double() + carried
        log_flow = torch.cat([first[None], inner[1:], last[None]])
        potential = log_flow - _log_ratio(path)
        return torch.where(potential.isfinite() & path.log_weight.isfinite(), potential, torch.nan)


def _carried(path: ScoredPath, log_marginal: Tensor, log_prior: Tensor) -> Tensor:
    """Log density of what ``x_K`` carries beside the target's variables, which ``log_prior`` leaves out: ``(B,)``."""
    alone = path.dim is None or path.states.shape[-1] == path.dim
    return torch.zeros_like(log_prior) if alone else log_marginal - log_prior


def _log_ratio(path: ScoredPath) -> Tensor:
    """``Σ_{j<k} (log P_F − log P_B)`` for k = 0 … K: ``(K+1, B)``."""
    steps = path.log_forward.double() - path.log_backward.double()
    return torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
