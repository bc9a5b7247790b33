"""A recorded density as machine code: a call is a few fused loops, without Python and without operators."""

from __future__ import annotations

import torch

from amortized._types import Tensor
from amortized.targets.pyro.captured import CHECKED, Captured, agrees
from amortized.targets.pyro.checks.agreement import disagreement
from amortized.targets.pyro.checks.loop_values import LoopValues

REPAID = 20.0
"""Seconds of calls from which compiling is worth it. It takes 5 to 10 s, and calls are then 2.3 to 9 times faster: on
five models of 10 to 252 latents, batches of 64 and 512, one core."""

MOST_NODES = 1_000
"""Operators of a recorded density that is compiled without being asked for: 110 to 213 took 5 s, and nobody can stop a
compiler. A loop over time that Python unrolls has thousands."""


class Compiled(Captured):
    """The graph of a captured density, compiled by torch for every batch size but one.

    A batch of one particle runs the graph as it is: torch would compile it once more, for this size alone.
    """

    name = "vmap (compiled)"

    def __init__(self, captured: Captured):
        super().__init__(captured.plain, captured.with_score)
        self.compiled = torch.compile(captured.with_score, dynamic=True)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_prob_and_score(x)[0]

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return (self.with_score if len(x) == 1 else self.compiled)(x.contiguous())


def has_compiler() -> bool:
    """Whether torch finds a C++ compiler on this machine."""
    try:
        from torch._inductor import cpp_builder  # a second of imports; they raise without a folder for the cache

        return bool(cpp_builder.get_cpp_compiler())
    except Exception:  # torch raises several kinds, by platform
        return False


def compiled(captured: Captured, reference: LoopValues) -> Compiled | str:
    """The density compiled, if it gives the same values and scores; else why not, in words."""
    try:
        from torch._inductor import config  # a second of imports, for those who compile

        # other processes to compile in would take memory and the user's cores
        with config.patch(compile_threads=1):
            found = Compiled(captured)
            alike = all(agrees(captured.plain, found, reference, size) for size in CHECKED)
    except Exception as error:  # whatever a compiler finds wrong, the density is there without it
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    if not alike or disagreement(found, reference) is not None:
        return "its values differ"
    return found
