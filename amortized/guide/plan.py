"""The options of a guide, and what its class adds to them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from amortized._torch import available_device
from amortized.amortization.training import check_batch
from amortized.guide.options import SECONDS, SECONDS_FOR_MANY, Options
from amortized.samplers import DiffusionSampler
from amortized.targets.conditional.contexts import LocalTo
from amortized.training.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """The options of a guide, and what its class adds to them.

    Args:
        options: What the user asked for.
        name: The class of the guide, for tables and advice.
        preset: Makes the sampler where the user gave none.
        recipe: How it is trained.
        components: Number of Gaussians drawn to the target by natural gradients; None for none.
        untried: A seed that neither the guide nor a replica has.
        reference: Where the sampler of one data set starts, ``mixture`` or ``normal``.

    Raises:
        ValueError: A device that is not there, an ``amortize`` or an ``embedding`` that names no data, or a recipe or a
            mixture that cannot serve many data sets.
    """

    options: Options
    name: str
    preset: Callable[..., DiffusionSampler]
    recipe: Recipe
    components: int | None = None
    untried: int = 1
    reference: str = "mixture"

    def __post_init__(self) -> None:
        available_device(self.options.device)
        check_amortize(self.options)
        if self.components is not None and self.reference != "mixture":
            raise ValueError(
                f"reference={self.reference!r} for {self.name}, whose {self.components} Gaussians are the reference: "
                "write VarGradGuide(model)"
            )
        if (amortize := self.options.amortize) is None:
            return
        check_batch(self.recipe)
        if self.components is not None:
            raise ValueError(
                f"amortize={amortize!r} with a mixture of {self.components} Gaussians, which is fitted to one "
                "posterior: write DiffusionGuide(model, amortize=...), or MixtureGuide(model) for each data set"
            )

    def make_sampler(self, expensive: bool = True) -> Callable[..., DiffusionSampler]:
        """The user's own way to a sampler, or the preset, which sees the gradient of a density that is cheap.

        With ``amortize`` it does not: its paths would cost three times as much, for as many effective ones a data set.
        """
        langevin = not expensive if self.options.langevin is None else self.options.langevin
        return self.options.sampler or partial(self.preset, langevin=langevin)

    @property
    def device(self) -> torch.device:
        return torch.device(self.options.device)

    @property
    def seconds(self) -> float:
        """The limit of ``fit``."""
        default = SECONDS if self.options.amortize is None else SECONDS_FOR_MANY
        return default if self.options.max_seconds is None else self.options.max_seconds


def check_amortize(options: Options) -> None:
    """Raises ``ValueError`` unless ``amortize`` names data, and ``embedding`` and ``sampler`` can read them."""
    amortize, embedding = options.amortize, options.embedding
    if amortize is None:
        if embedding is not None:
            raise ValueError("embedding= without a context to read: write amortize='y' as well, the data's name")
        return
    if options.reference == "mixture":
        raise ValueError("reference='mixture' is of one posterior: leave it out beside amortize=")
    if options.compile is True:
        raise ValueError("compile=True is of one posterior: leave it out beside amortize=")
    one = amortize.plate if isinstance(amortize, LocalTo) else amortize
    names = [one] if isinstance(one, str) else one
    valid = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    if not (valid and 0 < len(set(names)) == len(names)):
        raise ValueError(f"amortize={amortize!r}: write 'y', ('x', 'y'), or LocalTo('plate')")
    if embedding is not None and not isinstance(embedding, nn.Module):
        raise ValueError(f"embedding={embedding!r}: write a module, for instance embedding=Perceptron(size=64)")
    if options.sampler is not None and "embedding" not in inspect.signature(options.sampler).parameters:
        raise ValueError(
            "sampler=: takes no embedding=, through which the data enter; write partial(GFlowNet, steps=32), or "
            "lambda dim, reference, embedding: GFlowNet(dim, reference, embedding=embedding)"
        )
