"""One pass through a Pyro model at one point of unconstrained space: its sites, and the messengers that fix them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch._C._functorch import is_batchedtensor

from amortized._types import Sites, Tensor
from amortized.targets.pyro.bijections import bijection
from amortized.targets.pyro.coordinates import Standardized, frame_of, place
from amortized.targets.pyro.data import Message, cast_data
from amortized.targets.pyro.missing import Halves, unknown_only


class ModelError(ValueError):
    """A model that cannot be a target: the message says what was found, at which site, and what to type."""

    def __init__(self, message: str):
        super().__init__(message.partition("\n")[0])  # Pyro's trace adds a table of shapes to what is raised inside


@dataclass(frozen=True)
class LatentSite:
    """Where one latent site lies in ``x: (D,)`` and in the model's own space.

    Args:
        name: Its name.
        support: The constraint of its values, as in the first trace of the model.
        shape: Of its value: plates and event together.
        event_dim: How many of the value's last dimensions belong to the event.
        plates: (name, size, dim) of each vectorized plate around it.
        unconstrained_shape: Of its coordinates, those of known elements included.
        size: How many coordinates it has in x.
        slice: Which coordinates of x these are.
        known: Elements of its batch that ``obs_mask`` has observed, bool ``(*batch)``; they have no place in x.
        centring: c of each coordinate (``coordinates``); None: as written.
    """

    name: str
    support: constraints.Constraint
    shape: torch.Size
    event_dim: int
    plates: tuple[tuple[str, int, int], ...]
    unconstrained_shape: torch.Size
    size: int
    slice: slice
    known: Tensor | None = field(default=None, compare=False)
    centring: Tensor | None = field(default=None, compare=False)

    @cached_property
    def places(self) -> Tensor:
        """Indices of the coordinates among those of all elements, known and unknown: ``(size,)``."""
        assert self.known is not None
        each = (~self.known).reshape(self.known.shape + (1,) * (len(self.unconstrained_shape) - self.known.ndim))
        return each.expand(self.unconstrained_shape).reshape(-1).nonzero()[:, 0]

    def spread(self, coordinates: Tensor) -> Tensor:
        """``(..., size)`` to ``(..., *unconstrained_shape)``, 0 at elements that are known."""
        outer = coordinates.shape[:-1]
        if self.known is not None:
            count = self.unconstrained_shape.numel()
            source = torch.full((count,), self.size, device=coordinates.device)
            source[self.places] = torch.arange(self.size, device=coordinates.device)
            coordinates = torch.cat([coordinates, coordinates.new_zeros((*outer, 1))], -1)[..., source]
        return coordinates.reshape(outer + self.unconstrained_shape)

    def gather(self, unconstrained: Tensor) -> Tensor:
        """The inverse of ``spread`` for one particle: ``(*unconstrained_shape)`` to ``(size,)``."""
        flat = unconstrained.reshape(-1)
        return flat if self.known is None else flat[self.places]


def is_random_choice(message: Message) -> bool:
    """Whether a site is left to inference: not observed, not fixed by a handler, not a plate's subsample."""
    return not (message["is_observed"] or message["done"] or isinstance(message["fn"], _Subsample))


def is_discrete(message: Message) -> bool:
    """Whether a site's values can be counted, as its distribution or its support says."""
    fn = message["fn"]
    if getattr(fn, "has_enumerate_support", False):
        return True
    try:
        return bool(fn.support.is_discrete)
    except NotImplementedError as error:
        raise ModelError(
            f"latent site {message['name']!r}: {type(fn).__name__} does not say what its support is; "
            "give the class a property `support`, a constraint of torch.distributions.constraints"
        ) from error


def sample_sites(trace: Any) -> dict[str, Message]:
    """The sample statements of a trace, in order, by name."""
    return {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}


def differ(one: float, other: float) -> bool:
    """Whether two log densities of the same thing differ beyond rounding in float32; NaN differs from nothing."""
    return abs(one - other) > 1e-3 * max(1.0, abs(one))


def is_deterministic(site: Message) -> bool:
    """Whether a site of a plain trace is a function of others: ``pyro.deterministic``, or reparametrized."""
    *_, fn = _layers(site["fn"])
    if site["is_observed"] and isinstance(fn, dist.Delta):
        return bool((fn.v == site["value"]).all())
    return bool(site["infer"].get("_deterministic", False))


def is_factor(site: Message) -> bool:
    *_, fn = _layers(site["fn"])
    return isinstance(fn, dist.Unit)


def is_likelihood(site: Message) -> bool:
    """Whether a site observes something: it is no plate, no factor and no function of other sites."""
    plate = isinstance(site["fn"], _Subsample)
    return bool(site["is_observed"]) and not (plate or is_deterministic(site) or is_factor(site))


def unmasked(site: Message) -> Tensor:
    """Which elements of a site's value neither a handler nor its distribution masks, bool in the value's shape."""
    value, fn = site["value"], site["fn"]
    inside = [(layer._mask, layer.event_dim) for layer in _layers(fn) if isinstance(layer, dist.MaskedDistribution)]
    counts = torch.ones_like(value, dtype=torch.bool)
    for mask, event_dim in [(site["mask"], fn.event_dim), *inside]:
        if isinstance(mask, Tensor):
            counts = counts & mask.reshape(mask.shape + (1,) * event_dim)
        elif mask is False:
            counts = torch.zeros_like(counts)
    return counts


def _layers(fn: Any) -> Iterator[Any]:
    """A distribution, and the distributions inside its wrappers: independent, masked, expanded."""
    yield fn
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
        yield fn


@contextmanager
def undisturbed(device: torch.device | None = None) -> Iterator[None]:
    """Runs Pyro code with validation off; restores random states, parameter store and validation afterwards.

    Without a ``device`` it restores the random states of every CUDA device in use.
    """
    store = pyro.get_param_store()
    cuda: list[Any] = [device] if device is not None and device.type == "cuda" else []
    if device is None and torch.cuda.is_initialized():
        cuda = list(range(torch.cuda.device_count()))
    known = set(store.keys())
    with torch.random.fork_rng(devices=cuda), pyro.validation_enabled(False):
        try:
            yield
        finally:
            for name in set(store.keys()) - known:
                del store[name]


class LatentMessenger(Messenger):
    """Fixes every latent site of one pass as ``poutine.condition`` does, and every parameter at its first value.

    Sub-classes say where a site's coordinates come from. The transform comes from the site's support in this very
    pass, since another site may decide the support. ``log_dets[name] = log |det d value / d coordinates|``, one number.
    """

    def __init__(self, parameters: Sites):
        super().__init__()
        self.parameters = parameters
        self.values: Sites = {}
        self.log_dets: Sites = {}
        self.halves = Halves()
        self.standardized: dict[str, Standardized] = {}

    def centring(self, message: Message) -> Tensor | None:
        """c of a latent's coordinates; None: they are as written."""
        return None

    def coordinates(self, message: Message) -> Tensor:
        """A latent's coordinates in their own shape; those of known elements may be any numbers."""
        raise NotImplementedError

    def total(self, log_det: Tensor) -> Tensor:
        return log_det.sum()

    def value(self, message: Message) -> Tensor:
        """The latent's value; records its log-determinant."""
        coordinates, moved, centring = self.coordinates(message), None, self.centring(message)
        if centring is not None and (frame := frame_of(message["fn"])) is not None:
            placed = place(frame, coordinates, centring)
            coordinates, moved = placed.v, placed.log_det
            self.standardized[message["name"]] = Standardized(message["fn"], frame, placed)
        transform: Any = bijection(message["fn"].support)
        value = transform(coordinates)
        batch, known = value.shape[: value.ndim - message["fn"].event_dim], self.halves.known(message)
        own = self.total(unknown_only(transform.log_abs_det_jacobian(coordinates, value), known, batch))
        self.log_dets[message["name"]] = own if moved is None else own + self.total(unknown_only(moved, known, batch))
        return self.halves.completed(message, value)

    def standardize(self, trace: Any) -> None:
        """Lets a finished trace compute the densities of moved sites without cancellation."""
        for name, fn in self.standardized.items():
            trace.nodes[name]["fn"] = fn if fn.frame.standard is not None else fn.fn

    def is_latent(self, message: Message) -> bool:
        return is_random_choice(message) and not is_discrete(message)

    def _pyro_sample(self, message: Message) -> None:
        cast_data(message)
        self.halves.observe(message)
        if self.is_latent(message):
            message["value"] = self.values[message["name"]] = self.value(message)
            message["is_observed"] = True

    def _pyro_param(self, message: Message) -> None:
        if message["name"] in self.parameters:
            message["value"] = self.parameters[message["name"]]
            message["done"] = True

    def _pyro_post_param(self, message: Message) -> None:
        if message["name"] not in self.parameters:
            self.parameters[message["name"]] = message["value"] = message["value"].detach()


class Placing(LatentMessenger):
    """Latents of one particle from ``pieces[name]: (size,)``; ``ModelError`` if others are met than first."""

    def __init__(self, parameters: Sites, latents: Mapping[str, LatentSite], pieces: Sites):
        super().__init__(parameters)
        self.latents = latents
        self.pieces = pieces

    def latent(self, message: Message) -> LatentSite:
        if message["name"] not in self.latents:
            raise depends_on_value(message["name"], "is sampled now and was not when the model was first traced")
        return self.latents[message["name"]]

    def centring(self, message: Message) -> Tensor | None:
        return self.latent(message).centring

    def coordinates(self, message: Message) -> Tensor:
        latent = self.latent(message)
        shape = torch.Size(bijection(message["fn"].support).forward_shape(latent.unconstrained_shape))
        if shape != latent.shape:
            raise ModelError(
                f"latent site {latent.name!r}: its support depends on a summed-out discrete site, which makes its "
                f"shape {tuple(shape)} instead of {tuple(latent.shape)}; give it one support, and put the dependence "
                "into what is computed from it: x = low[z] + (high[z] - low[z]) * u"
            )
        if latent.known is not None:
            self.check_mask(latent, self.halves.known(message))
        return latent.spread(self.pieces[latent.name])

    def check_mask(self, latent: LatentSite, known: Tensor | None) -> None:
        """Raises ``ModelError`` if other elements are known than at first; ``structure`` checks it under vmap."""
        first = latent.known
        assert first is not None
        if known is None or not (is_batchedtensor(known) or torch.equal(known.expand_as(first), first)):
            raise moving_mask(latent.name)

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if raised[0] is None:
            check_complete(self.latents, self.values)


def moving_mask(name: str) -> ModelError:
    return ModelError(
        f"site {name!r}: its obs_mask depends on a latent, or on data that are amortized over, so the number of "
        "unknown elements is random; compute obs_mask from data that stay as they are, or write poutine.mask(mask=...) "
        "to leave terms out"
    )


def check_complete(latents: Mapping[str, LatentSite], sampled: Collection[str]) -> None:
    """Raises ``ModelError`` if a run of the model sampled fewer latent sites than the first trace did."""
    if len(sampled) < len(latents):
        missing = next(name for name in latents if name not in sampled)
        raise depends_on_value(missing, "was sampled when the model was first traced and is not now")


def depends_on_value(name: str, found: str) -> ModelError:
    """The error for a latent site that comes and goes."""
    return ModelError(
        f"the set of latent sites depends on a value: site {name!r} {found}. Sample it on every run, "
        f"{name} = pyro.sample({name!r}, ...), and switch its effect: torch.where(condition, {name}, 0.0)"
    )
