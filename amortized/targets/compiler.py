"""Torch's compiler: a function of a batch as a few fused loops, without Python and without operators."""

from __future__ import annotations

from collections.abc import Callable

import torch

from amortized._types import Tensor
from amortized.targets.troubles import first_line

REPAID = 20.0
"""Seconds of calls from which compiling is worth it. It takes 5 to 12 s, and calls are then 2.3 to 9 times faster: on
five models of 10 to 252 latents and two plain densities, batches of 64 to 512, one core."""

WithScore = Callable[[Tensor], tuple[Tensor, Tensor]]


def has_compiler() -> bool:
    """Whether torch finds a C++ compiler on this machine."""
    try:
        from torch._inductor import cpp_builder  # a second of imports; they raise without a folder for the cache

        return bool(cpp_builder.get_cpp_compiler())
    except Exception:  # torch raises several kinds, by platform
        return False


def machine_code(function: WithScore) -> WithScore:
    """The function for every batch size but one, which would be compiled again for this size alone.

    Compiling happens at the first call. A call with one row runs the function as it is.
    """
    fast = torch.compile(function, dynamic=True)

    def call(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return (function if len(x) == 1 else fast)(x.contiguous())

    return call


def if_it_compiles(build: Callable[[], bool]) -> str:
    """Runs ``build``, which compiles and says whether the values are right; else why not, in words."""
    try:
        from torch._inductor import config  # a second of imports, for those who compile

        # other processes to compile in would take memory and the user's cores
        with config.patch(compile_threads=1):
            return "" if build() else "its values differ"
    except Exception as error:  # whatever a compiler finds wrong, the density is there without it
        return f"{type(error).__name__}: {first_line(error)}"
