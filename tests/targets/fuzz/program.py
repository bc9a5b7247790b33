"""A whole Pyro program as runnable source text: ``model``, ``args`` and ``kwargs``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.targets.fuzz import blocks, statements
from tests.targets.fuzz.refused import REFUSALS, Refusal
from tests.targets.fuzz.writer import Writer

HEADER = """\
import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import torch
from pyro.distributions import constraints as C
from pyro.distributions import transforms as T
from pyro.infer.reparam import LocScaleReparam, TransformReparam
from pyro.nn import PyroModule, PyroSample
"""
PRECISIONS = ("single", "double", "double data")


@dataclass(frozen=True)
class Program:
    """``source`` runs under a default dtype of float64 where ``precision`` is "double"; "double data": its data are.

    ``refusal``: why a target must refuse the program.
    """

    source: str
    precision: str
    refusal: Refusal | None = None


@st.composite
def programs(draw: Any) -> Program:
    """Random programs that are valid Pyro by construction."""
    w = Writer(draw)
    precision = w.pick(PRECISIONS)
    w.dtype = ", dtype=torch.float64" if precision == "double data" else ""
    module = w.chance(10)
    if module:
        w.base = w.depth = 2
        w.define("weight", "real")
        w.define("bias", "real")
        w.write("weight, bias = self.weight, self.bias")
    statements.latent(w)
    w.conditioned.clear()
    blocks.write(w, 1, 4)
    statements.likelihood(w)
    refusal = w.pick(REFUSALS) if w.chance(15) else None
    for line in refusal.lines if refusal else ():
        w.write(line)
    return Program(_source(w, module), precision, refusal)


def _source(w: Writer, module: bool) -> str:
    names = [name for name, _ in w.parameters]
    by_name = w.draw(st.integers(0, len(names))) if w.chance(3) else 0
    lines = [HEADER, *_model(w, names, module)]
    if w.reparametrized:
        config = ", ".join(f'"{name}": {reparam}' for name, reparam in w.reparametrized.items())
        lines.append(f"model = poutine.reparam(model, config={{{config}}})")
    if w.conditioned:
        data = ", ".join(f'"{name}": {value}' for name, value in w.conditioned.items())
        lines.append(f"model = poutine.condition(model, data={{{data}}})")
    if w.chance(10):
        around = w.pick(("poutine.scale(model, 0.7)", "poutine.mask(model, mask=torch.tensor(True))"))
        lines.append(f"model = {around}")
    split = len(names) - by_name
    lines.append(f"args = ({''.join(value + ', ' for _, value in w.parameters[:split]).rstrip()})")
    lines.append("kwargs = {" + ", ".join(f'"{name}": {value}' for name, value in w.parameters[split:]) + "}")
    return "\n".join(lines) + "\n"


def _model(w: Writer, names: list[str], module: bool) -> list[str]:
    if not module:
        return ["", f"def model({', '.join(names)}):", *w.lines, "", ""]
    return [
        "",
        "class Model(PyroModule):",
        "    def __init__(self):",
        "        super().__init__()",
        "        self.weight = PyroSample(dist.Normal(0.0, 1.0))",
        "        self.bias = torch.nn.Parameter(torch.tensor(0.3))",
        "",
        f"    def forward({', '.join(['self', *names])}):",
        *w.lines,
        "",
        "",
        "model = Model()",
    ]
