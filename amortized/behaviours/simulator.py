"""Simulations on a GPU as one launch: a walk is recorded once as a CUDA graph, and replayed with new noise.

A step of a path is a dozen small kernels, whose launch costs more than their work. A graph launches all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any

import torch

from amortized._types import Tensor
from amortized.path import States
from amortized.policies.base import Policy, Steering
from amortized.processes.base import Process
from amortized.simulation import Start, evaluated, rollout_from, simulate_from, steering_of, walked
from amortized.targets.base import Target
from amortized.targets.troubles import first_line

Record = Callable[[Callable[[], list[Tensor]]], tuple[list[Tensor], Callable[[], None]]]
"""Runs a function of fixed tensors: its results, and a function that computes them anew in the same place."""
ALIKE = 1e-4
"""Greatest difference, absolute and relative, between the first replay and the plain walk: rounding of float32."""


def cuda_graph(function: Callable[[], list[Tensor]]) -> tuple[list[Tensor], Callable[[], None]]:
    """A CUDA graph of the function, after the three runs on a stream of their own that torch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = function()
    return found, graph.replay


class Walk:
    """One recorded walk: of a policy, for B paths on any grid of K steps.

    It reads weights where they are. Grid, first states and noise are copied to where it reads them.

    Args:
        record: makes the recording.
        process: its grid may change from call to call.
        policy: reads neither scores nor contexts.
        target: of D variables; it is not asked.
        start: of the first call.
    """

    def __init__(self, record: Record, process: Process, policy: Policy, target: Target, start: Start):
        self.process = process.on(process.times)
        self.start: Start = (start[0].clone(), start[1].clone())
        self.path: States | None = None
        self.steering: Steering | None = None

        def walk() -> list[Tensor]:
            self.process.forget()  # tables are converted within the recording, from what was copied
            self.steering = steering_of(self.process, policy, record=True)
            self.path = walked(self.process, policy, self.steering, target, self.start)
            return [*_tensors_of(self.path), *self.steering.kept_tensors()]

        self.found, self.replay = record(walk)

    def __call__(self, process: Process, start: Start) -> States:
        """The walk from a start: states and what the policy kept, in memory of their own."""
        for mine, given in zip(self.start, start, strict=True):
            mine.copy_(given)
        for name, table in self.process.named_buffers(recurse=False):
            table.copy_(process.get_buffer(name))
        self.replay()
        found = [each.clone() for each in self.found]
        assert self.path is not None and self.steering is not None
        states, *beliefs = found[: len(_tensors_of(self.path))]
        means, stds = beliefs or (None, None)
        return replace(
            self.path,
            states=states,
            belief_means=means,
            belief_stds=stds,
            process=process,
            steering=self.steering.with_kept(found[1 + len(beliefs) :]),
        )


class Simulator:
    """Simulates a policy: by ``rollout`` where gradients go through the path, else by ``simulate``.

    On a GPU the walk of ``simulate`` is recorded once and replayed, if the policy reads neither scores nor contexts.
    The first replay is compared with the plain walk. If they differ, or if torch refuses to record, every walk is plain
    from then on, and ``refused`` says why.

    Args:
        record: makes recordings; None: CUDA graphs, and none elsewhere.
    """

    def __init__(self, record: Record | None = None):
        self.record = record
        self.refused = ""
        self._walks: dict[tuple, Walk] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_walks": {}}  # a recording belongs to one process and its memory

    def __call__(self, process: Process, policy: Policy, target: Target, start: Start) -> States:
        """Paths of the policy: scored where gradients go through the simulation, and else their states alone."""
        if torch.is_grad_enabled():
            return rollout_from(process, policy, target, start)
        record = self.record or (cuda_graph if target.device.type == "cuda" else None)
        plain = policy.needs_score or target.context is not None or policy._forward_pre_hooks
        path = None
        if record is not None and not plain and not self.refused:
            path = self._replayed(record, process, policy, target, start)
        if path is None:
            return simulate_from(process, policy, target, start, record=True)
        return evaluated(path, target)

    def _replayed(
        self, record: Record, process: Process, policy: Policy, target: Target, start: Start
    ) -> States | None:
        """The path; None if it cannot be recorded, or not rightly."""
        places = tuple(weight.data_ptr() for weight in chain(policy.parameters(), process.parameters()))
        key = (id(policy), type(process), process.steps, start[0].shape, policy.training, places)
        if key in self._walks:
            return self._walks[key](process, start)
        try:
            walk = Walk(record, process, policy, target, start)
            path = walk(process, start)
        except RuntimeError as error:  # of an operator that cannot be recorded
            self.refused = first_line(error)
            return None
        plain = walked(process, policy, steering_of(process, policy), target, start)
        if not torch.allclose(path.states, plain.states, rtol=ALIKE, atol=ALIKE):
            self.refused = "the first replay differs from the plain walk"
            return None
        self._walks = {key: walk}  # one at a time: an old one holds its memory
        return path


def _tensors_of(path: States) -> list[Tensor]:
    beliefs = (path.belief_means, path.belief_stds)
    return [path.states, *(each for each in beliefs if each is not None)]
