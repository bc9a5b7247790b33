"""Pyro's own automatic guides, fitted by stochastic variational inference in unconstrained space."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pyro
import torch
from pyro import distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoGuide, AutoNormal
from pyro.infer.importance import vectorized_importance_weights
from pyro.optim import ClippedAdam
from torch import Tensor
from tqdm.auto import tqdm

from amortized._torch import placement
from amortized.baselines.counts import check_counts
from amortized.baselines.record import Run
from amortized.results.draws import Draws
from amortized.targets.base import Target
from amortized.targets.pyro.trace import undisturbed
from amortized.warmup.starts import uniform_starts
from amortized.weights import effective_sample_fraction, log_evidence

RATES = (0.03, 0.01, 0.003, 0.001)
"""Learning rates, one after the other, each until the bound no longer rises: a third each time."""

WINDOW = 100
"""Steps whose median loss is compared: of 16 particles a single loss is mostly noise."""

PATIENCE = 2
"""Windows in a row without a better median after which the rate falls: one may be bad luck."""


def run(
    target: Target | Callable,
    args: Sequence = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    guide: Callable[[Callable], AutoGuide] = AutoNormal,
    steps: int = 8_000,
    particles: int = 16,
    draws: int = 4_000,
    seed: int = 0,
    progress: bool = False,
) -> Draws:
    """A Pyro autoguide fitted by ``max E_q[log R − log q]`` (ELBO), and draws of it.

    Kucukelbir et al. (2017), JMLR 18; Kingma et al., arXiv 1606.04934.

    Args:
        target: a density, or a Pyro model, whose arguments are ``args`` and ``kwargs``.
        guide: makes an autoguide of a model: ``AutoNormal``, or ``partial(AutoIAFNormal, num_transforms=2)``.
        steps: most steps of Adam; fewer where the bound no longer rises at the smallest rate.
        particles: draws of each step.
        draws: of the fitted guide.
        seed: of all randomness.
        progress: whether to show a bar.

    Returns:
        Draws of the guide, with ``log_weights = log R − log q`` that correct them. ``attributes``: ``elbo`` in nats,
        ``elbo_std_error``, ``steps`` taken, ``fit_seconds``, ``ess`` of the weights.

    Raises:
        ValueError: for a count that is too small, and where no start has a finite density.

    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * (x - 1).square().sum(-1), dim=2)
    >>> found = run(normal, steps=800)
    >>> found.method, abs(found.log_evidence.value - 1.838) < 0.1
    ('AutoNormal', True)
    """
    check_counts({"steps": (steps, 1), "particles": (particles, 1), "draws": (draws, 2)})
    this = Run(target, args, kwargs)
    target = this.target
    start = uniform_starts(target, 1, seed)[0]
    model = around(target, start)
    with undisturbed(target.device), pyro.get_param_store().scope(), placement(target.device):
        torch.manual_seed(seed)
        family = guide(model)
        steps_taken = maximise_elbo(model, family, steps, particles, progress)
        fitted = time.perf_counter()
        with torch.no_grad():
            log_weights, _, trace = vectorized_importance_weights(model, family, num_samples=draws, max_plate_nesting=0)
    log_weights = cast(Tensor, log_weights).double()
    states = (start + cast(Tensor, trace.nodes["x"]["value"])).to(target.dtype)
    attributes = {"steps": steps_taken, "fit_seconds": fitted - this.started, **weight_attributes(log_weights)}
    evidence = log_evidence(log_weights)
    return this.draws(type(family).__name__, states, attributes, log_weights=log_weights, log_evidence=evidence)


def weight_attributes(log_weights: Tensor) -> dict[str, float]:
    """What the weights of the guide's draws say: the ELBO in nats, its std error, and the ESS."""
    return {
        "elbo": float(log_weights.mean()),
        "elbo_std_error": float(log_weights.std()) / math.sqrt(len(log_weights)),
        "ess": effective_sample_fraction(log_weights) * len(log_weights),
    }


def around(target: Target, start: Tensor) -> Callable[[], None]:
    """A Pyro model of ``x − start: (D,)`` with the target's density, so that guides begin at the start."""
    flat = dist.Normal(torch.zeros_like(start), 1.0).to_event(1).mask(False)

    def model() -> None:
        x = pyro.sample("x", flat)
        value = target.log_prob((start + x).reshape(-1, target.dim).to(target.dtype)).to(x)
        pyro.factor("log_density", value.reshape(x.shape[:-1]))

    return model


def maximise_elbo(model: Callable[[], None], family: AutoGuide, steps: int, particles: int, progress: bool) -> int:
    """Adam at each rate until the median loss of two windows in a row is no better. Returns the number of steps."""
    elbo = Trace_ELBO(num_particles=particles, vectorize_particles=True, max_plate_nesting=0)
    taken = 0
    with tqdm(total=steps, desc=type(family).__name__, unit=" steps", disable=not progress) as bar:
        for rate in RATES:
            svi = SVI(model, family, ClippedAdam({"lr": rate}), elbo)
            best, waited = math.inf, 0
            while waited < PATIENCE and taken < steps:
                count = min(WINDOW, steps - taken)
                loss = float(torch.tensor([svi.step() for _ in range(count)]).median())
                taken += count
                bar.update(count)
                best, waited = (loss, 0) if loss < best else (best, waited + 1)
    return taken
