"""A batched density recorded once: calls then run no Pyro and little Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import fx

from amortized._types import Tensor
from amortized.capture.peephole import simplify
from amortized.capture.tape import Tape
from amortized.capture.template import Template
from amortized.targets.pyro.batching import Batching, Result, Vmap
from amortized.targets.pyro.checks.agreement import disagreement
from amortized.targets.pyro.checks.loop_values import LoopValues

SIZES = (5, 9)
"""Batch sizes of the two recordings. Odd and larger than most shapes of a model, so that they stand out in a shape."""
CHECKED = (1, 4, 33)
"""Batch sizes at which the graph is compared with vmap: one, one below and one above ``SIZES``."""


class Captured(Batching):
    """The recorded graph of ``vmap(grad_and_value)``, for every batch size."""

    name = "vmap (captured)"

    def __init__(self, plain: Vmap, graph: fx.GraphModule):
        super().__init__(plain.program)
        self.plain = plain
        self.with_score = graph

    @cached_property
    def alone(self) -> fx.GraphModule:
        return _first_output(self.with_score)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.alone(x)

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self.with_score(x)

    def map(self, function: Callable[[Any], Result], inputs: Any) -> Result:
        return self.plain.map(function, inputs)


def _first_output(graph: fx.GraphModule) -> fx.GraphModule:
    """The same graph with its first output alone."""
    shortened = fx.Graph()
    outputs = shortened.graph_copy(graph.graph, {})
    shortened.output(outputs[0])  # type: ignore[index]
    shortened.eliminate_dead_code()
    return fx.GraphModule(graph, shortened)


def capture(plain: Vmap, reference: LoopValues, seconds: float) -> Captured | None:
    """``plain`` recorded, if that takes at most ``seconds`` and gives the same densities and scores; else ``None``."""
    deadline = time.monotonic() + seconds
    inputs = tuple(_points(reference, size) for size in SIZES)
    try:
        first, second = (Tape(deadline).record(plain.log_prob_and_score_by_pieces, x) for x in inputs)
    except Exception:  # any model that cannot be recorded still has plain vmap
        return None
    for rewrite in (simplify, None):
        try:
            captured = Captured(plain, Template((first, second), deadline, rewrite).build())
            alike = all(agrees(plain, captured, reference, size) for size in CHECKED)
            if alike and disagreement(captured, reference) is None:
                return captured
        except Exception:
            continue
    return None


def _points(reference: LoopValues, size: int) -> Tensor:
    """``size`` points near those of the reference, none of them twice."""
    rows = reference.x[torch.arange(size) % len(reference.x)]
    return rows * torch.linspace(1.0, 0.9, size, dtype=rows.dtype, device=rows.device)[:, None]


def agrees(plain: Batching, captured: Batching, reference: LoopValues, size: int) -> bool:
    """Whether ``captured`` gives the densities and scores of ``plain`` at ``size`` points, up to their rounding."""
    x = _points(reference, size)
    value, score = plain.log_prob_and_score(x)
    finite = value.isfinite() & score.isfinite().all(-1)
    noise = reference.value_noise.max().expand(size), reference.score_noise.max().expand(size)
    noise = noise[0][finite], noise[1][finite]
    truth = LoopValues(x[finite], value[finite], score[finite], *noise, 0.0, x[:0], value[:0])
    got_value, got_score = captured.log_prob_and_score(x)
    alone = captured.log_prob(x)
    return (
        truth.differs(got_value[finite], got_score[finite]) is None
        and truth.differs(alone[finite], got_score[finite]) is None
    )
