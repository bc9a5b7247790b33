"""One graph for every batch size, made out of two graphs of the same computation at two batch sizes, and simplified.

Integers that differ between the two are affine in the batch size; what does not depend on the particles' values is
computed once; operations that change nothing are left out.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from amortized._types import Tensor
from amortized.capture.known import Known
from amortized.capture.tape import OutOfTime, Recording, Step

aten = torch.ops.aten
SHAPE_ONLY = {
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.full_like.default,
    aten.empty_like.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_full.default,
    aten.new_empty.default,
    aten.fill.Scalar,
    aten.zero.default,
}


class CannotUnify(RuntimeError):
    """The two graphs are not the same computation at two batch sizes."""


class Template:
    """Builds the graph for every batch size; ``build`` returns it as a module ``x: (B, D) -> the traced outputs``.

    ``rewrite``: finds a cheaper node that equals a call, or ``None``; without it the graph stays as it was recorded.
    """

    def __init__(self, recordings: tuple[Recording, Recording], deadline: float, rewrite: Rewrite | None = None):
        self.recordings = recordings
        self.rewrite = rewrite
        self.deadline = deadline
        one, two = (len(recording.steps[0].value) for recording in recordings)
        self.sizes = one, two
        self.graph = fx.Graph()
        self.constants = torch.nn.Module()
        self.twin: dict[Step, Step] = {}
        self.new: dict[Step, fx.Node] = {}
        self.depends: dict[Step, bool] = {}
        self.known: dict[fx.Node, Known] = {}
        self.emitted: dict[Any, fx.Node] = {}

    def build(self) -> fx.GraphModule:
        first, second = self.recordings
        if len(first.steps) != len(second.steps):
            raise CannotUnify(f"{len(first.steps)} operations at one batch size, {len(second.steps)} at another")
        self.twin = dict(zip(first.steps, second.steps, strict=True))
        for one, two in self.twin.items():
            if (one.kind, one.target) != (two.kind, two.target):
                raise CannotUnify(f"{one.target} at one batch size, {two.target} at another")
            if time.monotonic() > self.deadline:
                raise OutOfTime("simplifying the log density took too long")
            self._translate(one, two)
        self.graph.output(tuple(self._unify(*pair) for pair in zip(first.outputs, second.outputs, strict=True)))
        self.graph.eliminate_dead_code()
        return fx.GraphModule(self.constants, self.graph)

    def _translate(self, one: Step, two: Step) -> None:
        known = Known(one.value, two.value)
        if one.kind == "input":
            self.new[one] = self.graph.placeholder("x")
            self.batch = self.graph.call_method("size", (self.new[one], 0))
            self.depends[one] = True
            self.known[self.new[one]] = known
            return
        self.depends[one] = one.target not in SHAPE_ONLY and any(self.depends[step] for step in one.inputs())
        if not self.depends[one] and isinstance(one.value, Tensor):
            constant = self._constant(known)
            if constant is not None:
                self.new[one] = constant
                return
        if one.kind == "constant":
            raise CannotUnify("a constant that differs between batch sizes")
        args, kwargs = self._unify((one.args, one.kwargs), (two.args, two.kwargs))
        self.new[one] = self.call(one.target, args, known, kwargs)

    def call(self, target: Any, args: tuple, known: Known, kwargs: dict[str, Any] | None = None) -> fx.Node:
        """``target(*args, **kwargs)`` in the new graph, or something cheaper that equals it."""
        simpler = self.rewrite(self, target, args, kwargs or {}, known) if self.rewrite else None
        return simpler or self.emit(target, args, kwargs or {}, known)

    def number(self, argument: Any) -> float | None:
        """The number that an argument is, as a Python scalar or as a constant tensor filled with it."""
        if isinstance(argument, (int, float)):
            return float(argument)
        stored = isinstance(argument, fx.Node) and (
            argument.op == "get_attr"
            or (argument.target is aten.expand.default and getattr(argument.args[0], "op", "") == "get_attr")
        )
        return self.known[argument].splat if stored else None

    def emit(self, target: Any, args: tuple, kwargs: dict, known: Known) -> fx.Node:
        """A call in the new graph; the one made before, where the same call was."""
        key = (target, repr((args, sorted(kwargs.items()))))
        if key not in self.emitted:
            self.emitted[key] = self.graph.call_function(target, args, kwargs)
            self.known[self.emitted[key]] = known
        return self.emitted[key]

    def size(self, one: int, two: int) -> Any:
        """An integer that may depend on the batch size B, as ``a B + c``."""
        if one == two:
            return one
        slope, rest = divmod(two - one, self.sizes[1] - self.sizes[0])
        if rest:
            raise CannotUnify(f"the integers {one} and {two} at batch sizes {self.sizes}")
        offset = one - slope * self.sizes[0]
        node = self.batch if slope == 1 else self._arithmetic(operator.mul, self.batch, slope)
        return node if offset == 0 else self._arithmetic(operator.add, node, offset)

    def _arithmetic(self, target: Any, node: fx.Node, number: int) -> fx.Node:
        key = (target, node.name, number)
        if key not in self.emitted:
            self.emitted[key] = self.graph.call_function(target, (node, number))
        return self.emitted[key]

    def _unify(self, one: Any, two: Any) -> Any:
        if isinstance(one, Step):
            if self.twin[one] is not two:
                raise CannotUnify(f"{one.target} is computed from other operations at another batch size")
            return self.new[one]
        if isinstance(one, (tuple, list)) and isinstance(two, (tuple, list)) and len(one) == len(two):
            return type(one)([self._unify(a, b) for a, b in zip(one, two, strict=True)])
        if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
            return {key: self._unify(one[key], two[key]) for key in one}
        if isinstance(one, int) and isinstance(two, int) and not isinstance(one, bool):
            return self.size(one, two)
        if type(one) is type(two) and (one == two or one != one):
            return one
        raise CannotUnify(f"the arguments {one} and {two}")

    def _constant(self, known: Known) -> fx.Node | None:
        """A stored tensor, stretched along the dimensions that follow the batch size; ``None`` where it is neither."""
        one, two = known.one, known.two
        if one.dim() != two.dim():
            return None
        stretched = [dim for dim in range(one.dim()) if one.shape[dim] != two.shape[dim]]
        if known.splat is not None:
            stretched = list(range(one.dim()))
        for dim in stretched:
            one, two = one.narrow(dim, 0, 1), two.narrow(dim, 0, 1)
        if not (_equal(one, two) and _equal(one.expand_as(known.one), known.one)):
            return None
        name = f"constant_{len(self.constants._buffers)}"
        node = self._stored(name, one)
        self.known[node] = Known(one, two)
        return self.expand(node, known) if stretched else node

    def expand(self, node: fx.Node, known: Known) -> fx.Node:
        """``node`` broadcast to the shape of ``known``."""
        shape = [self.size(a, b) for a, b in zip(known.one.shape, known.two.shape, strict=True)]
        return self.emit(aten.expand.default, (node, shape), {}, known)

    def _stored(self, name: str, value: Tensor) -> fx.Node:
        self.constants.register_buffer(name, value.detach().clone())
        return self.graph.get_attr(name)


Rewrite = Callable[[Template, Any, tuple, dict[str, Any], Known], fx.Node | None]


def _equal(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and bool(((one == two) | ((one != one) & (two != two))).all())
