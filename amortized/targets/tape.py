"""A recorder of tensor operations: what a function did to its input, as a graph with the value of every node."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from amortized._types import Tensor


class OutOfTime(RuntimeError):
    """Recording took longer than it may."""


class Tape(TorchDispatchMode):
    """Records every operation below ``torch.func``, where particles are an ordinary dimension of every tensor.

    A Python number read off a tensor becomes a constant of the graph. That is right under vmap alone, which refuses
    to read a number off anything that depends on a particle.
    """

    def __init__(self, deadline: float):
        super().__init__()
        self.deadline = deadline
        self.graph = fx.Graph()
        self.constants = torch.nn.Module()
        self.nodes: dict[int, fx.Node] = {}
        self.values: dict[fx.Node, Any] = {}
        self.sharing: dict[int, set[int]] = {}

    def record(self, function: Callable[[Tensor], Any], x: Tensor) -> Recording:
        """Runs ``function(x)``; raises ``OutOfTime`` at the first operation after the deadline."""
        self._name(x, self.graph.placeholder("x"))
        with self:
            outputs = function(x)
        self.graph.output(pytree.tree_map(self._node, outputs))
        self.graph.eliminate_dead_code()
        return Recording(fx.GraphModule(self.constants, self.graph), self.values)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if time.monotonic() > self.deadline:
            raise OutOfTime("recording the log density took too long")
        kwargs = kwargs or {}
        inputs = pytree.tree_map_only(Tensor, self._node, (args, kwargs))
        written = func
        if _writes_in_place(func) and self._is_alone(args[0]):
            written = _out_of_place(func)
            self.values[inputs[0][0]] = args[0].clone()
        result = func(*args, **kwargs)
        node = self.graph.call_function(written, *inputs)
        self.values[node] = result
        if isinstance(result, Tensor):
            self._name(result, node)
        elif isinstance(result, (tuple, list)):
            for position, part in enumerate(result):
                if isinstance(part, Tensor):
                    self._name(part, self.graph.call_function(_item, (node, position)))
        return result

    def _name(self, value: Tensor, node: fx.Node) -> None:
        self.nodes[id(value)] = node
        self.values[node] = value
        self.sharing.setdefault(value.untyped_storage()._cdata, set()).add(id(value))

    def _node(self, value: Tensor) -> fx.Node:
        if id(value) not in self.nodes:
            name = f"constant_{len(self.constants._buffers)}"
            self.constants.register_buffer(name, value.detach())
            self._name(value, self.graph.get_attr(name))
        return self.nodes[id(value)]

    def _is_alone(self, value: Tensor) -> bool:
        """Whether a tensor was made by a recorded operation and no other recorded tensor shares its memory."""
        return self.nodes[id(value)].op == "call_function" and len(self.sharing[value.untyped_storage()._cdata]) == 1


def _is_mutable(func: Any) -> bool:
    return bool(getattr(getattr(func, "_schema", None), "is_mutable", False))


def _out_of_place(func: Any) -> Any:
    """``aten.add`` for ``aten.add_``; ``None`` where there is none."""
    packet = getattr(torch.ops.aten, func._schema.name.split("::")[1].removesuffix("_"), None)
    return getattr(packet, func._overloadname, None)


def _writes_in_place(func: Any) -> bool:
    """Whether an operation writes into its first argument, returns it, and has a form that writes nothing."""
    return _is_mutable(func) and func._schema.name.endswith("_") and _out_of_place(func) is not None


def _item(values: Any, position: int) -> Any:
    return values[position]


class Recording:
    """A graph ``x -> outputs`` and the value of each of its nodes in the run that made it."""

    def __init__(self, module: fx.GraphModule, values: dict[fx.Node, Any]):
        self.module = module
        self.values = values

    def without_mutation(self, x: Tensor) -> Recording:
        """The same computation with every write in place turned into a new tensor."""
        if not any(_is_mutable(node.target) for node in self.module.graph.nodes):
            return self
        functional = torch.func.functionalize(self.module, remove="mutations")
        module = make_fx(lambda x: functional(x))(x)
        module.graph.eliminate_dead_code()
        recorder = _Recorder(module)
        recorder.run(x)
        return Recording(module, recorder.values)


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule):
        super().__init__(module)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = super().run_node(n)
        return self.values[n]
