"""Finite discrete latents summed out of a density, as Pyro's ``TraceEnum_ELBO`` does it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any, NamedTuple

import pyro.ops.special
import pyro.poutine as poutine
import torch
from opt_einsum import shared_intermediates
from pyro.distributions.torch_distribution import MaskedDistribution
from pyro.ops import packed
from pyro.ops.contract import contract_to_tensor
from pyro.poutine.subsample_messenger import _Subsample

from amortized._types import Tensor
from amortized.targets.pyro.trace import Message, ModelError, sample_sites


class Factor(NamedTuple):
    """One site's term of the joint density, for all states of the summed-out sites behind it."""

    site: str
    term: Tensor
    plates: frozenset[str]
    summed: frozenset[str]
    scale: float


class Enumerator:
    """``log Σ_z p(x, z, data)``: runs the model once, with all values of each z along a dimension of its own.

    A mask stands inside the sum over the states: what a masked site observes says nothing about z. The prior of z is
    never masked, so that the states of a z that nothing depends on sum to 1. A scale stands outside the sum.

    Args:
        plate_depth: How many dimensions, from the right, belong to plates.
    """

    def __init__(self, plate_depth: int):
        self.plate_depth = plate_depth

    def wrap(self, model: Callable) -> Callable:
        return poutine.enum(poutine.infer_config(model, _in_parallel), first_available_dim=-1 - self.plate_depth)

    def log_prob(self, trace: poutine.Trace) -> Tensor:
        sites = {name: site for name, site in sample_sites(trace).items() if not isinstance(site["fn"], _Subsample)}
        for site in sites.values():
            if is_enumerated(site):
                site["fn"] = without_mask(site["fn"])
        trace.compute_log_prob()
        trace.pack_tensors()
        states = frozenset(site["infer"]["_enumerate_symbol"] for site in sites.values() if is_enumerated(site))
        factors, total = [], torch.zeros(())
        for name, site in sites.items():
            summed = states.intersection(site["packed"]["log_prob"]._pyro_dims)
            if summed or is_enumerated(site):
                plates = frozenset(trace.plate_to_symbol[f.name] for f in site["cond_indep_stack"] if f.vectorized)
                factors.append(Factor(name, term(site), plates, summed, _scale(site)))
            else:
                total = total + site["log_prob_sum"]
        for group in _connected(factors):
            total = total + _sum_over_states(group)
        return total


def _in_parallel(site: Any) -> Any:
    """The configuration that sums a discrete latent over all its states at once, whatever ``infer=`` says."""
    latent = site["type"] == "sample" and not site["is_observed"] and not isinstance(site["fn"], _Subsample)
    if latent and getattr(site["fn"], "has_enumerate_support", False):
        return {"enumerate": "parallel", "expand": False, "num_samples": None}
    return {}


def is_enumerated(site: Message) -> bool:
    return site["infer"].get("_enumerate_dim") is not None


def without_mask(fn: Any) -> Any:
    """The distribution inside ``fn.mask(...)``: with its mask the prior of z would count as 1 for each state."""
    while isinstance(fn, MaskedDistribution):
        fn = fn.base_dist
    return fn


def term(site: Message) -> Tensor:
    """The packed log probability of a site without its scale; masked unless the site is summed out."""
    mask = None if is_enumerated(site) else site["packed"]["mask"]
    return packed.scale_and_mask(site["packed"]["unscaled_log_prob"], mask=mask)


def _scale(site: Message) -> float:
    scale = torch.as_tensor(site["scale"])
    if scale.numel() > 1:
        raise ModelError(
            f"site {site['name']!r} depends on a summed-out latent and has a scale of shape {tuple(scale.shape)}; type "
            "one number, poutine.scale(scale=2.0)"
        )
    return float(scale)


def _connected(factors: list[Factor]) -> list[list[Factor]]:
    """Groups of factors that share a summed-out latent, directly or through others."""
    groups: list[list[Factor]] = []
    for factor in factors:
        near = [group for group in groups if any(factor.summed & other.summed for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*(other for group in near for other in group), factor])
    return groups


def _sum_over_states(group: list[Factor]) -> Tensor:
    scales = {factor.scale: factor.site for factor in group}
    if len(scales) > 1:
        (one, first), (other, second) = list(scales.items())[:2]
        raise ModelError(
            f"sites {first!r} and {second!r} share a summed-out latent and have scales of {one:g} and {other:g}, so "
            "there is no sum over its states; put them all under one poutine.scale, or in one plate with subsample="
        )
    dtype = reduce(torch.promote_types, [factor.term.dtype for factor in group], torch.float16)
    tree: OrderedDict[frozenset[str], list[Tensor]] = OrderedDict()
    for factor in group:
        tensor = factor.term.to(dtype)
        tensor._pyro_dims = factor.term._pyro_dims  # type: ignore[attr-defined]
        tree.setdefault(factor.plates, []).append(tensor)
    with shared_intermediates() as cache:
        return group[0].scale * contract_to_tensor(tree, set().union(*(factor.summed for factor in group)), cache=cache)


class _SafeLog(torch.autograd.Function):
    """``log x`` with a finite gradient at 0: ``pyro.ops.special.safe_log``, but for ``torch.func``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.log()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] / x.clamp(min=torch.finfo(x.dtype).eps)


@contextmanager
def batchable_logarithm() -> Iterator[None]:
    """Within it Pyro's ``safe_log``, which sums over discrete states use, works under ``torch.func``."""
    own = pyro.ops.special._SafeLog
    pyro.ops.special._SafeLog = _SafeLog
    try:
        yield
    finally:
        pyro.ops.special._SafeLog = own
