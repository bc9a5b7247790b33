"""Rewrites of single tensor operations that change the cost and not the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.fx.node import Argument

from amortized._types import Tensor
from amortized.capture.broadcasting import ELEMENTWISE, before_expansion, sum_inside
from amortized.capture.known import Known
from amortized.capture.tape import Operation
from amortized.capture.template import Template

aten = torch.ops.aten
# these keep the order and the number of the elements
VIEWS = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.expand.default,
    aten.alias.default,
    aten.detach.default,
    aten.lift_fresh_copy.default,
    aten._reshape_alias.default,
}
# of the views, those that fail on a broadcast tensor, which ``reshape`` copies
RESHAPES = {aten.view.default, aten._unsafe_view.default}
# these may be the transpose of a matrix, which ``_swaps`` tells from their arguments
TRANSPOSES = {aten.permute.default, aten.t.default}

Rule = Callable[[Template, tuple, Known], fx.Node | None]


def simplify(
    template: Template, target: Operation, args: tuple, kwargs: dict[str, Any], known: Known
) -> fx.Node | None:
    """A cheaper node that equals ``target(*args, **kwargs)``, or ``None``."""
    if kwargs and target is not aten.clone.default:
        return None
    if target in VIEWS:
        first = _first_of_chain(template, args[0], known)
        if first is None and target in RESHAPES and args[0].target is aten.expand.default:
            return template.emit(aten.reshape.default, args, kwargs, known)
        return first
    rule = RULES.get(target)
    simpler = rule(template, args, known) if rule else None
    if simpler is None and target in ELEMENTWISE:
        return before_expansion(template, target, args, known)
    return simpler


def _first_of_chain(template: Template, node: fx.Node, known: Known) -> fx.Node | None:
    """The nearest ancestor with this very shape and dtype, through views alone."""
    while True:
        other = template.known.get(node)
        if other is None or not isinstance(other.one, Tensor) or other.one.numel() != known.one.numel():
            return None
        if known.looks_like(other):
            return node
        if node.op != "call_function" or node.target not in VIEWS:
            return None
        node = node.args[0]  # type: ignore[assignment]


def _alike(template: Template, argument: Argument, known: Known) -> fx.Node | None:
    """``argument``, if it has the dtype and the shape of the result."""
    if isinstance(argument, fx.Node) and argument in template.known and known.looks_like(template.known[argument]):
        return argument
    return None


def _neutral(neutral: float, both_sides: bool) -> Rule:
    """The rule that leaves out an operation with its neutral element: ``x + 0``, ``1 x``, ``x / 1``."""

    def rule(template: Template, args: tuple, known: Known) -> fx.Node | None:
        if len(args) != 2:
            return None
        if template.number(args[1]) == neutral:
            return _alike(template, args[0], known)
        if both_sides and template.number(args[0]) == neutral:
            return _alike(template, args[1], known)
        return None

    return rule


def _negation(template: Template, args: tuple, known: Known) -> fx.Node | None:
    inner = args[0]
    if not isinstance(inner, fx.Node) or inner.kwargs:
        return None
    if inner.target is aten.neg.default:
        return inner.args[0]  # type: ignore[return-value]
    both = [_alike(template, argument, known) for argument in inner.args]
    if inner.target is aten.sub.Tensor and len(inner.args) == 2 and all(both):
        return template.emit(aten.sub.Tensor, (both[1], both[0]), {}, known)
    return None


def _sum(template: Template, args: tuple, known: Known) -> fx.Node | None:
    """A sum over dimensions of one element is a view. Other sums go inside an operation with a constant."""
    if len(args) != 2 or not args[1]:
        return None
    node, dims = args
    before = template.known[node]
    if before.one.dtype != known.one.dtype:
        return None
    if any(value.shape[dim] != 1 for value in (before.one, before.two) for dim in dims):
        return sum_inside(template, args, known)
    chained = _first_of_chain(template, node, known)
    return chained or template.emit(aten.squeeze.dims, (node, dims), {}, known)


def _transposed_product(template: Template, args: tuple, known: Known) -> fx.Node | None:
    """``(A B)ᵀ = Bᵀ Aᵀ``: vmap puts the particles last, and so they come first in memory too."""
    product = args[0]
    if known.one.dim() != 2 or not _swaps(args):
        return None
    if product.target in TRANSPOSES and _swaps(product.args):
        return product.args[0]
    if product.target is not aten.mm.default:
        return None
    left, right = (_transpose(template, factor) for factor in product.args)
    return template.emit(aten.mm.default, (right, left), {}, known)


def _swaps(args: tuple) -> bool:
    """Whether these are the arguments of a matrix transpose: ``t(x)`` or ``permute(x, [1, 0])``."""
    return len(args) == 1 or list(args[1]) == [1, 0]


def _transpose(template: Template, node: fx.Node) -> fx.Node:
    if node.target in TRANSPOSES and _swaps(node.args):
        return node.args[0]  # type: ignore[return-value]
    before = template.known[node]
    return template.emit(aten.t.default, (node,), {}, Known(before.one.t(), before.two.t()))


def _copy(template: Template, args: tuple, known: Known) -> fx.Node | None:
    """A copy with the same layout is not needed: nothing is written in place."""
    before = template.known[args[0]]
    same = all(a.stride() == b.stride() for a, b in ((before.one, known.one), (before.two, known.two)))
    return _alike(template, args[0], known) if same else None


# one rule for each operation, from its arguments and values to a cheaper node or None
RULES: dict[Operation, Rule] = {
    aten.add.Tensor: _neutral(0.0, both_sides=True),
    aten.sub.Tensor: _neutral(0.0, both_sides=False),
    aten.mul.Tensor: _neutral(1.0, both_sides=True),
    aten.mul.Scalar: _neutral(1.0, both_sides=False),
    aten.div.Tensor: _neutral(1.0, both_sides=False),
    aten.pow.Tensor_Scalar: _neutral(1.0, both_sides=False),
    aten.neg.default: _negation,
    aten.sum.dim_IntList: _sum,
    aten.clone.default: _copy,
    aten.permute.default: _transposed_product,
    aten.t.default: _transposed_product,
}
