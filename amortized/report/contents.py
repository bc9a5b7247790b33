"""What a report shows: records of a fit and of the methods it is compared with, nothing that still computes."""

from __future__ import annotations

import inspect
import platform
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata

import numpy as np

from amortized.diagnostics.comparison import Arrays, Description, describe
from amortized.diagnostics.verdict import Diagnosis
from amortized.results.draws import Draws
from amortized.training.record import Training

PACKAGES = ("amortized", "torch", "pyro-ppl", "numpy", "arviz", "matplotlib")
"""Their versions are shown: they made the draws, the figures or the pictures."""


@dataclass(frozen=True)
class Contents:
    """What a report shows of one fit.

    Args:
        title: of the page.
        draws: the guide's, with what the whole fit cost.
        diagnosis: the judgement of these draws.
        log_weights: of on-policy paths ``(N,)``, in nats.
        training: the record of the training; None if it was not of this data set alone.
        enough: the overlap at which the training ends.
        baselines: other methods' draws.
        failed: what stopped a method, by its name.
        observed: the data ``{site: (*event)}``.
        replicated: data that the model makes at posterior draws ``{site: (S, *event)}``.
        truth: the log evidence in nats, if it is known.
        deterministic: sites that are functions of others.
        code: Python that makes the page again.
        command: the command that makes it again.
        model: the model's source.
        environment: seed, versions and machine.
    """

    title: str
    draws: Draws
    diagnosis: Diagnosis
    log_weights: np.ndarray
    training: Training | None = None
    enough: float | None = None
    baselines: Sequence[Draws] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    observed: Mapping[str, np.ndarray] = field(default_factory=dict)
    replicated: Mapping[str, np.ndarray] = field(default_factory=dict)
    truth: float | None = None
    deterministic: Sequence[str] = ()
    code: str = ""
    command: str = ""
    model: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def methods(self) -> dict[str, Draws]:
        """The draws of the guide and of the baselines, each under a name of its own; the guide is first."""
        named = {"guide": self.draws}
        for found in self.baselines:
            name, number = found.method, 1
            while name in named:
                number += 1
                name = f"{found.method} {number}"
            named[name] = found
        return named

    @cached_property
    def arrays(self) -> dict[str, Arrays]:
        """Every method's draws as arrays."""
        return {method: draws.arrays() for method, draws in self.methods().items()}

    @cached_property
    def descriptions(self) -> dict[str, list[Description]]:
        """Mean, sd and quantiles of every scalar by every method."""
        return {method: describe(arrays) for method, arrays in self.arrays.items()}


def source(model: Callable) -> str:
    """The model's text; empty if Python does not know it, as of a model that was typed in."""
    try:
        return textwrap.dedent(inspect.getsource(model if inspect.isroutine(model) else type(model)))
    except (OSError, TypeError):
        return ""


def surroundings() -> dict[str, str]:
    """Versions of the packages that made the draws, and the machine.

    >>> sorted(surroundings())[:3]
    ['amortized', 'arviz', 'machine']
    """
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {**versions, "python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
