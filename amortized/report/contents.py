"""What a report tells of: records of a fit and of the methods it is compared with, nothing that still computes."""

from __future__ import annotations

import inspect
import platform
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np

from amortized.diagnostics.verdict import Diagnosis
from amortized.results.draws import Draws
from amortized.training.recipe import Training

PACKAGES = ("amortized", "torch", "pyro-ppl", "numpy", "arviz", "matplotlib")


@dataclass(frozen=True)
class Contents:
    """``draws`` of the guide, with what the whole fit cost; ``diagnosis`` judges them by ``log_weights: (N,)``.

    ``log_weights``: of fresh paths. ``training``: its record, where it was of this data set alone, and the overlap that
    is ``enough``. ``baselines``: other methods' draws; ``failed``: what stopped a method, by its name.
    ``observed: {site: (*event)}`` and ``replicated: {site: (S, *event)}``: for the predictive check. ``truth``: the log
    evidence, where known, in nats. ``deterministic``: sites that others determine. ``code`` and ``command`` make the
    page again; ``model`` is the model's source, ``facts`` the rest of what that takes.
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
    facts: Mapping[str, str] = field(default_factory=dict)

    def methods(self) -> dict[str, Draws]:
        """The guide's draws and the baselines' by the name that tables and pictures give them, each name once."""
        named = {"guide": self.draws}
        for found in self.baselines:
            name, number = found.method, 1
            while name in named:
                number += 1
                name = f"{found.method} {number}"
            named[name] = found
        return named


def source(model: Callable) -> str:
    """The model's text, or nothing where Python does not know it, as for one that was typed in."""
    try:
        return textwrap.dedent(inspect.getsource(model if inspect.isroutine(model) else type(model)))
    except (OSError, TypeError):
        return ""


def surroundings() -> dict[str, str]:
    """Versions of what has a part in the draws, and the machine.

    >>> sorted(surroundings())[:3]
    ['amortized', 'arviz', 'machine']
    """
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {**versions, "python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
