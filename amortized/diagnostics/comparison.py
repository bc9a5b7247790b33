"""What a parameter's posterior is, in figures; and how far two sets of draws lie apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
"""``{site: (chains, draws, *event)}``, ArviZ's order."""

LEVELS = (0.05, 0.5, 0.95)
"""Of the quantiles of a description: an interval of 90 %, as the plots and the report show it."""


@dataclass(frozen=True)
class Description:
    """One scalar parameter by one method: mean, sd, and its 5, 50 and 95 % quantiles, in the parameter's unit."""

    name: str
    mean: float
    sd: float
    quantiles: tuple[float, float, float]

    @property
    def figures(self) -> tuple[float, ...]:
        """Mean, sd and quantiles."""
        return (self.mean, self.sd, *self.quantiles)

    @property
    def texts(self) -> list[str]:
        """The figures with as many decimals as show three digits of the sd.

        >>> Description("mu", 4.39721, 3.2518, (-1.0, 4.4, 9.8)).texts
        ['4.40', '3.25', '-1.00', '4.40', '9.80']
        >>> [Description("x", *figures, (0, 0, 0)).texts[:2] for figures in ((-0.0012345, 0.0004321), (4e4, 1.2e4))]
        [['-0.001234', '0.000432'], ['40000', '12000']]
        """
        decimals = max(0, 2 - math.floor(math.log10(self.sd))) if 0 < self.sd < math.inf else math.inf
        return [f"{value:.{decimals}f}" if decimals < 10 else f"{value:.3e}" for value in self.figures]


@dataclass(frozen=True)
class Difference:
    """One scalar by two methods."""

    name: str
    ours: Description
    reference: Description

    @property
    def shift(self) -> float:
        """Our mean minus the reference's, in the reference's sd."""
        return (self.ours.mean - self.reference.mean) / self.reference.sd

    @property
    def ratio(self) -> float:
        """Our sd over the reference's."""
        return self.ours.sd / self.reference.sd


def label(site: str, index: Sequence[int]) -> str:
    """ArviZ's name of one entry of a site.

    >>> label("mu", ()), label("factor", (1, 0))
    ('mu', 'factor[1, 0]')
    """
    return site + (f"[{', '.join(map(str, index))}]" if index else "")


def scalars(arrays: Arrays) -> dict[str, np.ndarray]:
    """Every scalar as ``(chains * draws,)`` under ArviZ's labels; entries that never vary are left out.

    >>> arrays = {"mu": np.zeros((1, 4)), "theta": np.arange(8.0).reshape(1, 4, 2)}
    >>> {name: values.tolist() for name, values in scalars(arrays).items()}
    {'theta[0]': [0.0, 2.0, 4.0, 6.0], 'theta[1]': [1.0, 3.0, 5.0, 7.0]}
    """
    found = {}
    for site, array in arrays.items():
        flat = np.asarray(array, dtype=float).reshape(-1, *array.shape[2:])
        for index in np.ndindex(flat.shape[1:]):
            values = flat[(slice(None), *index)]
            if values.min() != values.max():
                found[label(site, index)] = values
    return found


def describe(arrays: Arrays) -> list[Description]:
    """Mean, sd and quantiles of every scalar that varies, in the order of the sites; draws count alike.

    >>> [row] = describe({"mu": np.array([[-1.0, 0.0, 1.0]])})
    >>> row.name, row.mean, row.quantiles[1]
    ('mu', 0.0, 0.0)
    """
    return [
        Description(name, float(values.mean()), float(values.std()), tuple(np.quantile(values, LEVELS).tolist()))
        for name, values in scalars(arrays).items()
    ]


def differences(ours: Iterable[Description], reference: Iterable[Description]) -> list[Difference]:
    """One row for each scalar that both have.

    >>> draws = np.array([[-1.0, 0.0, 1.0]])
    >>> [row] = differences(describe({"mu": 2 * draws + 0.5}), describe({"mu": draws}))
    >>> row.name, round(row.shift, 3), row.ratio
    ('mu', 0.612, 2.0)
    """
    others = {row.name: row for row in reference}
    return [Difference(row.name, row, others[row.name]) for row in ours if row.name in others]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, the first column to the left and the others to the right.

    >>> print(aligned([["", "mean"], ["mu", "4.40"], ["theta", "-0.1"]]))
           mean
    mu     4.40
    theta  -0.1
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows)
    return "\n".join(lines)
