"""Methods that train for milliseconds: ``tiny.py:narrow``, ``tiny.py:wide``, and ``tiny.py:broken``, which raises."""

import time
from functools import partial

import torch

from amortized.benchmark.trained import Trained
from amortized.policies import LangevinMLP
from amortized.processes import OrnsteinUhlenbeck
from amortized.samplers.base import DiffusionSampler
from amortized.simulation import rollout


def train(width, target, scale, budget, seed):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    began, calls = time.process_time(), target.calls
    sampler = DiffusionSampler(OrnsteinUhlenbeck(steps=4), LangevinMLP(target.dim, width=width, langevin=False))
    optimiser = torch.optim.Adam(sampler.parameters(), 1e-2)
    losses = []
    for _ in range(budget.steps or 5):
        loss = -rollout(sampler.process, sampler.policy, target, 32, generator).log_weight.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return Trained(
        sampler=sampler,
        target=target,
        unwhiten=lambda x: x,
        whiten=lambda x: x,
        losses=losses,
        steps=len(losses),
        seconds=time.process_time() - began,
        energy_calls=target.calls - calls,
        network_calls=0,
    )


narrow = partial(train, 8)
wide = partial(train, 16)


def broken(target, scale, budget, seed):
    raise RuntimeError(f"seed {seed} is no good")


def slow(target, scale, budget, seed):
    """Seed 0 at once, the others after a second, so that a test can kill the run between them."""
    time.sleep(min(seed, 1))
    return narrow(target, scale, budget, seed)
