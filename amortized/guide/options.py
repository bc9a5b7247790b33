"""The options of a guide. Each has its default and its words here, and nowhere else.

The command line reads both without torch: ``guide/plan.py`` checks what takes torch to check.
"""

from __future__ import annotations

import difflib
import inspect
import operator
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from amortized.results.counts import check_count

if TYPE_CHECKING:
    import torch
    from torch import nn

    from amortized.samplers import DiffusionSampler
    from amortized.targets.conditional.contexts import LocalTo
    from amortized.training.recipe import Recipe

SECONDS, SECONDS_FOR_MANY = 60.0, 300.0
"""Limits of ``fit``: what a user waits for at a prompt; five times that where one fit serves all data sets."""
COORDINATES = ("auto", "centred")
"""Where latents with a location and a scale lie."""
REFERENCES = ("mixture", "normal")
"""Laws of the ends before training: what the warm-up found, or N(0, I) in whitened coordinates."""
Named = ParamSpec("Named")


def says(words: str) -> dict[str, str]:
    return {"words": words}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may ask of a guide, by name; ``words(name)`` says what each means.

    Raises:
        TypeError: A seed that is no whole number, or a limit that is no number.
        ValueError: Any other value that a guide cannot follow.
    """

    amortize: str | Sequence[str] | LocalTo | None = field(
        default=None,
        metadata=says(
            "Names of arguments or observed sites, or ``LocalTo`` a plate. One fit then serves all data sets, which "
            "lie along a first dimension. Methods take the data: ``sample(n, y)``. None: one data set."
        ),
    )
    embedding: nn.Module | None = field(
        default=None,
        metadata=says(
            "The network that reads a data set. None: ``Perceptron()``, or ``DeepSets()`` for sets of different size."
        ),
    )
    sampler: Callable[..., DiffusionSampler] | None = field(
        default=None,
        metadata=says(
            "Makes the sampler from ``(dim, reference)``, for instance ``partial(GFlowNet, steps=32)``. "
            "None: the guide's own preset."
        ),
    )
    reference: str | None = field(
        default=None,
        metadata=says(
            "Where the sampler of one data set starts. ``mixture``: from what the warm-up found. ``normal``: from "
            "N(0, I) in whitened coordinates. None: ``normal`` for a guide that is named after a paper's method, else "
            "``mixture``."
        ),
    )
    recipe: Recipe | None = field(default=None, metadata=says("How the sampler is trained. None: the guide's own."))
    langevin: bool | None = field(
        default=None,
        metadata=says(
            "Whether the network sees the gradient of the density. None: with ``amortize`` not; else unless a gradient "
            "costs over 50 microseconds a particle."
        ),
    )
    exploration: float | None = field(
        default=None, metadata=says("Share of extra noise on training paths. None: as the recipe says.")
    )
    local_search: bool | None = field(
        default=None, metadata=says("Whether MALA moves the remembered draws. None: as the recipe says.")
    )
    coordinates: str = field(
        default="auto",
        metadata=says(
            "``auto``: latents whose location or scale depends on other latents are standardized as far as the data "
            "leave them to their prior, with ``amortize`` as far as all data sets do. ``centred``: every latent as the "
            "model is written."
        ),
    )
    compile: bool | str = field(
        default="auto",
        metadata=says(
            "Whether the density becomes machine code, which takes 5 to 10 s once and needs a C++ compiler. Calls are "
            "then 2 to 9 times faster. ``auto``: where chains have 20 s to run."
        ),
    )
    seed: int = field(
        default=0,
        metadata=says("The same seed gives the same draws on the same machine, if no time limit cuts the work short."),
    )
    max_seconds: float | None = field(
        default=None,
        metadata=says(
            f"Limit of ``fit`` in seconds of wall clock. None: {SECONDS:g}, or {SECONDS_FOR_MANY:g} with "
            "``amortize``. A density of over a millisecond a particle can overrun it."
        ),
    )
    device: torch.device | str = field(
        default="cpu", metadata=says("Where the model's arguments, the network and the chains go: cpu, cuda, cuda:1.")
    )
    progress: bool = field(default=True, metadata=says("Whether to show progress bars."))
    replicas: int = field(
        default=1,
        metadata=says(
            "Number of fits with seeds of their own, one after the other, each within ``max_seconds``. They share the "
            "recorded density. ``to_arviz`` shows them as chains: R-hat then compares independent fits."
        ),
    )

    checkpoint: str | Path | None = field(
        default=None,
        metadata=says(
            "Folder in which ``fit`` keeps what it has done. After a kill the same call goes on from there: "
            "``docs/saving.md``. None: nothing is kept."
        ),
    )

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "seed", operator.index(self.seed))
        except TypeError:
            raise TypeError(f"seed={self.seed!r}: write a whole number, for instance seed=0") from None
        try:
            positive = self.max_seconds is None or self.max_seconds + 0.0 > 0
        except TypeError:
            said = f"max_seconds={self.max_seconds!r}: write a positive number of seconds, for instance max_seconds=60"
            raise TypeError(said) from None
        if not positive:
            raise ValueError(f"max_seconds={self.max_seconds}: write a positive number of seconds, for instance 60")
        if self.sampler is not None and self.langevin is not None:
            typed = f"partial(GFlowNet, langevin={self.langevin})"
            raise ValueError(f"langevin={self.langevin} with sampler=: write {typed} there")
        if self.coordinates not in COORDINATES:
            raise ValueError(f"coordinates={self.coordinates!r}: write 'auto' or 'centred'")
        if not isinstance(self.compile, bool) and self.compile != "auto":
            raise ValueError(f"compile={self.compile!r}: write 'auto', True or False")
        if self.reference not in (None, *REFERENCES):
            raise ValueError(f"reference={self.reference!r}: write 'mixture' or 'normal'")
        check_count(self.replicas, "replicas")
        if not isinstance(self.checkpoint, (str, Path, NoneType)):
            raise TypeError(f"checkpoint={self.checkpoint!r}: write the path of a folder, for instance 'fit'")


def options_of(guide: str, named: Mapping[str, Any]) -> Options:
    """The record, from what a user named; an unknown name gets a message of its own.

    >>> options_of("DiffusionGuide", {"max_second": 3})
    Traceback (most recent call last):
    TypeError: max_second= is not an option of DiffusionGuide: write max_seconds=
    """
    known = [option.name for option in fields(Options)]
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            typed = f"write {near[0]}=" if near else f"its options are {', '.join(known)}; data are arguments of fit"
            raise TypeError(f"{name}= is not an option of {guide}: {typed}")
    return Options(**named)


def words(name: str) -> str:
    """What one option means.

    >>> words("progress")
    'Whether to show progress bars.'
    """
    return Options.__dataclass_fields__[name].metadata["words"]


def takes(
    record: Callable[Named, Options],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, Callable[..., Any], Named], None]]:
    """Give ``__init__(self, model, **named)`` the signature and the words of the record, for help and type checkers."""

    def decorate(init: Callable[..., None]) -> Callable[Concatenate[Any, Callable[..., Any], Named], None]:
        own = list(inspect.signature(init).parameters.values())[:2]
        named = inspect.signature(record).parameters.values()
        init.__signature__ = inspect.Signature([*own, *named], return_annotation=None)  # pyright: ignore
        lines = ["What a guide is of, and what it may be asked.", "", "Args:", "    model: A Pyro model."]
        for option in fields(Options):
            default = "" if option.default is None else f" Default {option.default!r}."
            text = f"{option.name}: {words(option.name)}{default}"
            lines.append(textwrap.fill(text, 116, initial_indent=" " * 4, subsequent_indent=" " * 8))
        init.__doc__ = "\n".join(lines)
        return init

    return decorate
