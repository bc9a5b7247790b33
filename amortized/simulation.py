"""Where paths come from: simulations of P_F, and noise added to known ends.

``simulate`` returns states, for ``log_probs`` to score. ``rollout`` returns a scored path, and gradients go through it
where they are enabled. ``reverse_rollout`` noises known ends back to the prior.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch

from amortized._types import Belief, Generator, Tensor
from amortized.path import ScoredPath, States, read, scored, seen, with_scores
from amortized.policies.base import Policy, Steering
from amortized.processes.base import Process
from amortized.targets.base import Target

Start = tuple[Tensor, Tensor]
"""All that is random of a simulation: ``x_0: (B, S)``, and the noise ``(K, B, D)`` of every step."""


@torch.no_grad()
def simulate(
    process: Process,
    policy: Policy,
    target: Target,
    batch: int,
    generator: Generator | None = None,
    inflation: float = 1.0,
    record: bool = False,
) -> States:
    """Simulate P_F from the prior: states and no densities. Args as of ``rollout``.

    With ``record`` the policy keeps what it computed, so that ``log_probs`` need not compute it again for a loss.
    """
    return simulate_from(process, policy, target, start_of(process, target, batch, generator, inflation), record)


@torch.no_grad()
def simulate_from(process: Process, policy: Policy, target: Target, start: Start, record: bool = False) -> States:
    """``simulate`` from a start that is drawn already."""
    steering = steering_of(process, policy, record)
    affine = process.affine(start[0])
    asked = _Asked(target, [], [])
    states = None if affine is None else steering.walk(affine, *start, asked)
    if states is None:
        path = walked(process, policy, steering, target, start)
    else:
        path = asked.along(_path(states, process, target))
    return evaluated(replace(path, steering=steering) if record else path, target)


def rollout(
    process: Process,
    policy: Policy,
    target: Target,
    batch: int,
    generator: Generator | None = None,
    inflation: float = 1.0,
    evaluate_ends: bool = True,
) -> ScoredPath:
    """Simulate P_F from the prior: a scored path, differentiable in the policy where gradients are enabled.

    The target's gradient enters at the ends; scores are constants.

    Args:
        process: the steps.
        policy: steers them.
        target: D variables; for M contexts row i belongs to context ``i mod M``.
        batch: B, a multiple of M.
        generator: of all draws.
        inflation: multiplies every forward std. The densities stay those of P_F itself, so that an inflated path has a
            log weight but is not a fair draw of P_F.
        evaluate_ends: False leaves ``log_target`` at 0.
    """
    start = start_of(process, target, batch, generator, inflation)
    return rollout_from(process, policy, target, start, evaluate_ends)


def rollout_from(
    process: Process, policy: Policy, target: Target, start: Start, evaluate_ends: bool = True
) -> ScoredPath:
    """``rollout`` from a start that is drawn already."""
    kernels = _Kernels([], [])
    walk = _walk(process, policy, steering_of(process, policy), target, start, kernels)
    path = walk.path(process, target)
    return scored(process, evaluated(path, target) if evaluate_ends else path, *kernels.together())


def steering_of(process: Process, policy: Policy, record: bool = False) -> Steering:
    """The policy at the times of the process; with ``record`` it keeps what it computes."""
    return policy.at(process.times[:-1].to(torch.get_default_dtype()), record)


def evaluated(path: States, target: Target) -> States:
    """The path with ``log R`` of its ends."""
    return replace(path, log_target=target.log_prob(path.ends).double())


class _Kernels(NamedTuple):
    """Mean and std of every forward step."""

    means: list[Tensor]
    stds: list[Tensor]

    def together(self) -> tuple[Tensor, Tensor]:
        """The means ``(K, B, D)``, and the stds as one tensor that broadcasts against them."""
        stds = torch.stack(self.stds)
        return torch.stack(self.means), stds.reshape(stds.shape + (1,) * (self.means[0].ndim + 1 - stds.ndim))


class _Asked(NamedTuple):
    """The score of a target, which keeps its answers."""

    target: Target
    log_targets: list[Tensor]
    scores: list[Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        log_target, score = self.target.log_prob_and_score(x)
        self.log_targets.append(log_target)
        self.scores.append(score)
        return score

    def along(self, path: States) -> States:
        """The path with the answers; the path itself where nothing was asked."""
        if not self.scores:
            return path
        return replace(path, scores=torch.stack(self.scores), log_targets=torch.stack(self.log_targets).double())


class _Walk(NamedTuple):
    """Of every walk: K + 1 states, the belief of each step, and what was asked."""

    states: list[Tensor]
    beliefs: list[Belief]
    asked: _Asked

    def path(self, process: Process, target: Target) -> States:
        path = self.asked.along(_path(torch.stack(self.states), process, target))
        if not self.beliefs:
            return path
        means, stds = zip(*self.beliefs, strict=True)
        return replace(path, belief_means=torch.stack(means), belief_stds=torch.stack(stds))


def _path(states: Tensor, process: Process, target: Target) -> States:
    """Paths whose ends are not evaluated yet: ``log_target`` is 0."""
    nothing = states.new_zeros(states.shape[1], dtype=torch.float64)
    return States(states, nothing, context=target.context, indices=target.indices, dim=target.dim, process=process)


def start_of(
    process: Process, target: Target, batch: int, generator: Generator | None = None, inflation: float = 1.0
) -> Start:
    """Draws the start of ``batch`` paths; the noise is multiplied by ``inflation``."""
    x = process.sample_prior(batch, target.dim, generator)
    noise = process.transition.noise(x.new_empty(process.steps, batch, target.dim), generator)
    if inflation != 1:
        noise.mul_(inflation)
    return x, noise


def walked(process: Process, policy: Policy, steering: Steering, target: Target, start: Start) -> States:
    """The path from a start, step by step, whose ends are not evaluated yet."""
    return _walk(process, policy, steering, target, start, None).path(process, target)


def _walk(
    process: Process,
    policy: Policy,
    steering: Steering,
    target: Target,
    start: Start,
    kernels: _Kernels | None,
) -> _Walk:
    """The walk from ``start``; its steps are added to ``kernels`` where these are given."""
    layout, (x, noise) = process.layout, start
    context, believe = read(policy, target.context, len(x)), process.beliefs(x)
    walk = _Walk([x], [], _Asked(target, [], []))
    for k, drawn in enumerate(noise.unbind()):
        belief, score = believe(k, x) if process.keeps_beliefs else None, None
        if policy.needs_score:
            score = walk.asked(layout.visited(k, x).detach())
        if belief is not None:
            walk.beliefs.append(belief)
        belief, langevin = seen(process, k, x, score, belief)
        mean, std = process.forward(k, x, belief, steering(k, process.features(k, x), langevin, context))
        x = layout.advance(k, x, torch.addcmul(mean, std, drawn))
        walk.states.append(x)
        if kernels is not None:
            kernels.means.append(mean)
            kernels.stds.append(std)
    return walk


def reverse_rollout(
    process: Process,
    policy: Policy,
    target: Target,
    ends: Tensor,
    log_target: Tensor,
    generator: Generator | None = None,
) -> States:
    """Noise known ends ``(B, D)`` back to the prior: states, with scores if the policy needs them."""
    states = process.bridge(ends, generator)
    path = States(states, log_target, context=target.context, indices=target.indices, dim=ends.shape[-1])
    return with_scores(process, target, path) if policy.needs_score else path
