"""Runs that find a model's latent sites, at points near 0 and further out, until one comes to its end."""

from __future__ import annotations

import time
import warnings
from typing import Any, cast

import numpy as np
import pyro.distributions as dist
import pyro.poutine as poutine
import torch
from pyro.poutine.trace_struct import Trace

from amortized._types import Sites, Tensor
from amortized.targets.pyro.arguments import Call
from amortized.targets.pyro.bijections import bijection
from amortized.targets.pyro.checks.ranges import draw_or_none
from amortized.targets.pyro.trace import (
    LatentMessenger,
    LatentSite,
    Message,
    ModelError,
    is_discrete,
    is_random_choice,
    undisturbed,
)
from amortized.targets.troubles import OutsideSupport

FEW, MANY = 5, 60
"""Points at which a run is tried: five near 0 first, then wider ones and draws of the prior. With 60, a run that fails
in 95 % of the space comes to its end with probability 95 %."""
WIDER = (1.0, 3.0, 10.0, None)
"""Spreads of the coordinates beyond the first few points, in turn; None stands for draws of the prior."""
SECONDS = 1.0
"""Time for the many points, unless the model raises ``OutsideSupport``: a model that fails everywhere fails soon."""
FAILURES = (RuntimeError, ValueError, TypeError, ArithmeticError)
"""What a run may raise because of the point, the dtype or the device."""


class Discovering(LatentMessenger):
    """Gives every latent site coordinates up to ``spread``, or those of its own draw, and notes its shapes."""

    def __init__(
        self,
        parameters: Sites,
        generator: torch.Generator,
        spread: float | None,
        dtype: torch.dtype,
        device: torch.device,
    ):
        super().__init__(parameters)
        self.generator = generator
        self.spread = spread
        self.dtype = dtype
        self.device = device
        self.latents: dict[str, LatentSite] = {}
        self.discrete: list[str] = []
        self.drawn: list[Tensor] = []
        self.pieces: Sites = {}
        self.dim = 0

    def coordinates(self, message: Message) -> Tensor:
        name, fn = message["name"], message["fn"]
        if isinstance(getattr(fn, "base_dist", fn), dist.Delta):
            typed = f"pyro.deterministic({name!r}, VALUE)"
            raise ModelError(f"latent site {name!r} is a Delta, which has no density; write {typed}, with its value")
        shape = torch.Size(fn.batch_shape + fn.event_shape)
        try:
            unconstrained_shape = torch.Size(bijection(fn.support).inverse_shape(shape))
        except NotImplementedError as error:
            raise ModelError(
                f"latent site {name!r}: there is no bijection from R^n onto {fn.support}, the support of "
                f"{type(fn).__name__}; write it with sites that have one, for instance a normalised dist.Normal"
            ) from error
        frames = [frame for frame in message["cond_indep_stack"] if frame.vectorized]
        plates = tuple((frame.name, frame.size, frame.dim) for frame in frames)
        known = self._known(message)
        size = unconstrained_shape.numel()
        if known is not None:
            size = size // max(known.numel(), 1) * int((~known).sum())
        place = slice(self.dim, self.dim + size)
        site = LatentSite(name, fn.support, shape, len(fn.event_shape), plates, unconstrained_shape, size, place, known)
        self.latents[name] = site
        self.dim += size
        draw = torch.rand(size, generator=self.generator, dtype=self.dtype, device="cpu") * 2 - 1
        self.pieces[name] = (draw * (self.spread or 1.0)).to(self.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own = draw_or_none(fn)  # also for its dtype and device
        if own is not None:
            self.drawn.append(own)
            if self.spread is None:
                place_of_own = site.gather(cast(Any, bijection(fn.support)).inv(own)).to(self.device, self.dtype)
                self.pieces[name] = torch.where(place_of_own.isfinite(), place_of_own, self.pieces[name])
        return site.spread(self.pieces[name])

    def _known(self, message: Message) -> Tensor | None:
        known, name = self.halves.known(message), message["name"]
        if known is None:
            return None
        batch = message["fn"].batch_shape
        if self.halves.first_is_latent:
            raise ModelError(f"site {name!r} has obs_mask without data: write obs=y, or leave obs_mask out")
        if torch.broadcast_shapes(known.shape, batch) != batch:
            raise ModelError(
                f"site {name!r}: its obs_mask has shape {tuple(known.shape)} and its distribution batch shape "
                f"{tuple(batch)}, so one draw would fill several places. Put the statement into a plate over the "
                f"elements: with pyro.plate('rows', {known.shape[-1]}):"
            )
        return known.expand(batch)

    def _pyro_sample(self, message: Message) -> None:
        if is_random_choice(message) and is_discrete(message):
            if not message["fn"].has_enumerate_support:
                raise ModelError(self._infinitely_many(message))
            self.discrete.append(message["name"])
        super()._pyro_sample(message)

    def _infinitely_many(self, message: Message) -> str:
        finding = (
            f"discrete latent site {message['name']!r}: {type(message['fn']).__name__} takes infinitely many values, "
            "so it cannot be summed out; "
        )
        if self.halves.known(message) is not None:
            return finding + (
                "if nothing depends on the missing values, leave their terms out: write with poutine.mask(mask=known): "
                "around pyro.sample(..., obs=torch.where(known, y, 0)), without obs_mask"
            )
        return finding + (
            "integrate it by hand (for instance GammaPoisson for a Poisson of a Gamma rate), or observe it: "
            "pyro.sample(..., obs=value)"
        )


def passing(call: Call, parameters: Sites, seed: int, most: int, dtype: torch.dtype, device: torch.device):
    """The first run that comes to its end, out of ``most``; raises what the first run raised if none does.

    PyTorch says with a ``RuntimeError`` that dtype or device are wrong. Any other exception may be the model's word for
    a part of its space, so the wider points are tried at once, before another dtype.
    """
    failure, began = None, time.perf_counter()
    for number in range(MANY):
        spread = 1.0 if number < FEW else WIDER[number % len(WIDER)]
        try:
            found = Discovering(dict(parameters), torch.Generator().manual_seed(seed + number), spread, dtype, device)
            return _run(call, found, seed + number, device)
        except ModelError:
            raise
        except FAILURES as error:
            failure = failure or error
            late = time.perf_counter() - began > SECONDS and not isinstance(error, OutsideSupport)
            if number + 1 >= FEW and (late or (number + 1 >= most and isinstance(error, RuntimeError))):
                break
    assert failure is not None
    raise failure


def _run(call: Call, found: Discovering, seed: int, device: torch.device) -> tuple[Discovering, Trace]:
    model, args, kwargs = call
    with undisturbed(device), torch.no_grad():
        torch.manual_seed(seed)
        with found:
            trace = poutine.trace(model).get_trace(*args, **kwargs)
        for name, site in trace.nodes.items():
            value = site.get("value")
            if site["type"] == "sample" and site["is_observed"] and isinstance(value, (list, tuple, np.ndarray)):
                kind = type(value).__name__
                raise ModelError(f"observed site {name!r} is a {kind}, not a tensor: type obs=torch.as_tensor(...)")
        trace.compute_log_prob()
    return found, trace
