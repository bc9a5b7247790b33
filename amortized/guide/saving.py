"""The file of a guide: what is written, and the guide that is read back.

The file names no class and no function to call. The guide's own class and options build its parts, and the file fills
in numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

import amortized.guide.saved_many as saved_many
import amortized.guide.saved_single as saved_single
from amortized._torch import own_randomness
from amortized._types import Tensor
from amortized.guide.fitted import Fitted
from amortized.guide.many import Call, Many
from amortized.guide.options import Options
from amortized.guide.plan import Plan
from amortized.guide.saved_parts import Saved, described
from amortized.guide.single import Single
from amortized.storage.file import UnreadableFile, read
from amortized.storage.tree import Malformed, packed, unpacked
from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.pyro.trace import ModelError

FORMAT = 2
"""Of the words; it rises when their meaning changes."""
GIVEN_AGAIN = ("embedding", "sampler", "recipe")
"""Options that are code. They are not saved, and the user gives them again."""


def content_of(fits: Sequence[tuple[Fitted, float]], plan: Plan, version: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors and words of a guide.

    Args:
        fits: What the guide and each replica learned, with the seconds of each.
        plan: The guide's.
        version: Of the library.

    Raises:
        TypeError: An amortized guide was not trained, or an argument of the model is no number.
    """
    tensors: dict[str, Tensor] = {}
    call, sites = _call_and_sites(fits[0][0])
    words = {
        "format": FORMAT,
        "version": version,
        "guide": plan.name,
        "dtype": str(torch.get_default_dtype()),
        "options": words_of_options(plan),
        "given": [name for name in GIVEN_AGAIN if getattr(plan.options, name) is not None],
        "args": packed(call.args, "args", tensors),
        "kwargs": packed(call.kwargs, "kwargs", tensors),
        "sites": sites,
        "fits": [_words(fit, seconds, f"fit{place}", tensors) for place, (fit, seconds) in enumerate(fits)],
    }
    return tensors, words


def words_of_options(plan: Plan) -> dict[str, Any]:
    """Options by name, without those that are code and the folder of checkpoints."""
    kept = [one.name for one in fields(Options) if one.name not in (*GIVEN_AGAIN, "checkpoint")]
    options = {name: getattr(plan.options, name) for name in kept}
    local = options["amortize"]
    options["amortize"] = {"local to": local.plate} if isinstance(local, LocalTo) else local
    return {**options, "device": str(options["device"])}


def opened(path: str | Path, guide: str, version: str) -> Saved:
    """The content of a file of that guide class.

    Raises:
        UnreadableFile: No file of a guide, or one of another class, version or default dtype.
    """
    path = Path(path)
    tensors, words = read(path)
    here = {"format": FORMAT, "version": version, "guide": guide, "dtype": str(torch.get_default_dtype())}
    typed = {
        "format": f"pip install amortized=={words.get('version')}, or fit again",
        "version": f"pip install amortized=={words.get('version')}, or fit again",
        "guide": f"write {words.get('guide')}.load(path, model)",
        "dtype": f"write torch.set_default_dtype({words.get('dtype')}) first",
    }
    for name, value in here.items():
        if words.get(name) != value:
            found = f"{words.get(name)!r:.60}"
            raise UnreadableFile(f"{path} has {name} {found}, and here it is {value!r}: {typed[name]:.100}")
    if not {"options", "given", "args", "kwargs", "sites", "fits"} <= words.keys():
        raise UnreadableFile(f"{path} lacks parts of a guide: write guide.save(path) again")
    return Saved(path, words, tensors)


def options_of(saved: Saved, again: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name, with those that the user gives again.

    Raises:
        TypeError: One of them is missing, or was not there when the guide was saved.
    """
    had = saved.words["given"]
    for name in GIVEN_AGAIN:
        if (name in had) != (again.get(name) is not None):
            what = "was saved with" if name in had else "was saved without"
            typed = f"give the same {name}= to load" if name in had else f"leave {name}= out"
            raise TypeError(f"the guide of {saved.path} {what} {name}=: {typed}")
    options = dict(saved.words["options"])
    if isinstance(options["amortize"], dict):
        options["amortize"] = LocalTo(options["amortize"]["local to"])
    return {**options, **again}


def rebuilt(saved: Saved, model: Callable, plans: Sequence[Plan]) -> list[tuple[Fitted, float]]:
    """What the guide and each replica had learned, with the seconds of each. The user's random numbers stay.

    Raises:
        UnreadableFile: The numbers are not those of such a guide.
        ValueError: The model has other sites, data or parameters, or another density, than the one that was saved.
    """
    saved = saved.on(plans[0].device)
    try:
        args, kwargs = (unpacked(saved.words[name], saved.tensors) for name in ("args", "kwargs"))
        if len(saved.words["fits"]) != len(plans):
            raise ValueError(f"{len(saved.words['fits'])} fits for {len(plans)} replicas")
        with own_randomness(plans[0].device, plans[0].options.seed):
            fits = _fits(saved, model, Call(tuple(args), dict(kwargs)), plans)
        return [(fit, float(words["seconds"])) for fit, words in zip(fits, saved.words["fits"], strict=True)]
    except ModelError as error:
        raise ValueError(
            f"{saved.path} was saved with another model, this one does not take its data: {error}"
        ) from error
    except (Malformed, KeyError, TypeError, AttributeError, RuntimeError) as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
        raise UnreadableFile(f"{saved.path} does not fit a guide ({cause}): write guide.save(path) again") from error


def _fits(saved: Saved, model: Callable, call: Call, plans: Sequence[Plan]) -> list[Fitted]:
    pairs = [
        (words, plan, f"fit{place}") for place, (words, plan) in enumerate(zip(saved.words["fits"], plans, strict=True))
    ]
    if plans[0].options.amortize is not None:
        return [saved_many.fitted(saved, words, model, call, plan, name) for words, plan, name in pairs]
    target = saved_single.density(saved, pairs[0][0], model, call, plans[0])
    return [saved_single.fitted(saved, words, target.again(), plan, name) for words, plan, name in pairs]


def _call_and_sites(fit: Fitted) -> tuple[Call, dict[str, str]]:
    """The call of the model, data included, and what its sites are."""
    if isinstance(fit, Many):
        return fit.call, saved_many.description(fit)
    assert isinstance(fit, Single)
    return Call(fit.target.program.args, fit.target.program.kwargs), described(fit.target.latents)


def _words(fit: Fitted, seconds: float, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    if isinstance(fit, Many):
        return {**saved_many.words_of(fit, name, tensors), "seconds": seconds}
    assert isinstance(fit, Single)
    return {**saved_single.words_of(fit, name, tensors), "seconds": seconds}
