"""A few figures of a model's data and parameters, by which a loaded guide sees that they are those of the fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from amortized._types import Tensor
from amortized.targets.pyro.target import PyroTarget

PART = 1e-5
"""Of mean plus std by which figures may differ: a model may transform its data, with other rounding elsewhere."""
DATA = "data of "
"""Begins the names of data, and not those of parameters."""


class Figures(NamedTuple):
    """What is compared of a tensor.

    Args:
        kind: Its dtype and shape.
        finite: How many of its values are finite; the other figures are of these.
        mean: Their mean.
        std: Their standard deviation.
        projection: Their sum with fixed random weights over √N. It sees one value that changed, and another order.
    """

    kind: str
    finite: int
    mean: float
    std: float
    projection: float

    def agrees(self, other: Figures) -> bool:
        """Whether both are of the same numbers, up to rounding."""
        allowed = PART * (abs(self.mean) + self.std)
        pairs = zip(self[2:], other[2:], strict=True)
        return self[:2] == other[:2] and all(math.isclose(one, two, rel_tol=0, abs_tol=allowed) for one, two in pairs)

    def __str__(self) -> str:
        figures = f"mean {self.mean:.6g}, sd {self.std:.6g}, random projection {self.projection:.6g}"
        return f"{self.finite:,} finite values in {self.kind}, {figures}"


def figures(value: Tensor) -> Figures:
    """Of any tensor.

    >>> one, other = figures(torch.tensor([1.0, 2.0, 3.0])), figures(torch.tensor([2.0, 1.0, 3.0]))
    >>> one.mean == other.mean, one.agrees(other), one.agrees(figures(torch.tensor([1.0, 2.0, 3.0 + 1e-6])))
    (True, False, True)
    """
    x = value.detach().cpu().double().flatten()
    weights = torch.randn(len(x), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    finite = x.isfinite()
    x, weights = x[finite], weights[finite]
    count = max(1, len(x))
    mean = float(x.sum()) / count
    std, projection = math.sqrt(float((x - mean).square().sum()) / count), float((x * weights).sum()) / math.sqrt(count)
    kind = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return Figures(kind, len(x), mean, std, projection)


def figures_of(target: PyroTarget) -> dict[str, Figures]:
    """Those of each observed site's data and of each parameter."""
    data = {f"{DATA}{name}": figures(value) for name, value in target.observations.items()}
    return {**data, **{f"parameter {name}": figures(value) for name, value in target.parameters.items()}}


def check_figures(path: Path, here: Mapping[str, Figures], there: Mapping[str, Figures]) -> None:
    """Raises ``ValueError``, which shows the first difference, unless data and parameters are those of the file."""
    for name in sorted({*here, *there}):
        now, then = here.get(name), there.get(name)
        if now is None or then is None or not now.agrees(then):
            is_data = name.startswith(DATA)
            typed = "Load it with the data of the fit" if is_data else "Load the parameters of the fit first"
            raise ValueError(
                f"{path} was saved with other {'data' if is_data else 'parameters'}. {name}: there "
                f"{then or 'missing'}, here {now or 'missing'}. {typed}, or fit again"
            )
