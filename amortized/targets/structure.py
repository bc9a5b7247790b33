"""What one run of a model tells about it: its latent sites and their places in x, its observations, its dtype."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import pyro.distributions as dist
import pyro.poutine as poutine
import torch
from pyro.poutine.subsample_messenger import _Subsample
from torch.utils import _pytree as pytree

from amortized._types import Sites, Tensor
from amortized.targets.bijections import bijection
from amortized.targets.devices import placement
from amortized.targets.masks import check_masks
from amortized.targets.states import check_states
from amortized.targets.tracing import (
    LatentMessenger,
    LatentSite,
    Message,
    ModelError,
    Placing,
    is_deterministic,
    is_discrete,
    is_factor,
    is_random_choice,
    undisturbed,
)
from amortized.targets.troubles import OutsideSupport

FEW, MANY = 5, 60
"""Points at which a run is tried: few near 0, then wider ones and draws of the prior."""
WIDER = (1.0, 3.0, 10.0, None)
"""Spreads of the coordinates, in turn; None: the prior's own draws."""
SECONDS = 1.0
"""For the many, unless the model says ``OutsideSupport``: what fails at all points is told soon."""
FAILURES = (RuntimeError, ValueError, TypeError, ArithmeticError)
Call = tuple[Callable, Sequence, Mapping[str, Any]]


@dataclass(frozen=True)
class Structure:
    """The static facts of a model: everything about it that may not depend on the values of its latents.

    ``observed``: likelihood sites with the shapes of their batches; ``observations``: the values of those whose value
    is data and not itself a function of the latents. ``discrete``: finite latents to be summed out. ``plate_depth``:
    the number of tensor dimensions that plates use.
    """

    latents: dict[str, LatentSite]
    dim: int
    dtype: torch.dtype
    device: torch.device
    discrete: tuple[str, ...]
    deterministic: dict[str, torch.Size]
    observed: dict[str, torch.Size]
    observations: Sites
    plate_depth: int
    parameters: Sites = field(repr=False)


class _Discovering(LatentMessenger):
    """Gives every latent site random coordinates up to ``spread``, or those of its own draw, and notes its shapes."""

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
        shape = torch.Size(fn.batch_shape + fn.event_shape)
        try:
            unconstrained_shape = torch.Size(bijection(fn.support).inverse_shape(shape))
        except NotImplementedError as error:
            raise ModelError(
                f"latent site {name!r}: there is no bijection onto its support {fn.support} ({type(fn).__name__}); "
                "write the site in coordinates that have one, for instance a Normal normalised by hand"
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
        for own in _own_draw(fn):
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
        if self.halves.first_is_latent():
            raise ModelError(f"site {name!r}: obs_mask without data; give them, obs=y, or leave obs_mask out")
        if torch.broadcast_shapes(known.shape, batch) != batch:
            raise ModelError(
                f"site {name!r}: its obs_mask has shape {tuple(known.shape)} and its distribution batch shape "
                f"{tuple(batch)}, so that one draw would fill several places; put the statement into a plate over the "
                f"elements, with pyro.plate('rows', {known.shape[-1]}):"
            )
        return known.expand(batch)

    def _pyro_sample(self, message: Message) -> None:
        if is_random_choice(message) and is_discrete(message):
            if not message["fn"].has_enumerate_support:
                raise ModelError(self._endless(message))
            self.discrete.append(message["name"])
        super()._pyro_sample(message)

    def _endless(self, message: Message) -> str:
        found = (
            f"discrete latent site {message['name']!r}: {type(message['fn']).__name__} takes infinitely many values, "
            "so it cannot be summed out; "
        )
        if self.halves.known(message) is not None:
            return found + (
                "where nothing depends on the missing values leave their terms out instead: with "
                "poutine.mask(mask=known): around pyro.sample(..., obs=torch.where(known, y, 0)), without obs_mask"
            )
        return found + (
            "integrate it by hand (for instance GammaPoisson for a Poisson of a Gamma rate), or observe it: "
            "pyro.sample(..., obs=value)"
        )


def _own_draw(fn: Any) -> Iterator[Tensor]:
    """One draw of the site's distribution, for its dtype and device; none from a distribution that cannot draw."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield fn.sample()
    except NotImplementedError:
        return


def discover(model: Callable, args: Sequence, kwargs: Mapping[str, Any], seed: int) -> Structure:
    """Runs the model until it comes to its end, near 0 or further out, in the first dtype and device in which it does.

    Raises ``ModelError`` for a structure that cannot be a target, and what the model itself raised where no run passed.
    """
    call, settings = (model, args, kwargs), _settings(args, kwargs)
    first_failure: Exception | None = None
    for most, (dtype, device) in [(most, setting) for most in (FEW, MANY) for setting in settings]:
        if most == MANY and not isinstance(first_failure, RuntimeError):
            break  # they have been tried
        try:
            found, trace = _passing(call, {}, seed, most, dtype, device)
            own_dtype, own_device = _own_setting(found, trace, dtype, device)
            found, trace = _passing(call, found.parameters, seed, most, own_dtype, own_device)
            further, other = _passing(call, found.parameters, seed + MANY, most, own_dtype, own_device)
        except ModelError:
            raise
        except FAILURES as error:
            first_failure = first_failure or error
            continue
        structure = _summarise(found, trace, other, own_dtype, own_device)
        with undisturbed(own_device), placement(own_device), torch.no_grad():
            try:
                _check(structure, found.pieces, lambda: model(*args, **kwargs))
            except OutsideSupport:
                _check(structure, further.pieces, lambda: model(*args, **kwargs))
        return structure
    assert first_failure is not None
    if "on the same device" in str(first_failure):
        raise ModelError(
            "the model mixes tensors of several devices; it runs where its arguments are or device= says: pass tensors "
            "that it holds as arguments of fit, or write TENSOR.to(x.device) where it uses them"
        ) from first_failure
    if "Expected mask to be a boolean but got <class 'int'>" in str(first_failure):
        raise ModelError("obs_mask is True or False, which Pyro cannot negate; type obs_mask=torch.tensor(True)")
    raise first_failure


def _settings(args: Sequence, kwargs: Mapping[str, Any]) -> list[tuple[torch.dtype, torch.device]]:
    """Dtypes and devices to try: the default, those of the tensors among the arguments, float64."""
    leaves = pytree.tree_leaves((tuple(args), dict(kwargs)))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    home = torch.get_default_device()
    settings = [(torch.get_default_dtype(), home), *((tensor.dtype, tensor.device) for tensor in tensors)]
    return list(dict.fromkeys([*settings, (torch.float64, home)]))


def _passing(call: Call, parameters: Sites, seed: int, most: int, dtype: torch.dtype, device: torch.device):
    """The first run that comes to its end, out of ``most``; raises what the first of them raised where none does.

    What is no ``RuntimeError``, PyTorch's word for another dtype or device, is taken for the model's own, who may mean
    a part of its space: the wider points are tried at once, before another dtype.
    """
    failure, began = None, time.perf_counter()
    for number in range(MANY):
        spread = 1.0 if number < FEW else WIDER[number % len(WIDER)]
        try:
            return _run(*call, parameters, torch.Generator().manual_seed(seed + number), spread, dtype, device)
        except ModelError:
            raise
        except FAILURES as error:
            failure = failure or error
            late = time.perf_counter() - began > SECONDS and not isinstance(error, OutsideSupport)
            if number + 1 >= FEW and (late or (number + 1 >= most and isinstance(error, RuntimeError))):
                break
    assert failure is not None
    raise failure


def _run(model, args, kwargs, parameters, generator, spread, dtype, device):
    found = _Discovering(dict(parameters), generator, spread, dtype, device)
    with undisturbed(device), torch.no_grad():
        torch.manual_seed(generator.initial_seed())
        with found:
            trace = poutine.trace(model).get_trace(*args, **kwargs)
        for name, site in trace.nodes.items():
            value = site.get("value")
            if site["type"] == "sample" and site["is_observed"] and isinstance(value, (list, tuple, np.ndarray)):
                kind = type(value).__name__
                raise ModelError(f"observed site {name!r} is a {kind}, not a tensor: type obs=torch.as_tensor(...)")
        trace.compute_log_prob()
    return found, trace


def _own_setting(found: _Discovering, trace, dtype, device) -> tuple[torch.dtype, torch.device]:
    """The widest dtype among the latents' own draws and the terms of the density; the device that is not the CPU."""
    for name, site in trace.nodes.items():
        if isinstance(site.get("fn"), _Subsample) and (site["fn"].subsample_size or site["fn"].size) < site["fn"].size:
            raise ModelError(
                f"plate {name!r} draws {site['fn'].subsample_size} of {site['fn'].size} rows at random, so the density "
                f"would change from call to call; type pyro.plate({name!r}, {site['fn'].size}) without subsample_size"
            )
    terms = [site["log_prob"] for site in trace.nodes.values() if "log_prob" in site]
    tensors = [tensor for tensor in [*found.drawn, *terms] if tensor.is_floating_point()]
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype) if tensor.dtype != torch.float16 else dtype
        device = tensor.device if device.type == "cpu" else device
    return dtype, device


def _summarise(found: _Discovering, trace, other, dtype: torch.dtype, device: torch.device) -> Structure:
    sites = {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}
    observed = [
        name
        for name, site in sites.items()
        if site["is_observed"] and name not in found.latents and not is_deterministic(site) and not is_factor(site)
    ]
    if not found.latents:
        listed = ", ".join(repr(name) for name in observed) or "none at all"
        raise ModelError(
            "the model has no continuous latent site to infer: each of its sample sites is observed "
            f"({listed}) or discrete; leave at least one without obs=: x = pyro.sample('x', dist.Normal(0., 1.))"
        )
    for name, site in sites.items():
        halves = [other for other in observed if other.startswith(f"{name}_")]
        if halves and _is_masked_delta(site) and _same(site["value"], other.nodes[name]["value"]):
            raise ModelError(
                f"observed site {name!r} is reparametrized to {halves[0]!r}, whose density lacks the Jacobian; leave "
                f"{name!r} out of what poutine.reparam is given, it is for latent sites"
            )
    depths = [-frame.dim for site in sites.values() for frame in site["cond_indep_stack"] if frame.vectorized]
    return Structure(
        latents=found.latents,
        dim=found.dim,
        dtype=dtype,
        device=device,
        discrete=tuple(found.discrete),
        deterministic={name: site["value"].shape for name, site in sites.items() if is_deterministic(site)},
        observed={name: sites[name]["log_prob"].shape for name in observed},
        observations={
            name: torch.as_tensor(sites[name]["value"])
            for name in observed
            if _same(torch.as_tensor(sites[name]["value"]), torch.as_tensor(other.nodes[name]["value"]))
        },
        plate_depth=max(depths, default=0),
        parameters=found.parameters,
    )


def _check(structure: Structure, pieces: Sites, run: Callable[[], Any]) -> None:
    """Raises ``ModelError`` for an ``obs_mask`` that latents decide, and for states that cannot be tried at once."""
    if any(latent.known is not None for latent in structure.latents.values()):
        check_masks(structure.latents, structure.parameters, run, structure.dtype)
    if structure.discrete:
        place = partial(Placing, structure.parameters, structure.latents, pieces)
        check_states(run, place, structure.plate_depth)


def _is_masked_delta(site: Message) -> bool:
    """Whether a site is what a reparametrization leaves behind: of no density, and not ``pyro.deterministic``."""
    made = is_deterministic(site) and not site["infer"].get("_deterministic", False)
    return made and isinstance(site["fn"], dist.MaskedDistribution)


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether an observed value is data: the same at two different points, NaN counting as equal to itself."""
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())
