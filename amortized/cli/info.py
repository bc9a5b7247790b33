"""``amortized info FILE``: the sites and the density of a model, as plain text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from amortized.files.model import ModelFile, blaming, load
from amortized.targets.pyro.choosing import choose_coordinates
from amortized.targets.pyro.target import PyroTarget

SEED, SECONDS = 0, 6.0
"""Of the choice of coordinates: those of a default ``fit``."""


def run(arguments: argparse.Namespace) -> None:
    file = load(arguments.file, arguments.model)
    with blaming(file.path):
        target = PyroTarget(file.model, file.args, file.kwargs)
    print(describe(file, target))


def describe(file: ModelFile, target: PyroTarget) -> str:
    """The dimension, the density, and every site with its shape and support, as text."""
    structure = target.structure
    facts = [
        ["model", file.title],
        ["dimension", f"{target.dim} unconstrained coordinates"],
        ["density", f"{target.batching}, {str(target.dtype).removeprefix('torch.')} on {target.device}"],
    ]
    if structure.discrete:
        facts.append(["summed out", ", ".join(structure.discrete)])
    reasons = choose_coordinates(target, SEED, SECONDS).reasons
    latents = [
        [name, shape(site.shape), coordinates(site.slice), str(site.support)] for name, site in target.latents.items()
    ]
    parts = [left(facts), left([["latent site", "shape", "coordinates", "support"], *latents])]
    parts.append(left([["latent site", "centring"], *reasons.items()]))
    for title, sites in (("deterministic", structure.deterministic), ("observed site", structure.observed)):
        if sites:
            parts.append(left([[title, "shape"], *([name, shape(size)] for name, size in sites.items())]))
    return "\n\n".join(parts)


def shape(size: Sequence[int]) -> str:
    """``(8, 2)`` without Python's ``torch.Size``; a scalar's is ``()``."""
    return str(tuple(size))


def coordinates(where: slice) -> str:
    """Places in the unconstrained vector, both ends included.

    >>> coordinates(slice(2, 10)), coordinates(slice(0, 1))
    ('x[2..9]', 'x[0]')
    """
    return f"x[{where.start}]" if where.stop - where.start == 1 else f"x[{where.start}..{where.stop - 1}]"


def left(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, every column to the left.

    >>> print(left([["site", "shape"], ["standardized", "(8,)"]]))
    site          shape
    standardized  (8,)
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
