"""The Langevin perceptron at fixed times: few operators a step, and one forward pass for a simulation and its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from amortized._types import Control, Tensor
from amortized.policies.base import Steering
from amortized.policies.embeddings import CosineTime


class Perceptron(Protocol):
    """What a ``LangevinMLP`` shows of its layers."""

    _forward_pre_hooks: dict[int, Callable]
    read_state: nn.Linear
    read_time: nn.Linear
    blocks: nn.ModuleList
    time: CosineTime
    langevin_scale: nn.Linear | None
    embedding: nn.Module | None

    def parameters(self) -> Iterator[nn.Parameter]: ...
    def clipped(self, langevin: Tensor, t: Tensor) -> Tensor: ...
    def inputs(self, x: Tensor, langevin: Tensor | None, context: Tensor | None) -> Tensor: ...
    def head(self) -> tuple[Tensor, Tensor]: ...
    def control(self, out: Tensor, scale: Tensor | None, langevin: Tensor | None) -> Control: ...


class LeanMLP(Steering):
    """``LangevinMLP`` at times ``(K,)``, without gradients.

    A residual layer ``h' = h + W silu(h + b(t)) + c`` becomes ``g' = (g + c + b'(t) − b(t)) + W silu(g)`` for the sum
    ``g = h + b(t)``. The vector in the brackets is known for all times before the first step.

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
        weight = policy.read_state.weight
        time = policy.time(times.to(weight.dtype)[:, None])
        biases = policy.read_time(time).unflatten(-1, (len(policy.blocks), -1))
        after = torch.cat([biases[:, 1:], torch.zeros_like(biases[:, :1])], 1)
        own = torch.stack([cast(nn.Linear, block).bias for block in policy.blocks])
        self.first = (policy.read_state.bias + biases[:, 0]).unbind()
        self.offsets = [each.unbind() for each in (own + after - biases).unbind(1)]
        self.read_state = weight.mT
        self.blocks = [cast(nn.Linear, block).weight.mT for block in policy.blocks]
        head, self.head_bias = policy.head()
        self.head = head.mT
        self.scales = None if policy.langevin_scale is None else policy.langevin_scale(time).unbind()
        self.each_time = times.unbind()

    def __call__(self, k: int, x: Tensor, langevin: Tensor | None, context: Tensor | None) -> Control:
        policy = self.policy
        if langevin is not None:
            langevin = policy.clipped(langevin, self.each_time[k])
        for hook in policy._forward_pre_hooks.values():  # who counts evaluations counts these too
            hook(policy, (x,))
        inputs = policy.inputs(x, langevin, context)
        out = self._recorded(k, inputs) if self.record else self._layers(k, inputs)
        return policy.control(out, None if self.scales is None else self.scales[k], langevin)

    def _layers(self, k: int, inputs: Tensor) -> Tensor:
        hidden = torch.addmm(self.first[k], inputs, self.read_state)
        for offsets, weight in zip(self.offsets, self.blocks, strict=True):
            active = nn.functional.silu(hidden)
            hidden = hidden.add_(offsets[k]).addmm_(active, weight)
        return torch.addmm(self.head_bias, nn.functional.silu(hidden, inplace=True), self.head)

    def _recorded(self, k: int, inputs: Tensor) -> Tensor:
        """The same numbers, written where ``recall`` finds them: g and silu(g) of every layer, then the heads."""
        if k == 0:
            sizes = [len(self.first[0])] * (2 * len(self.blocks) + 2) + [len(self.head_bias)]
            self.kept = [inputs.new_empty(len(self.times), len(inputs), size) for size in sizes]
            self.room = list(zip(*(each.unbind() for each in self.kept), strict=True))
        *layers, out = self.room[k]
        hidden = torch.addmm(self.first[k], inputs, self.read_state, out=layers[0])
        for layer, (offsets, weight) in enumerate(zip(self.offsets, self.blocks, strict=True)):
            active = torch.ops.aten.silu.out(hidden, out=layers[2 * layer + 1])
            hidden = torch.add(hidden, offsets[k], out=layers[2 * layer + 2]).addmm_(active, weight)
        active = torch.ops.aten.silu.out(hidden, out=layers[-1])
        return torch.addmm(self.head_bias, active, self.head, out=out)

    def recall(self, policy: nn.Module, x: Tensor, langevin: Tensor | None) -> Control | None:
        mlp = self.policy
        if policy is not mlp or not self.room or self._learned_since():
            return None
        if langevin is not None and langevin.requires_grad:  # a reference that learns has slopes through the network
            return None
        time = mlp.time(self.times.to(mlp.read_state.weight.dtype)[:, None])
        if langevin is not None:
            langevin = mlp.clipped(langevin, self.times[:, None, None])
        blocks = [parameter for block in mlp.blocks for parameter in (block.weight, block.bias)]
        read = (mlp.read_state.weight, mlp.read_state.bias, mlp.read_time(time))
        kept = (mlp.inputs(x, langevin, None), *self.kept)
        out = cast(Tensor, _Recalled.apply(kept, *mlp.head(), *read, *blocks))
        return mlp.control(out, None if mlp.langevin_scale is None else mlp.langevin_scale(time)[:, None], langevin)

    def _learned_since(self) -> bool:
        """Torch counts no change through ``.data`` or by new modules: the values themselves are compared."""
        now = list(self.policy.parameters())
        return len(now) != len(self.weights) or not all(map(torch.equal, self.weights, now))


class _Recalled(torch.autograd.Function):
    """The heads' outputs ``(K, B, O)`` that a simulation kept: only the backward pass is computed."""

    @staticmethod
    def forward(ctx: Any, kept: tuple[Tensor, ...], head: Tensor, *others: Tensor) -> Tensor:
        ctx.kept = kept
        ctx.save_for_backward(head, *others[4::2])  # torch then says so if they change before the backward pass
        return kept[-1].detach()

    @staticmethod
    @once_differentiable  # what was kept has no slopes of its own; this hides the parameters' names from pyright
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        steps = len(gradients[0])
        slope, inputs, *layers, _ = (each.flatten(0, 1) for each in (gradients[0], *ctx.kept))
        head, *blocks = ctx.saved_tensors
        found: list[Tensor] = []
        of_head = slope.mT @ layers[-1], slope.sum(0)
        slope = torch.ops.aten.silu_backward(slope @ head, layers[-2])
        of_times: list[Tensor] = []
        for layer in reversed(range(len(blocks))):
            hidden, active = layers[2 * layer : 2 * layer + 2]
            found = [slope.mT @ active, slope.sum(0), *found]
            through = torch.ops.aten.silu_backward(slope @ blocks[layer], hidden)
            of_times = [through.unflatten(0, (steps, -1)).sum(1), *of_times]
            slope = slope + through
        return None, *of_head, slope.mT @ inputs, slope.sum(0), torch.cat(of_times, -1), *found
