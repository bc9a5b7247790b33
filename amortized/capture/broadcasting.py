"""Rewrites that do work before a broadcast: ``log(expand(s))`` is ``expand(log(s))``, and its sum is a product."""

from __future__ import annotations

import math

import torch
from torch import fx
from torch.fx.node import Argument

from amortized._types import Tensor
from amortized.capture.known import Known
from amortized.capture.tape import Operation
from amortized.capture.template import Template

aten = torch.ops.aten
# an element of the result depends on the elements in its own place only, so these may come before a broadcast
ELEMENTWISE = {
    aten.neg.default,
    aten.exp.default,
    aten.log.default,
    aten.log1p.default,
    aten.sqrt.default,
    aten.rsqrt.default,
    aten.reciprocal.default,
    aten.sigmoid.default,
    aten.lgamma.default,
    aten.digamma.default,
    aten.pow.Tensor_Scalar,
    aten.add.Tensor,
    aten.add.Scalar,
    aten.sub.Tensor,
    aten.mul.Tensor,
    aten.mul.Scalar,
    aten.div.Tensor,
    aten.div.Scalar,
}


def before_expansion(template: Template, target: Operation, args: tuple, known: Known) -> fx.Node | None:
    """``expand(f(s))`` for an element-wise ``f(expand(s))``, if ``f(s)`` has fewer elements; else ``None``."""
    sources = [_source(argument) for argument in args]
    nodes = [source for source in sources if isinstance(source, fx.Node)]
    if not any(isinstance(a, fx.Node) and a is not s for a, s in zip(args, sources, strict=True)):
        return None
    if not all(isinstance(getattr(template.known.get(node), "one", None), Tensor) for node in nodes):
        return None
    small = Known(
        target(*(template.known[source].one if isinstance(source, fx.Node) else source for source in sources)),
        target(*(template.known[source].two if isinstance(source, fx.Node) else source for source in sources)),
    )
    if small.one.numel() >= known.one.numel() or small.one.dtype != known.one.dtype:
        return None
    return template.expand(template.call(target, tuple(sources), small), known)


def _source(argument: Argument) -> Argument:
    """``s`` for ``expand(s)``, else the argument itself."""
    if isinstance(argument, fx.Node) and argument.target is aten.expand.default:
        return argument.args[0]
    return argument


def sum_inside(template: Template, args: tuple, known: Known) -> fx.Node | None:
    """``Σ −z = −Σ z``, ``Σ (z ± c) = Σ z ± n c`` and ``Σ z c = c Σ z`` for a ``c`` that is constant along the sum."""
    node, dims = args
    if node.op != "call_function" or node.kwargs or node.target not in SUMMED:
        return None
    before, inner = template.known[node], node.args[0]
    if not isinstance(inner, fx.Node) or not before.looks_like(template.known[inner]):
        return None
    values = template.known[inner]
    summed = Known(values.one.sum(dims), values.two.sum(dims))
    if node.target is aten.neg.default:
        return template.call(aten.neg.default, (template.call(aten.sum.dim_IntList, (inner, dims), summed),), known)
    constant = _along(template, node.args[1], before, dims)
    counts = {math.prod(value.shape[dim] for dim in dims) for value in (before.one, before.two)}
    if constant is None or len(counts) > 1:
        return None
    total = template.call(aten.sum.dim_IntList, (inner, dims), summed)
    if node.target in (aten.add.Tensor, aten.sub.Tensor):
        if isinstance(constant, fx.Node):
            each, count = template.known[constant], counts.pop()
            constant = template.call(aten.mul.Tensor, (constant, count), Known(each.one * count, each.two * count))
        else:
            constant = constant * counts.pop()
    return template.call(node.target, (total, constant), known)


# the operations whose sum ``sum_inside`` rewrites
SUMMED = {aten.neg.default, aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}


def _along(template: Template, argument: Argument, before: Known, dims: list[int]) -> float | fx.Node | None:
    """The number or node, without the summed dimensions, that ``argument`` repeats along them; else ``None``."""
    constant = template.number(argument)
    if constant is not None:
        return constant
    source = _source(argument)
    if source is argument or not isinstance(source, fx.Node):
        return None
    each = template.known.get(source)
    if each is None or each.one.dim() != before.one.dim() or each.one.dtype != before.one.dtype:
        return None
    if any(value.shape[dim] != 1 for value in (each.one, each.two) for dim in dims):
        return None
    squeezed = Known(*(torch.squeeze(value, tuple(dims)) for value in (each.one, each.two)))
    return template.call(aten.squeeze.dims, (source, dims), squeezed)
