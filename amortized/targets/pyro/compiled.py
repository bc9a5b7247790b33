"""A recorded density as machine code."""

from __future__ import annotations

from amortized._types import Tensor
from amortized.targets.compiler import if_it_compiles, machine_code
from amortized.targets.pyro.captured import CHECKED, Captured, agrees
from amortized.targets.pyro.checks.agreement import disagreement
from amortized.targets.pyro.checks.loop_values import LoopValues

MOST_NODES = 1_000
"""Operators of a recorded density that is compiled without being asked for: 110 to 213 took 5 s, and nobody can stop a
compiler. A loop over time that Python unrolls has thousands."""


class Compiled(Captured):
    """The graph of a captured density, compiled by torch."""

    name = "vmap (compiled)"

    def __init__(self, captured: Captured):
        super().__init__(captured.plain, captured.with_score)
        self.compiled = machine_code(captured.with_score)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_prob_and_score(x)[0]

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.compiled(x)


def compiled(captured: Captured, reference: LoopValues) -> Compiled | str:
    """The density compiled, if it gives the same values and scores; else why not, in words."""
    found: list[Compiled] = []

    def build() -> bool:
        found.append(Compiled(captured))
        alike = all(agrees(captured.plain, found[0], reference, size) for size in CHECKED)
        return alike and disagreement(found[0], reference) is None

    return if_it_compiles(build) or found[0]
