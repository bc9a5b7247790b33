"""Whether a model may be run with all states of its discrete latents at once; an error names the site if not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import torch
from pyro import poutine
from pyro.ops import packed
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch.overrides import TorchFunctionMode

from amortized._types import Tensor
from amortized.targets.pyro.enumeration import Enumerator, is_enumerated, term, without_mask
from amortized.targets.pyro.trace import (
    LatentMessenger,
    Message,
    ModelError,
    differ,
    is_discrete,
    is_random_choice,
    sample_sites,
)
from amortized.targets.troubles import OutsideSupport, first_line

RUNS = 8
"""Runs with random states: a site that half of the states have is in all or in none with probability 1 %."""
EQUAL_RUNS = 8
"""At most so many runs with one state for all elements: a model that reduces over elements differs in each."""

Place = Callable[[], LatentMessenger]
"""Fixes the continuous latents at one point, the same each time."""


def check_states(run: Callable[[], Any], place: Place, plate_depth: int) -> None:
    """Raises ``ModelError`` if the sites, or a site's density, are not those of runs with one state at a time.

    States lie along new dimensions on the left. A model that indexes or reduces these dimensions, as ``z[0]`` and
    ``z.any()`` do, has a density without any error that is wrong.

    Args:
        run: The model on its arguments.
        place: Fixes the continuous latents.
        plate_depth: How many dimensions, from the right, belong to plates.
    """
    runs = [_one_at_a_time(run, _Choosing(torch.Generator().manual_seed(seed)), place) for seed in range(RUNS)]
    most = max(int(site["infer"].get("_states", 0)) for site in runs[0].values())
    runs += [_one_at_a_time(run, _Choosing(state), place) for state in range(min(most, EQUAL_RUNS))]
    for one, other in pairwise(runs):
        if differing := [name for name in [*one, *other] if (name in one) != (name in other)]:
            raise ModelError(
                f"the set of sites is random: {differing[0]!r} is sampled in some runs only, as a discrete site "
                "decides. Sample the same sites in every run: a count as one site, pyro.sample('count', "
                "dist.Categorical(probs)), and under poutine.mask(mask=...) what does not count"
            )
    together = _together(run, place, plate_depth)
    for one in runs:
        _compare_densities(one, together)


def _compare_densities(one: dict[str, Message], together: dict[str, Message]) -> None:
    states = {name: site["infer"]["_state"] for name, site in one.items() if "_state" in site["infer"]}
    for name, site in together.items():
        if isinstance(site["fn"], _Subsample):
            continue
        want, got = _sum_of_terms(one[name], name in states), float(_at(site, together, states).sum())
        if differ(want, got):
            raise ModelError(
                f"site {name!r} has log density {want:.6g} at one state of {_listed(states)}, and {got:.6g} there "
                "when all are tried at once, along new dimensions on the left. Keep a site in the plates of what "
                "it depends on, and count from the right: table[..., z], .sum(-1), not z[0] or .any()"
            )


class _Choosing(Messenger):
    """Gives every discrete latent random states, whatever their probabilities, or one state; notes which."""

    def __init__(self, chosen: torch.Generator | int):
        super().__init__()
        self.chosen = chosen

    def _pyro_sample(self, message: Message) -> None:
        if not is_random_choice(message) or not is_discrete(message):
            return
        fn = message["fn"] = without_mask(message["fn"])
        support = fn.enumerate_support(expand=True).reshape(-1, fn.batch_shape.numel(), fn.event_shape.numel())
        state = self._state(len(support), fn.batch_shape).to(support.device)
        value = support[state.reshape(-1), torch.arange(support.shape[1], device=support.device)]
        message["value"], message["is_observed"] = value.reshape(fn.batch_shape + fn.event_shape), True
        message["infer"] = {**message["infer"], "_state": state, "_states": len(support)}

    def _state(self, count: int, shape: torch.Size) -> Tensor:
        if isinstance(self.chosen, int):
            return torch.full(shape, min(self.chosen, count - 1), device="cpu")
        return torch.randint(count, shape, generator=self.chosen, device="cpu")


def _one_at_a_time(run: Callable[[], Any], choosing: _Choosing, place: Place) -> dict[str, Message]:
    with place(), choosing:
        trace = poutine.trace(run).get_trace()
    trace.compute_log_prob()
    return sample_sites(trace)


def _sum_of_terms(site: Message, is_state: bool) -> float:
    """The sum of a site's log probabilities without its scale; the mask counts unless the site is summed out."""
    each, mask = site["unscaled_log_prob"], site["mask"]
    if is_state or mask is None:
        return float(each.sum())
    return float(torch.where(torch.as_tensor(mask, device=each.device), each, 0.0).sum())


def _together(run: Callable[[], Any], place: Place, plate_depth: int) -> dict[str, Message]:
    with ExitStack() as stack:
        seen = stack.enter_context(_Enumerated())
        stack.enter_context(place())
        stack.enter_context(_Branching(seen))
        try:
            enumerator = Enumerator(plate_depth)
            trace = poutine.trace(enumerator.wrap(run)).get_trace()
            enumerator.log_prob(trace)
        except (ModelError, OutsideSupport):
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ModelError(
                f"the model cannot be run with all states of {_listed(seen.dims)} at once, along new dimensions on the "
                f"left ({type(error).__name__}: {first_line(error)}); count dimensions from the right "
                "and let shapes broadcast, or write the sum as dist.MixtureSameFamily"
            ) from error
    return sample_sites(trace)


def _at(site: Message, sites: dict[str, Message], states: dict[str, Tensor]) -> Tensor:
    """A site's packed terms at one state of the sites that it depends on."""
    found = term(site)
    for name, state in states.items():
        symbol = sites[name]["infer"]["_enumerate_symbol"]
        if symbol in found._pyro_dims:  # type: ignore[attr-defined]
            plates = {d: s for d, s in sites[name]["infer"]["_dim_to_symbol"].items() if s != symbol}
            found = packed.gather(found, packed.pack(state, plates), symbol)
    return found


class _Enumerated(Messenger):
    """Notes which dimension belongs to which summed-out site."""

    def __init__(self):
        super().__init__()
        self.dims: dict[str, int] = {}

    def _pyro_post_sample(self, message: Message) -> None:
        if is_enumerated(message):
            self.dims[message["name"]] = message["infer"]["_enumerate_dim"]

    def behind(self, value: Tensor) -> list[str]:
        """The sites along whose dimensions a value varies; all of them if that cannot be told."""
        varies = [name for name, dim in self.dims.items() if value.ndim >= -dim and value.shape[dim] > 1]
        return varies or list(self.dims)


class _Branching(TorchFunctionMode):
    """Raises ``ModelError``, with the site, if the model makes one Python number of the values of a summed-out site."""

    numbers = {
        torch.Tensor.__bool__,
        torch.Tensor.__int__,
        torch.Tensor.__float__,
        torch.Tensor.__index__,
        torch.Tensor.item,
    }

    def __init__(self, seen: _Enumerated):
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.numbers and args[0].numel() > 1 and self.seen.dims:
            names = self.seen.behind(args[0])
            raise ModelError(
                f"Python's control flow (if, while, int(), .item()) looks at the summed-out site {_listed(names)}, "
                f"which holds all of its values at once; type torch.where({names[-1]} == 1, one, other), or index a "
                f"tensor with it, table[..., {names[-1]}]"
            )
        return func(*args, **(kwargs or {}))


def _listed(sites: Any) -> str:
    return ", ".join(map(repr, sites))
