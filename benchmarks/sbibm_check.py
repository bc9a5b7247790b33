"""Are the Pyro models those of sbibm? Its reference draws must satisfy an identity of the models' densities.

    python benchmarks/sbibm_check.py DIR     # the unpacked wheel, see sbibm_wheel.py

For draws x of a density with score s, and any smooth h that is 0 where the density jumps, E[h s + ∇h] = 0. Every
number of the output is a mean in its own standard errors, so about N(0, 1) for a right model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import pyro
import torch
from pyro import poutine
from sbibm_models import Moon
from sbibm_wheel import SHAPES, Task
from torch import Tensor

BOUNDS = {"two_moons": 1.0, "slcp": 3.0, "gaussian_mixture": 10.0}
"""Half widths of the uniform priors."""


def identity(task: Task, number: int) -> Tensor:
    """Standard errors ``(D,)`` by which the reference draws of one observation miss the identity."""
    x = task.reference(number).requires_grad_()
    with pyro.plate("draws", len(x)):
        model = poutine.condition(task.model, {"parameters": x})
        trace = poutine.trace(model).get_trace(task.observation(number))
    (score,) = torch.autograd.grad(cast(Tensor, trace.log_prob_sum()), x, retain_graph=True)
    h = (1 - (x / BOUNDS.get(task.name, torch.inf)).square()).prod(-1)
    if task.name == "two_moons":
        law = cast(Moon, trace.nodes["x"]["fn"])
        h = h * (task.observation(number) - law.centre)[..., 0]  # 0 at the tips of a moon
    slope = torch.autograd.grad(h.sum(), x)[0] if h.requires_grad else torch.zeros_like(x)
    terms = (h[:, None] * score + slope).detach().double()
    return terms.mean(0) / terms.std(0) * len(x) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="folder of the unpacked wheel")
    folder = parser.parse_args().wheel / "sbibm" / "tasks"
    for name in SHAPES:
        found = torch.cat([identity(Task(name, folder), number) for number in range(1, 11)])
        spread, largest = found.square().mean().sqrt(), found.abs().max()
        print(f"{name:18} {len(found)} values, root mean square {spread:.2f}, largest {largest:.1f}")


if __name__ == "__main__":
    main()
