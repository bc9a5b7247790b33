"""sbi's NPE and NLE with the defaults of its manual, on 10,000 simulations, ended by a clock."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyro
import torch
from pyro import poutine
from sbi.inference import NLE, NPE
from sbibm_wheel import SHAPES, Task
from torch import Tensor

SIMULATIONS = 10_000
"""The middle of sbibm's budgets."""


def prior(task: Task) -> torch.distributions.Distribution:
    """The law of the one latent site."""
    trace = poutine.trace(task.model).get_trace(torch.zeros(SHAPES[task.name]))
    return trace.nodes["parameters"]["fn"]


def simulated(task: Task, count: int) -> tuple[Tensor, Tensor]:
    """Pairs ``(count, D)`` and ``(count, C)`` of the joint law."""
    with pyro.plate("pairs", count):
        trace = poutine.trace(poutine.uncondition(task.model)).get_trace(torch.zeros(SHAPES[task.name]))
    return trace.nodes["parameters"]["value"], trace.nodes["x"]["value"].reshape(count, -1)


def fitted(which: str, task: Task, seed: int, deadline: float) -> Callable[[Tensor, int], Tensor]:
    """Train until sbi says that it has converged, or until the processor's clock shows ``deadline``.

    Returns:
        ``(x, count) -> (count, D)``, draws given one observation ``(1, C)``.
    """
    torch.manual_seed(seed)
    kind = {"npe": NPE, "nle": NLE}[which]
    inference = kind(prior=prior(task), show_progress_bars=False)
    inference.append_simulations(*simulated(task, SIMULATIONS))
    converged = inference._converged

    def ended(epoch: int, patience: int) -> bool:
        return converged(epoch, 0 if time.process_time() > deadline else patience)

    inference._converged = ended
    inference.train()
    posterior = inference.build_posterior()  # NLE: slice sampling, 20 chains of 200 steps before the first draw
    return lambda x, count: posterior.sample((count,), x=x, show_progress_bars=False)
