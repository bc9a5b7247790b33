"""E[w] = Z for every process, step law, grid, reference and way to learn, whatever the weights of the networks."""

import inspect
import itertools
import math

import pytest
import torch

import amortized.processes
from amortized.processes.base import Process
from amortized.processes.grids import Power, Random, Uniform
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.transitions import Gaussian, StudentT
from amortized.simulation import rollout
from tests.contracts.discovery import concrete_classes
from tests.known import gaussian, network, seeded, steering

COUNT, STEPS = 20_000, 5
LOG_PARTITION = 1.3
REFERENCE = MixtureReference(
    torch.tensor([0.4, 0.6]),
    torch.tensor([[-0.5, 0.0], [0.8, 0.3]]),
    torch.stack([0.9 * torch.eye(2), torch.tensor([[1.0, 0.0], [0.4, 0.8]])]),
)
OPTIONS = {
    "process": concrete_classes(amortized.processes, Process),
    "transition": [Gaussian(), StudentT(5.0)],
    "grid": [Uniform(), Power(2.0), Random(STEPS)],
    "reference": [None, REFERENCE],
    "noising": [False, True],
    "langevin": [False, True],
    "learned_variance": [False, True],
}
NAMES = list(OPTIONS)


def possible(choice: tuple) -> bool:
    """Whether the process knows the options that are not left at their default."""
    chosen = dict(zip(NAMES, choice, strict=True))
    accepted = inspect.signature(chosen["process"]).parameters
    return all(name in accepted for name in ("reference", "noising") if chosen[name])


def pairs(choice: tuple) -> set:
    numbered = [(name, OPTIONS[name].index(value)) for name, value in zip(NAMES, choice, strict=True)]
    return set(itertools.combinations(numbered, 2))


def described(choice: tuple) -> str:
    words = [getattr(value, "__name__", type(value).__name__) for value in choice[:3]]
    return "-".join(words + [name for name, value in zip(NAMES[3:], choice[3:], strict=True) if value])


EVERYTHING = [choice for choice in itertools.product(*OPTIONS.values()) if possible(choice)]


def pairwise(choices: list[tuple]) -> list[tuple]:
    """A few of ``choices`` in which every pair of options appears that appears at all, picked greedily."""
    missing, picked = set().union(*map(pairs, choices)), []
    while missing:
        best = max(choices, key=lambda choice: len(pairs(choice) & missing))
        picked.append(best)
        missing -= pairs(best)
    return picked


def check(process_class, transition, grid, reference, noising, langevin, learned_variance):
    """Three standard errors of 20 000 weights; the error itself has to be small, or the test would say nothing."""
    target = gaussian([0.3, -0.2], [[0.5, 0.2], [0.2, 0.4]], LOG_PARTITION)
    named = {"reference": reference, "noising": network(2, 0.05, seed=1, depth=1) if noising else None}
    named = {name: value for name, value in named.items() if value is not None}
    if isinstance(grid, Random):
        process = grid(process_class(STEPS, transition=transition, **named), seeded(3))
    else:
        process = process_class(STEPS, transition=transition, grid=grid, **named)
    policy = steering(process, 2, 0.04, depth=1, langevin=langevin, learned_variance=learned_variance)
    relative = (rollout(process, policy, target, COUNT, seeded()).log_weight - LOG_PARTITION).exp()
    error = float(relative.std()) / math.sqrt(COUNT)
    assert error < 0.05
    assert abs(float(relative.mean()) - 1) < 3 * error


@pytest.mark.parametrize("choice", pairwise(EVERYTHING), ids=described)
@torch.no_grad()
def test_the_mean_weight_is_z(choice):
    check(*choice)


@pytest.mark.slow
@pytest.mark.parametrize("choice", EVERYTHING, ids=described)
@torch.no_grad()
def test_the_mean_weight_is_z_for_every_combination(choice):
    check(*choice)


@pytest.mark.parametrize("process_class", OPTIONS["process"])
@torch.no_grad()
def test_one_step_is_enough(process_class):
    process = process_class(1)
    target = gaussian([0.3, -0.2], [[0.5, 0.2], [0.2, 0.4]], LOG_PARTITION)
    relative = (rollout(process, steering(process, 2, 0.1), target, COUNT, seeded()).log_weight - LOG_PARTITION).exp()
    assert abs(float(relative.mean()) - 1) < 3 * float(relative.std()) / math.sqrt(COUNT)
