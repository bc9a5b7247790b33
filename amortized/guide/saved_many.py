"""What a file holds of a fit to many data sets, and the fit that it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from amortized._types import Tensor
from amortized.guide.many import Call, Many
from amortized.guide.plan import Plan
from amortized.guide.saved_parts import (
    POINTS,
    Saved,
    check_density,
    check_described,
    described,
    fill_in,
    load,
    words_of_fit,
)
from amortized.storage.tree import unpacked
from amortized.targets.conditional.target import ConditionalTarget


def words_of(fit: Many, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The words of a fit; its tensors go into ``tensors``, under ``name``.

    Raises:
        TypeError: The fit was not trained.
    """
    if fit.training_record is None:
        raise TypeError(
            "only a guide that fit has trained can be saved: write DiffusionGuide(model, amortize='y').fit(data)"
        )
    target = fit.target
    tensors.update({f"{name}.gaussian.{key}": value for key, value in fit.family.gaussian.state_dict().items()})
    tensors[f"{name}.points"], tensors[f"{name}.values"] = _density(target)
    return {**words_of_fit(fit, name, tensors), "calls": target.joint.calls}


def description(fit: Many) -> dict[str, str]:
    """Support, shape and plates of every latent, the shape of the data, and how the density is batched."""
    target = fit.target
    parts = [f"{part.name} {tuple(part.shape)}" for part in target.contexts.parts]
    return {**described(target.latents), "(data)": ", ".join(parts), "(batching)": target.joint.batching}


def fitted(saved: Saved, words: Mapping[str, Any], model: Callable, call: Call, plan: Plan, name: str) -> Many:
    """The fit of a file.

    Raises:
        ValueError: The model has other sites or another density.
    """
    tensors = saved.tensors
    fit = Many.untrained(model, call, plan, unpacked(words["centring"], tensors, dict[str, Tensor]))
    check_described(saved, description(fit))
    check_density(saved.path, tensors[f"{name}.values"], _density(fit.target, tensors[f"{name}.points"])[1])
    load(saved.path, fit.family.gaussian, tensors, f"{name}.gaussian.")
    fill_in(fit, saved, words, name)
    fit.target.joint.calls = int(words["calls"])
    return fit


@torch.no_grad()
def _density(target: ConditionalTarget, points: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Points ``(N, D)`` near 0, and log R there given the first data set."""
    if points is None:
        generator = torch.Generator().manual_seed(0)
        points = torch.randn(POINTS, target.dim, generator=generator).to(target.device, target.dtype)
    return points, target.at(target.rows[:1]).log_prob(points)
