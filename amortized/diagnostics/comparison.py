"""Two sets of draws side by side: means, standard deviations, and how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
"""``{site: (chains, draws, *event)}``, ArviZ's order."""


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of one scalar, and its 5, 50 and 95 % quantiles."""

    name: str
    mean: float
    sd: float
    quantiles: tuple[float, float, float]


@dataclass(frozen=True)
class Difference:
    """One scalar by two methods: ``shift``, the difference of means in the reference's sd, and ``ratio``, of the sd."""

    name: str
    ours: Moments
    reference: Moments

    @property
    def shift(self) -> float:
        return (self.ours.mean - self.reference.mean) / self.reference.sd

    @property
    def ratio(self) -> float:
        return self.ours.sd / self.reference.sd


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
                found[site + (f"[{', '.join(map(str, index))}]" if index else "")] = values
    return found


def moments(arrays: Arrays) -> list[Moments]:
    """Moments of every scalar that varies, in the order of the sites."""
    return [
        Moments(name, float(values.mean()), float(values.std()), tuple(np.quantile(values, [0.05, 0.5, 0.95]).tolist()))
        for name, values in scalars(arrays).items()
    ]


def compare(ours: Arrays, reference: Arrays) -> list[Difference]:
    """One row for each scalar that varies in both.

    >>> draws = np.array([[-1.0, 0.0, 1.0]])
    >>> [row] = compare({"mu": 2 * draws + 0.5}, {"mu": draws})
    >>> row.name, round(row.shift, 3), row.ratio
    ('mu', 0.612, 2.0)
    """
    other = {row.name: row for row in moments(reference)}
    return [Difference(row.name, row, other[row.name]) for row in moments(ours) if row.name in other]


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
