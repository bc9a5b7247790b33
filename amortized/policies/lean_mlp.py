"""The Langevin perceptron at fixed times: few operators a step, and one forward pass for a simulation and its loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from amortized._types import AffineSteps, Control, Tensor
from amortized.policies.base import Steering
from amortized.policies.embeddings import CosineTime

IN_CACHE = 2_000_000
"""Numbers of a hidden layer that a backward pass takes at once: 8 MB. Larger ones leave a core's cache, and add to the
peak of memory."""


class Perceptron(Protocol):
    """What a ``LangevinMLP`` shows of its layers."""

    _forward_pre_hooks: dict[int, Callable]
    read_state: nn.Linear
    read_time: nn.Linear
    blocks: nn.ModuleList
    time: CosineTime
    langevin_scale: nn.Linear | None
    clip: float
    tempered: bool
    log_variance: nn.Linear | None
    embedding: nn.Module | None

    def parameters(self) -> Iterator[nn.Parameter]: ...
    def clipped(self, langevin: Tensor, t: Tensor) -> Tensor: ...
    def inputs(self, x: Tensor, langevin: Tensor | None, context: Tensor | None) -> Tensor: ...
    def head(self) -> tuple[Tensor, Tensor]: ...
    def control(self, out: Tensor, scale: Tensor | None, langevin: Tensor | None) -> Control: ...


class LeanMLP(Steering):
    """``LangevinMLP`` at times ``(K,)``, without gradients.

    A residual layer ``h' = h + W silu(h + b(t)) + c`` becomes ``g' = g + [W, c + b'(t) − b(t)] [silu(g), 1]`` for the
    sum ``g = h + b(t)``: one product. Its last column is known for all times before the first step.

    Args:
        policy: its weights are read once.
        times: ``(K,)``.
        record: keeps what each layer computed, for ``recall``. A policy that reads contexts keeps nothing.
    """

    def __init__(self, policy: Perceptron, times: Tensor, record: bool):
        self.policy, self.times = policy, times
        self.record = record and policy.embedding is None
        self.weights = [weight.detach().clone() for weight in policy.parameters()] if self.record else []
        self.room: list[tuple[Tensor, ...]] = []
        self.kept: list[Tensor] = []
        weight = policy.read_state.weight
        time = policy.time(times.to(weight.dtype)[:, None])
        biases = policy.read_time(time).unflatten(-1, (len(policy.blocks), -1))
        after = torch.cat([biases[:, 1:], torch.zeros_like(biases[:, :1])], 1)
        blocks = [cast(nn.Linear, block) for block in policy.blocks]
        offsets = (torch.stack([block.bias for block in blocks]) + after - biases).unbind(1)
        self.first = (policy.read_state.bias + biases[:, 0]).unbind()
        self.read_state = weight.mT
        self.blocks = [
            torch.cat([block.weight.mT.expand(len(times), -1, -1), each[:, None]], 1).unbind()
            for block, each in zip(blocks, offsets, strict=True)
        ]
        head, self.head_bias = policy.head()
        self.head = head.mT
        self.scales = None if policy.langevin_scale is None else policy.langevin_scale(time).unbind()
        self.each_time = times.unbind()

    def __call__(self, k: int, x: Tensor, langevin: Tensor | None, context: Tensor | None) -> Control:
        policy = self.policy
        if langevin is not None:
            langevin = policy.clipped(langevin, self.each_time[k])
        self._called(x)
        inputs = policy.inputs(x, langevin, context)
        torch.addmm(self.first[k], inputs, self.read_state, out=self._hidden(k, inputs))
        out = torch.addmm(self.head_bias, self._active(k), self.head)
        return policy.control(out, None if self.scales is None else self.scales[k], langevin)

    def walk(self, steps: AffineSteps, x: Tensor, noise: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor | None:
        policy = self.policy
        if policy.embedding is not None or policy.log_variance is not None:
            return None
        states = x.new_empty(len(noise) + 1, *x.shape)
        states[0] = x
        drawn = torch.mul(noise, steps.stride, out=states[1:])
        drawn.addcmul_(steps.push, self.head_bias)
        each, last, pushes = drawn.unbind(), states[0], steps.push.flatten().tolist()
        read_x, read_langevin = self.read_state.tensor_split([x.shape[-1]])
        added = () if self.scales is None else (torch.stack(self.scales) * steps.push[:, 0]).unbind()
        warm = self.times.tolist() if policy.tempered else [1.0] * len(pushes)
        gains = [gain * share for gain, share in zip(steps.gain, warm, strict=True)]
        for k, (scale, drift, push) in enumerate(zip(steps.scale, steps.drift, pushes, strict=True)):
            hidden = torch.addmm(self.first[k], last, read_x, alpha=scale, out=self._hidden(k, last))
            if self.scales is None:
                last = each[k].addmm_(self._active(k), self.head, alpha=push).add_(last, alpha=drift)
                continue
            langevin = torch.mul(score(last), gains[k]).add_(last, alpha=gains[k] * steps.pull)
            hidden.addmm_(langevin.clamp_(-policy.clip, policy.clip), read_langevin)
            each[k].addmm_(self._active(k), self.head, alpha=push).add_(last, alpha=drift)
            last = each[k].addcmul_(added[k], langevin)
        self._called(states[:-1])
        return states

    def _called(self, x: Tensor) -> None:
        """Who counts evaluations of the network counts these too."""
        for hook in self.policy._forward_pre_hooks.values():
            hook(self.policy, (x,))

    def _hidden(self, k: int, inputs: Tensor) -> Tensor:
        """Where the first layer of a step is written, and ``recall`` finds it."""
        if k == 0:
            self._make_room(inputs)
        return self.room[k if self.record else 0][0]

    def _active(self, k: int) -> Tensor:
        """What the heads read, after the first layer."""
        hidden, active, *layers = self.room[k if self.record else 0]
        for weights in self.blocks:
            known, following, then, *layers = layers
            torch.ops.aten.silu.out(hidden, out=active)
            hidden, active = torch.addmm(hidden, known, weights[k], out=following), then
        return torch.ops.aten.silu.out(hidden, out=active)

    def _make_room(self, inputs: Tensor) -> None:
        """Of every layer g, then silu(g), then the same beside a one; of one step if nothing is kept."""
        steps, width = len(self.times) if self.record else 1, len(self.first[0])
        self.kept = []
        for _ in self.blocks:
            beside_one = inputs.new_empty(steps, len(inputs), width + 1)
            beside_one[..., -1] = 1.0
            self.kept += [inputs.new_empty(steps, len(inputs), width), beside_one[..., :-1], beside_one]
        self.kept += [inputs.new_empty(steps, len(inputs), width) for _ in range(2)]
        self.room = list(zip(*(each.unbind() for each in self.kept), strict=True))

    def recall(self, policy: nn.Module, x: Tensor, langevin: Tensor | None) -> Control | None:
        mlp = self.policy
        if policy is not mlp or not (self.record and self.room) or self._learned_since():
            return None
        if langevin is not None and langevin.requires_grad:  # a reference that learns has slopes through the network
            return None
        time = mlp.time(self.times.to(mlp.read_state.weight.dtype)[:, None])
        if langevin is not None:
            langevin = mlp.clipped(langevin, self.times[:, None, None])
        blocks = [parameter for block in mlp.blocks for parameter in (block.weight, block.bias)]
        read = (mlp.read_state.weight, mlp.read_state.bias, mlp.read_time(time))
        layers = [each for place, each in enumerate(self.kept) if place % 3 < 2]
        out = cast(Tensor, _Recalled.apply((mlp.inputs(x, langevin, None), *layers), *mlp.head(), *read, *blocks))
        return mlp.control(out, None if mlp.langevin_scale is None else mlp.langevin_scale(time)[:, None], langevin)

    def kept_tensors(self) -> list[Tensor]:
        return [*self.weights, *self.kept] if self.record else []

    def with_kept(self, tensors: list[Tensor]) -> Steering:
        twin, weights = copy.copy(self), len(self.weights)
        twin.weights, twin.kept = tensors[:weights], tensors[weights:]
        return twin

    def _learned_since(self) -> bool:
        """Torch counts no change through ``.data`` or by new modules: the values themselves are compared."""
        now = list(self.policy.parameters())
        return len(now) != len(self.weights) or not all(map(torch.equal, self.weights, now))


class _Recalled(torch.autograd.Function):
    """The heads' outputs ``(K, B, O)`` by the layers that a simulation kept: their backward pass needs no other."""

    @staticmethod
    def forward(ctx: Any, kept: tuple[Tensor, ...], head: Tensor, bias: Tensor, *others: Tensor) -> Tensor:
        ctx.kept = kept
        ctx.save_for_backward(head, *others[3::2])  # torch then says so if they change before the backward pass
        return nn.functional.linear(kept[-1], head, bias)

    @staticmethod
    @once_differentiable  # what was kept has no slopes of its own; this hides the parameters' names from pyright
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        steps, batch = gradients[0].shape[:2]
        at_once = max(1, IN_CACHE // (batch * ctx.kept[-1].shape[-1]))
        found: list[Tensor] = []
        of_times: list[Tensor] = []
        for first in range(0, steps, at_once):
            some = slice(first, first + at_once)
            of_weights, of_time = _slopes(gradients[0][some], [each[some] for each in ctx.kept], ctx.saved_tensors)
            of_times.append(of_time)
            found = [a + b for a, b in zip(found, of_weights, strict=True)] if found else of_weights
        return None, *found[:4], torch.cat(of_times), *found[4:]


def _slopes(slope: Tensor, kept: list[Tensor], weights: tuple[Tensor, ...]) -> tuple[list[Tensor], Tensor]:
    """Slopes of head, first layer and blocks, weight before bias, and those of the times ``(K, ·)``."""
    steps, (head, *blocks) = len(slope), weights
    slope, inputs, *layers = (each.flatten(0, 1) for each in (slope, *kept))
    found, of_times = [], []
    of_head = [slope.mT @ layers[-1], slope.sum(0)]
    slope, through = slope @ head, torch.empty_like(layers[-1])
    torch.ops.aten.silu_backward.grad_input(slope, layers[-2], grad_input=slope)
    for layer in reversed(range(len(blocks))):
        hidden, active = layers[2 * layer : 2 * layer + 2]
        found = [slope.mT @ active, slope.sum(0), *found]
        torch.mm(slope, blocks[layer], out=through)
        torch.ops.aten.silu_backward.grad_input(through, hidden, grad_input=through)
        of_times = [through.unflatten(0, (steps, -1)).sum(1), *of_times]
        slope.add_(through)
    return [*of_head, slope.mT @ inputs, slope.sum(0), *found], torch.cat(of_times, -1)
