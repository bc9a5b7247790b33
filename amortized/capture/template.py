"""Unifying: one graph for every batch size, out of recordings of the same computation at two batch sizes."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.fx.node import Argument

from amortized._types import Tensor
from amortized.capture.known import Known
from amortized.capture.tape import Operation, OutOfTime, Recording, Step

aten = torch.ops.aten
# these read the shape of their argument and not its values, so that their result is a constant
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
    """The two recordings are not the same computation at two batch sizes."""


class Template:
    """Builds the graph for every batch size.

    An integer that differs between the recordings is affine in the batch size. A tensor that does not depend on the
    input is stored as a constant. The same call is made once.

    Args:
        recordings: Of the same function at two batch sizes.
        deadline: In seconds of ``time.monotonic``.
        rewrite: Finds a cheaper node that equals a call, or returns ``None``. Without it nothing is simplified.
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
        self.emitted: dict[tuple, fx.Node] = {}

    def build(self) -> fx.GraphModule:
        """The module ``x: (B, D) -> the recorded outputs``.

        Raises:
            CannotUnify: If the recordings differ in more than the batch size.
            OutOfTime: After the deadline.
        """
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
        assert one.target is not None
        self.new[one] = self.call(one.target, args, known, kwargs)

    def call(self, target: Operation, args: tuple, known: Known, kwargs: dict[str, Any] | None = None) -> fx.Node:
        """A node that equals ``target(*args, **kwargs)``, rewritten if a rule applies."""
        simpler = self.rewrite(self, target, args, kwargs or {}, known) if self.rewrite else None
        return simpler or self.emit(target, args, kwargs or {}, known)

    def number(self, argument: Argument) -> float | None:
        """The number that an argument is: a Python scalar, or a stored tensor filled with one number."""
        if isinstance(argument, (int, float)):
            return float(argument)
        if not isinstance(argument, fx.Node):
            return None
        source = argument.args[0] if argument.target is aten.expand.default else argument
        return self.known[argument].splat if getattr(source, "op", "") == "get_attr" else None

    def emit(self, target: Operation, args: tuple, kwargs: dict[str, Any], known: Known) -> fx.Node:
        """The node ``target(*args, **kwargs)``, which is made once."""
        key = (target, repr((args, sorted(kwargs.items()))))
        if key not in self.emitted:
            self.emitted[key] = self.graph.call_function(target, args, kwargs)
            self.known[self.emitted[key]] = known
        return self.emitted[key]

    def size(self, one: int, two: int) -> int | fx.Node:
        """An integer that is ``one`` and ``two`` at the two batch sizes; ``a B + c`` in the graph if they differ."""
        if one == two:
            return one
        slope, rest = divmod(two - one, self.sizes[1] - self.sizes[0])
        if rest:
            raise CannotUnify(f"the integers {one} and {two} at batch sizes {self.sizes}")
        offset = one - slope * self.sizes[0]
        node = self.batch if slope == 1 else self._arithmetic(operator.mul, self.batch, slope)
        return node if offset == 0 else self._arithmetic(operator.add, node, offset)

    def _arithmetic(self, target: Operation, node: fx.Node, number: int) -> fx.Node:
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
        """A stored tensor, broadcast along the dimensions that follow the batch size, or ``None``."""
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


Rewrite = Callable[[Template, Operation, tuple, dict[str, Any], Known], fx.Node | None]
"""Template, target, args, kwargs and values of a call to a cheaper node that equals it, or ``None``."""


def _equal(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and bool(((one == two) | ((one != one) & (two != two))).all())
