"""The methods that ``--compare`` runs beside the guide, on the same density."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pyro.infer.autoguide import AutoIAFNormal, AutoMultivariateNormal, AutoNormal

from amortized.baselines import hmc, mala, nested, nuts, smc, svi
from amortized.results.draws import Draws
from amortized.targets.base import Target

BASELINES: dict[str, Callable[..., Draws]] = {
    "nuts": nuts.run,
    "smc": smc.run,
    "mala": mala.run,
    "hmc": hmc.run,
    "nested": nested.run,
    "auto_normal": partial(svi.run, guide=AutoNormal),
    "auto_multivariate_normal": partial(svi.run, guide=AutoMultivariateNormal),
    "auto_iaf_normal": partial(svi.run, guide=AutoIAFNormal),
}


@dataclass
class Ran:
    """Draws of every method by its name, their records in ArviZ, and what stopped a method."""

    draws: dict[str, Draws] = field(default_factory=dict)
    records: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def run_all(target: Target, names: Sequence[str], seed: int) -> Ran:
    """Run the methods one after the other; one that fails costs neither the guide's results nor the others'."""
    ran = Ran()
    for name in dict.fromkeys(names):
        say(f"running {name} on the same density")
        try:
            draws = BASELINES[name](target, seed=seed)
            ran.records[name] = draws.to_arviz()
            ran.draws[name] = draws
        except Exception as error:
            ran.failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            say(f"amortized: {name} failed, {ran.failed[name]}")
    return ran


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
