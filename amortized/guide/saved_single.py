"""What a file holds of a fit to one data set, and the fit that it gives back.

Whatever answers a question is kept: the warm-up with its chains, the weights, and what the first question has found.
The density, the sampler and the coordinates are built again by the code that built them for the fit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from amortized._types import Sites, Tensor
from amortized.diagnostics.chain_check import ChainCheck
from amortized.guide.many import Call
from amortized.guide.plan import Plan
from amortized.guide.saved_figures import Figures, check_figures, figures_of
from amortized.guide.saved_parts import (
    POINTS,
    Saved,
    check_density,
    check_described,
    described,
    fill_in,
    words_of_fit,
)
from amortized.guide.single import CAPTURE_SECONDS, Single
from amortized.mcmc.many_chains import Chains
from amortized.results.looks import Look, Searches
from amortized.storage.tree import Malformed, packed, unpacked
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.targets.cost import EXPENSIVE
from amortized.targets.curved import CurvedTarget, Row, TriangularMap
from amortized.targets.pyro.batching import Loop, isolated
from amortized.targets.pyro.captured import Captured
from amortized.targets.pyro.compiled import Compiled
from amortized.targets.pyro.failures import tell
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.transformed import to_origin
from amortized.targets.troubles import Troubles
from amortized.training.preparation import Prepared, untrained_sampler
from amortized.training.record import FreshPaths
from amortized.training.repair import fine_sampler
from amortized.warmup import WarmUp

KNOWN = {
    "fresh": FreshPaths,
    "_reverse": Tensor,
    "chains": Chains | None,
    "_chain_check": ChainCheck | None,
    "_look": Look,
    "_searches": Searches,
}
"""What a posterior computes once, at the first question, by its name in ``Judged``."""
Terms = list[tuple[int, int, float]]
"""Places of both factors of each term of a row, in order, and its coefficient."""


def words_of(fit: Single, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The words of a fit; its tensors go into ``tensors``, under ``name``."""
    made, target, warm = fit.prepared, fit.target, fit.prepared.warm
    curved = made.white.target
    points = to_origin(made.white, made.ends[:POINTS])[0]
    known = {} if fit._posterior is None else {key: one for key, one in vars(fit._posterior).items() if key in KNOWN}
    calls, troubles = target.counted()
    parts = {
        "points": points,
        "values": _values(target, points),
        "figures": figures_of(target),
        "warm": warm,
        "ends": made.ends,
        "log_ends": made.log_ends,
        "seconds_a_call": made.seconds_a_call,
        "map": _words_of_map(curved.map) if isinstance(curved, CurvedTarget) else None,
        "is_fine": fit.sampler is not made.sampler,
        "batching": target.batching,
        "calls": calls,
        "troubles": troubles,
        "known": known,
    }
    words = {key: packed(value, f"{name}.{key}", tensors) for key, value in parts.items()}
    return {**words_of_fit(fit, name, tensors), **words}


def fitted(saved: Saved, words: Mapping[str, Any], target: PyroTarget, plan: Plan, name: str) -> Single:
    """The fit of a file, with the density that ``density`` has built.

    Raises:
        ValueError: The model has another density.
    """
    tensors = saved.tensors

    def part(key: str, kind: Any) -> Any:
        return unpacked(words[key], tensors, kind)

    points = part("points", Tensor)
    check_density(saved.path, part("values", Tensor), _values(target, points))
    _batch_as(target, words["batching"], points)
    target.compiles = plan.options.compile
    warm, map = part("warm", WarmUp), part("map", tuple[Tensor, Tensor, list[tuple[Terms, Terms]]] | None)
    ends, log_ends = part("ends", Tensor), part("log_ends", Tensor)
    _check_shapes(target.dim, warm, ends, log_ends)
    inside: Target = target if map is None else CurvedTarget(target, _map(*map))
    white, cost = WhitenedTarget(inside, warm.shift, warm.scale_tril), part("seconds_a_call", float)
    first = untrained_sampler(inside, warm, plan.make_sampler(cost > EXPENSIVE), plan.options.seed, plan.reference)
    made = Prepared(warm, white, first, ends, log_ends, cost)
    fit = Single.untrained(target, made, plan)
    if part("is_fine", bool):
        fit.sampler = fine_sampler(inside, plan.options.seed)
    fill_in(fit, saved, words, name)
    target.count_on(part("calls", int), part("troubles", Troubles))
    for key, value in words["known"]["dict"].items():
        vars(fit.posterior((), {}))[key] = unpacked(value, tensors, KNOWN[key])
    return fit


def density(saved: Saved, words: Mapping[str, Any], model: Callable, call: Call, plan: Plan) -> PyroTarget:
    """The model's density in the coordinates of the fit, recorded if it was.

    Raises:
        ValueError: The model has other sites, data or parameters.
    """
    seed = plan.options.seed
    target = PyroTarget(model, call.args, call.kwargs, seed=seed, capture_seconds=0.0)
    check_described(saved, described(target.latents))
    check_figures(saved.path, figures_of(target), unpacked(words["figures"], saved.tensors, dict[str, Figures]))
    is_recorded = words["batching"] in (Captured.name, Compiled.name)
    centring: Sites = unpacked(words["centring"], saved.tensors, dict[str, Tensor])
    if not is_recorded and not centring:
        return target
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the target as written has said it all
        return target.moved_to(centring, seed, CAPTURE_SECONDS if is_recorded else 0.0)


def _check_shapes(dim: int, warm: WarmUp, ends: Tensor, log_ends: Tensor) -> None:
    """Raises ``Malformed`` for tensors that are not of D variables: others would broadcast."""
    found = warm.shift.shape, warm.scale_tril.shape, warm.draws.shape[1:], ends.shape[1:], log_ends.shape
    wanted = (dim,), (dim, dim), (dim,), (dim,), ends.shape[:1]
    if found != wanted:
        raise Malformed(f"shapes {[tuple(shape) for shape in found]} for {dim} variables")


def _values(target: PyroTarget, points: Tensor) -> Tensor:
    """The log density of plain runs of the model at ``(N, D)``; -inf where it raises."""
    return isolated(Loop(target.program).log_prob, points, lambda _: points.new_full((1,), -torch.inf)).detach()


def _batch_as(target: PyroTarget, batching: str, points: Tensor) -> None:
    """Batch as the fit did at its end; says so where that cannot be, since draws then differ in their last digits."""
    if batching == Compiled.name:
        target.compiles = True
        target.quicken(math.inf)
    if target.batching != batching:
        target.recheck(points)
    if target.batching != batching:
        tell(f"the density is batched by {target.batching} here, by {batching} in the fit: last digits can differ")


def _words_of_map(map: TriangularMap) -> tuple[Tensor, Tensor, list[tuple[Terms, Terms]]]:
    def terms(coefficients: Mapping[tuple[int, int], float]) -> Terms:
        return [(i, j, float(coefficient)) for (i, j), coefficient in coefficients.items()]

    return map.shift, map.scale, [(terms(row.mean), terms(row.log_std)) for row in map.rows]


def _map(shift: Tensor, scale: Tensor, rows: list[tuple[Terms, Terms]]) -> TriangularMap:
    def coefficients(terms: Terms) -> dict[tuple[int, int], float]:
        return {(i, j): coefficient for i, j, coefficient in terms}

    return TriangularMap(shift, scale, [Row(coefficients(mean), coefficients(log_std)) for mean, log_std in rows])
