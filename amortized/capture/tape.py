"""Recording: every tensor operation of a function, with its value."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import fx
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from amortized._types import Tensor


class OutOfTime(RuntimeError):
    """Recording or simplifying passed its deadline."""


Operation = Callable[..., Any]
"""What a step calls: one of torch's operators, or ``operator.getitem``."""
Kind = Literal["input", "constant", "call", "part"]


@dataclass(eq=False)
class Step:
    """One operation ``target(*args, **kwargs)`` and the ``value`` that it returned.

    Args:
        kind: A "part" is element ``args[1]`` of the step ``args[0]``, which returned several tensors.
        value: A tensor, several in a tuple or list, or a number read off a tensor.
        target: ``None`` for an input and a constant.
        args: Other steps, and numbers as they are.
    """

    kind: Kind
    value: Any
    target: Operation | None = None
    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def inputs(self) -> Iterator[Step]:
        found: list[Step] = []
        replaced((self.args, self.kwargs), Step, found.append)
        return iter(found)


@dataclass(frozen=True)
class Recording:
    """The steps from the input, which is the first, to the outputs, in order. Steps that nothing needs are left out."""

    steps: list[Step]
    outputs: tuple[Step, ...]

    @property
    def writes_in_place(self) -> bool:
        return any(_is_mutable(step.target) for step in self.steps)

    def replay(self) -> fx.GraphModule:
        """The recorded computation as a function of its input."""
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
                assert step.target is not None
                nodes[step] = graph.call_function(step.target, args, kwargs)
        graph.output(tuple(nodes[step] for step in self.outputs))
        return fx.GraphModule(constants, graph)


class Tape(TorchDispatchMode):
    """Records every operation below ``torch.func``, where particles are an ordinary dimension of every tensor.

    A number that Python reads off a tensor becomes a constant of the recording. So ``function`` must run under vmap:
    vmap refuses to read a number off anything that depends on a particle.

    Args:
        deadline: In seconds of ``time.monotonic``.
    """

    def __init__(self, deadline: float):
        super().__init__()
        self.deadline = deadline
        self.steps: list[Step] = []
        self.made: dict[int, Step] = {}
        self.sharing: dict[int, set[int]] = {}
        self.constants: list[Tensor] = []  # held, since another tensor could get the id of one that is gone

    def record(self, function: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> Recording:
        """Runs ``function(x)`` and returns what it did.

        Raises:
            OutOfTime: At the first operation after the deadline.
            RuntimeError: If the function writes in place in a way that cannot be undone.
        """
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
            self.constants.append(value)
            self._add(Step("constant", value.detach()))
            self.made[id(value)] = self.steps[-1]
        return self.made[id(value)]

    def _is_alone(self, value: Tensor) -> bool:
        """Whether a tensor was made by a recorded operation and no other recorded tensor shares its memory."""
        return self.made[id(value)].kind == "call" and len(self.sharing[value.untyped_storage()._cdata]) == 1


def replaced(argument: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """``argument`` with ``change`` applied to every instance of ``kind`` in its tuples, lists and dictionaries."""
    if isinstance(argument, kind):
        return change(argument)
    if isinstance(argument, (tuple, list)):
        return type(argument)([replaced(part, kind, change) for part in argument])
    if isinstance(argument, dict):
        return {key: replaced(part, kind, change) for key, part in argument.items()}
    return argument


def _is_mutable(func: Operation | None) -> bool:
    return bool(getattr(getattr(func, "_schema", None), "is_mutable", False))


def _out_of_place(func: OpOverload) -> OpOverload | None:
    """``aten.add`` for ``aten.add_``, or ``None``."""
    packet = getattr(torch.ops.aten, func._schema.name.split("::")[1].removesuffix("_"), None)
    return getattr(packet, func._overloadname, None)


def _has_form_out_of_place(func: OpOverload) -> bool:
    """Whether an operation writes into its first argument, returns it, and has a form that writes nothing."""
    return _is_mutable(func) and func._schema.name.endswith("_") and _out_of_place(func) is not None
