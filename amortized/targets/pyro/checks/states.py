"""Whether a model may be run with all states of its discrete latents at once; the error names the site where not."""

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
"""With random states: a site that half of them have is missed with probability 1 %."""
EQUAL = 8
"""With one state for all elements, as many as there are up to this: where a model reduces over states, each differs."""

Place = Callable[[], LatentMessenger]
"""Fixes the continuous latents at one point, the same each time."""


def check_states(run: Callable[[], Any], place: Place, plate_depth: int) -> None:
    """Raises ``ModelError`` where the sites, or a site's density, are not those of a run with one state at a time.

    ``run``: the model on its arguments. A sum over states along new dimensions on the left is silently wrong where a
    model reduces over them or indexes them, as ``z[0]`` and ``z.any()`` do.
    """
    runs = [_one_at_a_time(run, _Choosing(torch.Generator().manual_seed(seed)), place) for seed in range(RUNS)]
    most = max(int(site["infer"].get("_states", 0)) for site in runs[0].values())
    runs += [_one_at_a_time(run, _Choosing(state), place) for state in range(min(most, EQUAL))]
    for one, other in pairwise(runs):
        if changed := [name for name in [*one, *other] if (name in one) != (name in other)]:
            raise ModelError(
                f"the set of sites is random: {changed[0]!r} is sampled in some runs only, as a discrete site decides; "
                "sample the same sites in every run, for instance a count as one site, "
                "pyro.sample('count', dist.Categorical(probs)), and poutine.mask(mask=...) for what does not count"
            )
    together = _together(run, place, plate_depth)
    for one in runs:
        _compare(one, together)


def _compare(one: dict[str, Message], together: dict[str, Message]) -> None:
    states = {name: site["infer"]["_state"] for name, site in one.items() if "_state" in site["infer"]}
    for name, site in together.items():
        if isinstance(site["fn"], _Subsample):
            continue
        want, got = _total(one[name], name in states), float(_at(site, together, states).sum())
        if differ(want, got):
            raise ModelError(
                f"site {name!r} has log density {want:.6g} at one state of {_names(states)}, and {got:.6g} at the same "
                "state when all are tried at once, along new dimensions on the left; keep a site in the "
                "plates of what it depends on, and count from the right: table[..., z], .sum(-1), not z[0] or .any()"
            )


class _Choosing(Messenger):
    """Gives every discrete latent a random state, whatever its probability, or one for all elements; notes which."""

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


def _total(site: Message, is_state: bool) -> float:
    """The sum of a site's log probabilities without its scale, the mask's too where it is a state's own."""
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
                f"the model cannot be run with all states of {_names(seen.dims)} at once, along new dimensions on the "
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
    """Which dimension belongs to which summed-out site, so far."""

    def __init__(self):
        super().__init__()
        self.dims: dict[str, int] = {}

    def _pyro_post_sample(self, message: Message) -> None:
        if is_enumerated(message):
            self.dims[message["name"]] = message["infer"]["_enumerate_dim"]

    def behind(self, value: Tensor) -> list[str]:
        """The sites along whose dimensions the value varies."""
        varies = [name for name, dim in self.dims.items() if value.ndim >= -dim and value.shape[dim] > 1]
        return varies or list(self.dims)


class _Branching(TorchFunctionMode):
    """Within it a Python number out of the many that a summed-out site stands for is a ``ModelError`` with its name."""

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
                f"Python's control flow (if, while, int(), .item()) looks at the summed-out site {_names(names)}, "
                f"which holds all of its values at once; type torch.where({names[-1]} == 1, one, other), or index a "
                f"tensor with it, table[..., {names[-1]}]"
            )
        return func(*args, **(kwargs or {}))


def _names(sites: Any) -> str:
    return ", ".join(map(repr, sites))
