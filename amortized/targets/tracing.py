"""One pass through a Pyro model at one point of unconstrained space: the messenger and what surrounds it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample

from amortized._types import Sites, Tensor
from amortized.targets.bijections import bijection

Message = dict[str, Any]  # what Pyro tells its handlers of one statement


class ModelError(ValueError):
    """A model that cannot be a target; the message names the site, what was found and what to type."""

    def __init__(self, message: str):
        super().__init__(message.partition("\n")[0])  # Pyro's trace adds a table of shapes to what is raised inside


@dataclass(frozen=True)
class LatentSite:
    """Where one latent site lies in ``x: (D,)`` and in the model's own space.

    ``shape``: of its value, plates and event together. ``unconstrained_shape``, of ``size`` numbers: of its
    coordinates ``x[slice]``. ``event_dim``: how many of the value's last dimensions are no plates. ``support``: the
    constraint seen when the model was first traced. ``plates``: (name, size, dim) of the vectorized plates around it.
    """

    name: str
    support: constraints.Constraint
    shape: torch.Size
    event_dim: int
    plates: tuple[tuple[str, int, int], ...]
    unconstrained_shape: torch.Size
    size: int
    slice: slice


def is_random_choice(message: Message) -> bool:
    """Whether a site is left for inference: neither observed, nor fixed by a handler, nor a plate's subsample."""
    return not (message["is_observed"] or message["done"] or isinstance(message["fn"], _Subsample))


def is_discrete(message: Message) -> bool:
    """Whether a site's values can be counted, by its distribution's own word or its support's."""
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
    return bool(site["infer"].get("_deterministic", False))


def is_factor(site: Message) -> bool:
    fn = site["fn"]
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return isinstance(fn, dist.Unit)


def unmasked(site: Message) -> Tensor:
    """Which elements of a site's value count, in the value's shape."""
    value, mask = site["value"], site["mask"]
    if mask is None or isinstance(mask, bool):
        return torch.full_like(value, mask is not False, dtype=torch.bool)
    return mask.reshape(mask.shape + (1,) * site["fn"].event_dim).expand(value.shape)


@contextmanager
def undisturbed(device: torch.device | None = None) -> Iterator[None]:
    """Runs Pyro code with validation off, and leaves random states, parameter store and validation as they were."""
    store = pyro.get_param_store()
    cuda = [device] if device is not None and device.type == "cuda" else []
    known = set(store.keys())
    with torch.random.fork_rng(devices=cuda), pyro.validation_enabled(False):
        try:
            yield
        finally:
            for name in set(store.keys()) - known:
                del store[name]


class LatentMessenger(Messenger):
    """Fixes every latent site of one pass as ``poutine.condition`` does, and every parameter at its first value.

    Sub-classes say where a site's value comes from. Transforms come from the site's support in this very pass,
    since it may depend on another site. ``log_dets[name] = log |det d value / d coordinates|``, summed over all of it.
    """

    def __init__(self, parameters: Sites):
        super().__init__()
        self.parameters = parameters
        self.values: Sites = {}
        self.log_dets: Sites = {}

    def coordinates(self, message: Message) -> Tensor:
        raise NotImplementedError

    def value(self, message: Message) -> Tensor:
        """The latent's value, its log-determinant recorded on the way."""
        coordinates = self.coordinates(message)
        transform: Any = bijection(message["fn"].support)
        value = transform(coordinates)
        self.log_dets[message["name"]] = transform.log_abs_det_jacobian(coordinates, value).sum()
        return value

    def is_latent(self, message: Message) -> bool:
        return is_random_choice(message) and not is_discrete(message)

    def _pyro_sample(self, message: Message) -> None:
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
    """Latents of one particle from ``pieces[name]: (size,)``, the coordinates of each.

    Raises ``ModelError`` in a pass that meets other latent sites than the first trace did, one more or one less.
    """

    def __init__(self, parameters: Sites, latents: Mapping[str, LatentSite], pieces: Sites):
        super().__init__(parameters)
        self.latents = latents
        self.pieces = pieces

    def latent(self, message: Message) -> LatentSite:
        if message["name"] not in self.latents:
            raise depends_on_value(message["name"], "is sampled now and was not when the model was first traced")
        return self.latents[message["name"]]

    def coordinates(self, message: Message) -> Tensor:
        latent = self.latent(message)
        return self.pieces[latent.name].reshape(latent.unconstrained_shape)

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if raised[0] is None:
            check_complete(self.latents, self.values)


def check_complete(latents: Mapping[str, LatentSite], sampled: Collection[str]) -> None:
    """Raises ``ModelError`` where a run of the model sampled fewer latent sites than there are."""
    if len(sampled) < len(latents):
        missing = next(name for name in latents if name not in sampled)
        raise depends_on_value(missing, "was sampled when the model was first traced and is not now")


def depends_on_value(name: str, found: str) -> ModelError:
    """The error for a latent site that comes and goes."""
    return ModelError(
        f"the set of latent sites depends on a value: site {name!r} {found}. Sample it on every run, "
        f"{name} = pyro.sample({name!r}, ...), and switch its effect: torch.where(condition, {name}, 0.0)"
    )


class Inverting(LatentMessenger):
    """Latents from given constrained values; ``found[name]`` are their unconstrained coordinates."""

    def __init__(self, parameters: Sites, given: Sites):
        super().__init__(parameters)
        self.given = given
        self.found: Sites = {}

    def value(self, message: Message) -> Tensor:
        name = message["name"]
        if name not in self.given:
            raise ValueError(f"no value was given for latent site {name!r}; got {sorted(self.given)}")
        transform: Any = bijection(message["fn"].support)
        self.found[name] = transform.inv(self.given[name])
        return self.given[name]
