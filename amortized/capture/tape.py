"""A recorder of tensor operations: what a function did to its input, with the value of every step."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx
from torch.utils._python_dispatch import TorchDispatchMode

from amortized._types import Tensor


class OutOfTime(RuntimeError):
    """Recording took longer than it may."""


@dataclass(eq=False)
class Step:
    """One operation: ``target(*args, **kwargs)``, its arguments other steps or constants; ``value`` came out.

    ``kind``: "input", "constant", "call", or "part": ``args[0]``'s element number ``args[1]``.
    """

    kind: str
    value: Any
    target: Any = None
    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def inputs(self) -> Iterator[Step]:
        found: list[Step] = []
        replaced((self.args, self.kwargs), Step, found.append)
        return iter(found)


@dataclass(frozen=True)
class Recording:
    """The steps from the input (the first step) to the outputs, in order, without those that nothing needs."""

    steps: list[Step]
    outputs: tuple[Step, ...]

    @property
    def writes_in_place(self) -> bool:
        return any(_is_mutable(step.target) for step in self.steps)

    def replay(self) -> fx.GraphModule:
        """The same computation as a function of its input."""
        graph, constants, nodes = fx.Graph(), torch.nn.Module(), {}
        for step in self.steps:
            args, kwargs = replaced((step.args, step.kwargs), Step, nodes.__getitem__)
            if step.kind == "input":
                nodes[step] = graph.placeholder("x")
            elif step.kind == "constant":
                name = f"constant_{len(nodes)}"
                constants.register_buffer(name, step.value)
                nodes[step] = graph.get_attr(name)
            else:
                nodes[step] = graph.call_function(step.target, args, kwargs)
        graph.output(tuple(nodes[step] for step in self.outputs))
        return fx.GraphModule(constants, graph)


class Tape(TorchDispatchMode):
    """Records every operation below ``torch.func``, where particles are an ordinary dimension of every tensor.

    A Python number read off a tensor becomes a constant of the recording. That is right under vmap alone, which
    refuses to read a number off anything that depends on a particle.
    """

    def __init__(self, deadline: float):
        super().__init__()
        self.deadline = deadline
        self.steps: list[Step] = []
        self.made: dict[int, Step] = {}
        self.sharing: dict[int, set[int]] = {}
        self.kept: list[Tensor] = []

    def record(self, function: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> Recording:
        """Runs ``function(x)``; raises ``OutOfTime`` at the first operation after the deadline."""
        self._add(Step("input", x))
        with self:
            outputs = tuple(self._step(output) for output in function(x))
        needed = set(outputs)
        for step in reversed(self.steps):
            if step in needed or _is_mutable(step.target):
                needed.add(step)
                needed.update(step.inputs())
        recording = Recording([step for step in self.steps if step in needed], outputs)
        if not recording.writes_in_place:
            return recording
        functional = torch.func.functionalize(recording.replay(), remove="mutations")
        again = Tape(self.deadline).record(functional, x)
        if again.writes_in_place:
            raise RuntimeError("the log density writes in place where that cannot be undone")
        return again

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if time.monotonic() > self.deadline:
            raise OutOfTime("recording the log density took too long")
        kwargs = kwargs or {}
        inputs, named = replaced((args, kwargs), Tensor, self._step)
        target = func
        if _has_form_out_of_place(func) and self._is_alone(args[0]):
            target = _out_of_place(func)
            inputs[0].value = args[0].clone()
        result = func(*args, **kwargs)
        self._add(Step("call", result, target, inputs, named))
        return result

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        if isinstance(step.value, Tensor):
            self.made[id(step.value)] = step
            self.sharing.setdefault(step.value.untyped_storage()._cdata, set()).add(id(step.value))
        elif isinstance(step.value, (tuple, list)):
            for position, part in enumerate(step.value):
                if isinstance(part, Tensor):
                    self._add(Step("part", part, operator.getitem, (step, position)))

    def _step(self, value: Tensor) -> Step:
        if id(value) not in self.made:
            self.kept.append(value)
            self._add(Step("constant", value.detach()))
            self.made[id(value)] = self.steps[-1]
        return self.made[id(value)]

    def _is_alone(self, value: Tensor) -> bool:
        """Whether a tensor was made by a recorded operation and no other recorded tensor shares its memory."""
        return self.made[id(value)].kind == "call" and len(self.sharing[value.untyped_storage()._cdata]) == 1


def replaced(argument: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """``argument`` with every instance of ``kind`` within its tuples, lists and dictionaries changed."""
    if isinstance(argument, kind):
        return change(argument)
    if isinstance(argument, (tuple, list)):
        return type(argument)([replaced(part, kind, change) for part in argument])
    if isinstance(argument, dict):
        return {key: replaced(part, kind, change) for key, part in argument.items()}
    return argument


def _is_mutable(func: Any) -> bool:
    return bool(getattr(getattr(func, "_schema", None), "is_mutable", False))


def _out_of_place(func: Any) -> Any:
    """``aten.add`` for ``aten.add_``; ``None`` where there is none."""
    packet = getattr(torch.ops.aten, func._schema.name.split("::")[1].removesuffix("_"), None)
    return getattr(packet, func._overloadname, None)


def _has_form_out_of_place(func: Any) -> bool:
    """Whether an operation writes into its first argument, returns it, and has a form that writes nothing."""
    return _is_mutable(func) and func._schema.name.endswith("_") and _out_of_place(func) is not None
