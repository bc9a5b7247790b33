"""The structure of a model, found in one run: its latent sites and their places in x, its observations, its dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyro.distributions as dist
import torch
from pyro.poutine.subsample_messenger import _Subsample
from torch._C._functorch import is_batchedtensor
from torch.utils import _pytree as pytree

from amortized._torch import placement
from amortized._types import Sites, Tensor
from amortized.targets.pyro.checks.states import check_states
from amortized.targets.pyro.data import same_values
from amortized.targets.pyro.discovery import FAILURES, FEW, MANY, Discovering, passing
from amortized.targets.pyro.trace import (
    LatentSite,
    Message,
    ModelError,
    Placing,
    is_deterministic,
    is_likelihood,
    moving_mask,
    undisturbed,
)
from amortized.targets.troubles import OutsideSupport


@dataclass(frozen=True)
class Structure:
    """What is the same in every run of a model, whatever the values of its latents are.

    Args:
        latents: Continuous latent sites by name, in the order of their places in x.
        dim: D, the number of coordinates.
        dtype: Of the density.
        device: On which the model runs.
        discrete: Names of the finite latents that are summed out.
        deterministic: Sites that are functions of others, with the shapes of their values.
        observed: Likelihood sites, with the shapes of their batches.
        observations: Values of those likelihood sites whose value is data and no function of the latents.
        plate_depth: How many tensor dimensions plates use.
        parameters: Values at which the model's parameters are held.
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

    def pieces(self, x: Tensor) -> Sites:
        """The coordinates of each latent in one point ``x: (D,)``, as ``{name: (size,)}``."""
        return {name: x[latent.slice] for name, latent in self.latents.items()}

    def moved(self, centring: Sites) -> Structure:
        """The same model in other coordinates: c of the elements of some latents, by name; as written at c = 1."""
        latents = dict(self.latents)
        for name, c in centring.items():
            wide = c.to(self.device, self.dtype).expand(latents[name].unconstrained_shape)
            latents[name] = replace(latents[name], centring=None if bool((wide == 1).all()) else wide)
        return replace(self, latents=latents)


def discover(model: Callable, args: Sequence, kwargs: Mapping[str, Any], seed: int) -> Structure:
    """Runs the model near 0 and further out, in several dtypes and devices, until a run comes to its end.

    Raises:
        ModelError: The structure cannot be that of a target.
        Exception: What the model itself raised first, if no run came to its end.
    """
    call, settings = (model, args, kwargs), _settings(args, kwargs)
    first_failure: Exception | None = None
    for most, (dtype, device) in [(most, setting) for most in (FEW, MANY) for setting in settings]:
        if most == MANY and not isinstance(first_failure, RuntimeError):
            break  # ``passing`` has tried all points: only a RuntimeError may be due to the dtype or device
        try:
            found, trace = passing(call, {}, seed, most, dtype, device)
            own_dtype, own_device = _own_setting(found, trace, dtype, device)
            found, trace = passing(call, found.parameters, seed, most, own_dtype, own_device)
            further, other = passing(call, found.parameters, seed + MANY, most, own_dtype, own_device)
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
            "the model mixes tensors of several devices, and it runs on that of its arguments or of device=. Pass the "
            "tensors that it holds as arguments of fit, or write TENSOR.to(x.device) where it uses them"
        ) from first_failure
    if "Expected mask to be a boolean but got <class 'int'>" in str(first_failure):
        raise ModelError("obs_mask is True or False, which Pyro cannot negate; type obs_mask=torch.tensor(True)")
    raise first_failure


def _settings(args: Sequence, kwargs: Mapping[str, Any]) -> list[tuple[torch.dtype, torch.device]]:
    """Dtypes and devices to try: the defaults, those of the tensors among the arguments, float64."""
    leaves = pytree.tree_leaves((tuple(args), dict(kwargs)))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    home = torch.get_default_device()
    settings = [(torch.get_default_dtype(), home), *((tensor.dtype, tensor.device) for tensor in tensors)]
    return list(dict.fromkeys([*settings, (torch.float64, home)]))


def _own_setting(found: Discovering, trace, dtype, device) -> tuple[torch.dtype, torch.device]:
    """The widest dtype among draws and terms of the density, and the device that is not the CPU if there is one."""
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


def _summarise(found: Discovering, trace, other, dtype: torch.dtype, device: torch.device) -> Structure:
    sites = {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}
    observed = [name for name, site in sites.items() if is_likelihood(site) and name not in found.latents]
    if not found.latents:
        listed = ", ".join(repr(name) for name in observed) or "none at all"
        raise ModelError(
            "the model has no continuous latent site to infer: each of its sample sites is observed "
            f"({listed}) or discrete; leave at least one without obs=: x = pyro.sample('x', dist.Normal(0., 1.))"
        )
    for name, site in sites.items():
        auxiliary = [other for other in observed if other.startswith(f"{name}_")]
        if auxiliary and _is_masked_delta(site) and same_values(site["value"], other.nodes[name]["value"]):
            raise ModelError(
                f"observed site {name!r} is reparametrized to {auxiliary[0]!r}, whose density lacks the Jacobian; "
                f"leave {name!r} out of the config of poutine.reparam, which is for latent sites"
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
            if same_values(sites[name]["value"], other.nodes[name]["value"])
        },
        plate_depth=max(depths, default=0),
        parameters=found.parameters,
    )


def _check(structure: Structure, pieces: Sites, run: Callable[[], Any]) -> None:
    """Raises ``ModelError`` if latents decide an ``obs_mask``, or if states cannot be tried all at once."""
    if any(latent.known is not None for latent in structure.latents.values()):
        _check_masks(structure, run)
    if structure.discrete:
        place = partial(Placing, structure.parameters, structure.latents, pieces)
        check_states(run, place, structure.plate_depth)


class _WatchingMasks(Placing):
    def check_mask(self, latent: LatentSite, known: Tensor | None) -> None:
        if known is not None and is_batchedtensor(known):
            raise moving_mask(latent.name)


def _check_masks(structure: Structure, run: Callable[[], Any]) -> None:
    """Raises ``ModelError`` if an ``obs_mask`` is computed from a latent: under vmap, it is then a batch itself.

    A model that vmap cannot run is left to the comparison in each pass.
    """
    latents = structure.latents

    def watched(x: Tensor) -> Tensor:
        with _WatchingMasks(structure.parameters, latents, {name: x[one.slice] for name, one in latents.items()}):
            run()
        return x

    try:
        torch.func.vmap(watched, randomness="different")(torch.zeros(1, structure.dim, dtype=structure.dtype))
    except ModelError:
        raise
    except FAILURES:
        return


def _is_masked_delta(site: Message) -> bool:
    """Whether a reparametrization left the site behind: it has no density and is not ``pyro.deterministic``."""
    made = is_deterministic(site) and not site["infer"].get("_deterministic", False)
    return made and isinstance(site["fn"], dist.MaskedDistribution)
