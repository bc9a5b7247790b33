"""The density of a Pyro program by plain traces alone: explicit transforms, and a sum over every joint discrete state.

Nothing here comes from ``amortized``: this is what ``PyroTarget`` is compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK
from pyro.poutine.subsample_messenger import _Subsample

from tests.targets.fuzz.transforms import explicit

Tensor = torch.Tensor
States = dict[str, Tensor]


@dataclass
class Choice:
    """A discrete latent: its values, the shape of the site, and which elements the density depends on."""

    support: Tensor
    shape: torch.Size
    free: Tensor

    def states(self) -> Iterator[Tensor]:
        """Every joint state of the free elements; the others stay at the first value."""
        for values in itertools.product(self.support.tolist(), repeat=int(self.free.sum())):
            state = self.support[0].expand(self.shape).clone()
            state[self.free] = torch.tensor(values, dtype=state.dtype)
            yield state


class Pass(Messenger):
    """One run of the model at ``x: (D,)`` and given discrete states: which coordinates, values and determinants it met.

    Only the unknown elements of ``obs_mask`` take coordinates; its known ones stand at their data. ``everywhere``: the
    place among its values that every element of every discrete latent takes, known or not.
    """

    def __init__(self, x: Tensor, states: Mapping[str, Tensor], everywhere: int | None = None):
        super().__init__()
        self.x, self.states, self.everywhere = x, states, everywhere
        self.used = 0
        self.log_det = self.x.new_zeros(())
        self.latents: dict[str, Tensor] = {}
        self.imputed: dict[str, Tensor] = {}
        self.choices: dict[str, Choice] = {}
        self.data: dict[str, Tensor] = {}

    def _pyro_sample(self, message: Any) -> None:
        name, fn = message["name"], message["fn"]
        if message["is_observed"] and name.endswith("_observed"):
            self.data[name] = message["value"]
            if self.everywhere is not None and fn.support.is_discrete:
                message["value"] = self._choose(name, fn, None)
        if message["is_observed"] or message["done"] or isinstance(fn, _Subsample):
            return
        if fn.support.is_discrete:
            message["value"] = self._choose(name, fn, message["mask"])
        else:
            message["value"] = self._place(name, fn)
        message["is_observed"] = True

    def _choose(self, name: str, fn: Any, mask: Any) -> Tensor:
        support = fn.enumerate_support(expand=False).reshape(-1)
        free = torch.as_tensor(True if mask is None else mask).expand(fn.batch_shape)
        own = _mask_of(fn)
        choice = Choice(support, fn.batch_shape, free if own is None else free & own)
        self.choices[name] = choice
        if self.everywhere is not None:
            return support[self.everywhere].expand(fn.batch_shape)
        state = self.states[name] if name in self.states else next(choice.states())
        if name.endswith("_unobserved"):
            return torch.where(mask, state, self.data[name.replace("_unobserved", "_observed")])
        return state

    def _place(self, name: str, fn: Any) -> Tensor:
        shape = torch.Size(fn.batch_shape + fn.event_shape)
        transform = explicit(fn.support)
        coordinates = self.x.new_zeros(transform.inverse_shape(shape))
        unknown = torch.ones(fn.batch_shape, dtype=torch.bool)
        if name.endswith("_unobserved"):
            unknown = _PYRO_STACK[-1].mask.expand(fn.batch_shape)  # obs_mask's own, whatever masks stand around it
        events = coordinates.dim() - len(fn.batch_shape)
        places = unknown.reshape(unknown.shape + (1,) * events).expand(coordinates.shape)
        size = int(places.sum())
        piece = self.x[self.used : self.used + size]
        if len(piece) < size:  # a run that only asks for the dimension
            piece = self.x.new_zeros(size)
        self.used += size
        coordinates = coordinates.masked_scatter(places, piece)
        value, log_det = transform(coordinates)
        log_det = log_det.reshape((*fn.batch_shape, -1)).sum(-1)
        self.log_det = self.log_det + torch.where(unknown, log_det, 0.0).sum()
        if unknown.all() and not name.endswith("_unobserved"):
            self.latents[name] = value
            return value
        known = self.data[name.replace("_unobserved", "_observed")]
        value = torch.where(unknown.reshape(unknown.shape + (1,) * len(fn.event_shape)), value, known)
        self.imputed[name] = value
        return value


def _mask_of(fn: Any) -> Any:
    """The mask that ``fn.mask`` put on a distribution; ``None`` where there is none."""
    while not isinstance(fn, dist.MaskedDistribution):
        if not hasattr(fn, "base_dist"):
            return None
        fn = fn.base_dist
    return fn._mask


def _is_function(site: Any) -> bool:
    """``pyro.deterministic``, or what a reparametrizer leaves of a site: a Delta that counts nothing."""
    fn = site["fn"]
    while isinstance(fn, (dist.MaskedDistribution, dist.Independent)) and hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return isinstance(fn, dist.Delta)


@dataclass
class Truth:
    """What holds at one point. ``sites``: values of the continuous latents and of functions of them.

    ``optional``: sites that may be among the results but need not: imputed parts, functions of discrete states,
    discrete data of which some are missing.
    """

    value: Tensor
    score: Tensor
    sites: dict[str, Tensor]
    optional: set[str]


class Reference:
    """The log density of ``model(*args, **kwargs)`` in unconstrained space, Jacobians included, by plain traces."""

    def __init__(self, model: Callable, args: tuple, kwargs: dict[str, Any]):
        self.model, self.args, self.kwargs = model, args, kwargs
        first, _ = self._trace(torch.zeros(0), {}, validate=False)
        self.dim = first.used
        self.choices = first.choices

    def _trace(
        self, x: Tensor, states: States, validate: bool, everywhere: int | None = None
    ) -> tuple[Pass, dict[str, Any]]:
        with pyro.validation_enabled(validate), Pass(x, states, everywhere) as run:
            trace = poutine.trace(self.model).get_trace(*self.args, **self.kwargs)
            trace.compute_log_prob()
        sites = {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}
        return run, sites

    def joint_states(self) -> list[States]:
        each = [list(choice.states()) for choice in self.choices.values()]
        return [dict(zip(self.choices, joint, strict=True)) for joint in itertools.product(*each)]

    def log_prob(self, x: Tensor, validate: bool = False) -> Tensor:
        """``log Σ_z p(z, values(x), data) + log |det d values / dx|`` at ``x: (D,)``."""
        return self._sum([self._trace(x, states, validate) for states in self.joint_states()])

    def at(self, x: Tensor) -> Truth:
        x = x.clone().requires_grad_()
        runs = [self._trace(x, states, validate=True) for states in self.joint_states()]
        value = self._sum(runs)
        (score,) = torch.autograd.grad(value + 0 * x.sum(), x)  # a flat density does not depend on x
        run, sites = runs[0]
        extremes = [self._trace(x, {}, validate=False, everywhere=place)[1] for place in (0, -1)]
        functions = {name for name, site in sites.items() if _is_function(site)}
        constant = {name for name in functions if not _changes([other[name]["value"] for other in extremes])}
        constant -= {name.removesuffix("_unobserved") for name in self.choices}
        values = {**run.latents, **{name: sites[name]["value"] for name in constant}}
        values = {name: value.detach() for name, value in values.items()}
        return Truth(value.detach(), score, values, {*run.imputed, *functions})

    def _sum(self, runs: list[tuple[Pass, dict[str, Any]]]) -> Tensor:
        """A site whose term changes with the states is inside the sum; the scale of the states stands outside of it."""
        first, sites = runs[0]
        terms = {name: [other[name]["log_prob"] for _, other in runs] for name in sites}
        inside = {name for name, each in terms.items() if _changes(each)} | self.choices.keys()
        total = first.log_det + sum((sites[name]["log_prob_sum"] for name in sites if name not in inside), 0.0)
        if not inside:
            return total
        scales = {float(sites[name]["scale"]) for name in self.choices}
        assert len(scales) == 1, "the generator gives all discrete latents one scale"
        (scale,) = scales
        joint = [sum(other[name]["log_prob_sum"] / scale for name in inside) for _, other in runs]
        return total + scale * torch.logsumexp(torch.stack(joint), 0)


def _changes(values: list[Tensor]) -> bool:
    first = values[0]
    return any(value.shape != first.shape or not torch.allclose(value, first, 0, 0, equal_nan=True) for value in values)
