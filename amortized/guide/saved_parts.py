"""What the files of all guides have in common: weights, records, and the fingerprint of the model.

The file names no class and no function to call. The guide's own class and options build its parts, and the file fills
in numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import nn

from amortized._types import Tensor
from amortized.guide.fitted import Fitted
from amortized.policies.uncontrolled import Uncontrolled
from amortized.samplers import DiffusionSampler
from amortized.storage.file import UnreadableFile
from amortized.storage.tree import packed, unpacked
from amortized.targets.pyro.trace import LatentSite
from amortized.training.record import Training

ABSOLUTE, RELATIVE = 1e-4, 1e-5
"""Nats, and the part, by which a log density may differ on another machine: 80 times the rounding of float32."""
POINTS = 4
"""Points at which the density is compared."""
RECORD = ("evaluations", "skipped", "source", "outcome", "fresh", "cut_short")
LOSSES = ("bridge_losses", "losses")
"""Parts of a training record that are kept as they are, and as tensors. Nothing reads its objective any more."""


@dataclass(frozen=True)
class Saved:
    """The content of a file, read and not yet compared with a model."""

    path: Path
    words: dict[str, Any]
    tensors: dict[str, Tensor]

    def on(self, device: torch.device) -> Saved:
        """The same with its tensors on a device."""
        return replace(self, tensors={name: value.to(device) for name, value in self.tensors.items()})


def words_of_fit(fit: Fitted, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """What every fit has; its weights and its random state go into ``tensors``."""
    tensors.update({f"{name}.sampler.{key}": value for key, value in fit.sampler.state_dict().items()})
    tensors[f"{name}.generator"] = fit.generator.get_state()
    record = fit.training_record
    centring = {key: site.centring for key, site in fit.latents.items() if site.centring is not None}
    return {
        "centring": packed(centring, f"{name}.centring", tensors),
        "coordinates": fit.coordinates,
        "attributes": fit.attributes,
        "record": None if record is None else _words_of_record(record, fit.sampler, name, tensors),
    }


def fill_in(fit: Fitted, saved: Saved, words: Mapping[str, Any], name: str) -> None:
    """Give a fit with fresh parts what ``words_of_fit`` has kept."""
    tensors = saved.tensors
    load(saved.path, fit.sampler, tensors, f"{name}.sampler.")
    fit.generator.set_state(tensors[f"{name}.generator"].cpu())
    fit.coordinates, fit.attributes = dict(words["coordinates"]), dict(words["attributes"])
    if words["record"] is not None:
        fit.training_record = _record(words["record"], fit.sampler, name, tensors)


def _words_of_record(record: Training, sampler: DiffusionSampler, name: str, tensors: dict[str, Tensor]) -> Any:
    _check_shared(sampler, record)
    tensors[f"{name}.times"] = record.sampling.times
    tensors.update({f"{name}.{key}": torch.tensor(getattr(record, key), dtype=torch.float64) for key in LOSSES})
    kept = {key: packed(getattr(record, key), f"{name}.record.{key}", tensors) for key in RECORD}
    return {**kept, "kept": record.kept is not None}


def _record(words: Mapping[str, Any], sampler: DiffusionSampler, name: str, tensors: Mapping[str, Tensor]) -> Training:
    hints, sampling = get_type_hints(Training), sampler.process.on(tensors[f"{name}.times"].double())
    policy = Uncontrolled(1).to(sampling.times.device)
    kept = DiffusionSampler(sampling, policy) if words["kept"] else None
    losses = {key: tensors[f"{name}.{key}"].tolist() for key in LOSSES}
    return Training(sampling, kept=kept, **losses, **{key: unpacked(words[key], tensors, hints[key]) for key in RECORD})


def _check_shared(sampler: DiffusionSampler, record: Training) -> None:
    """Raises ``TypeError`` where the process that draws has learned parts of its own, which no file would hold."""
    ours, drawn = sampler.process.state_dict(), record.sampling.state_dict()
    if ours.keys() != drawn.keys() or not all(torch.equal(ours[name], drawn[name]) for name in ours):
        raise TypeError("the process that draws is not the trained one, and cannot be saved: write guide.fit(*args)")


def load(path: Path, module: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Fill in weights; raises ``UnreadableFile`` unless names, shapes and dtypes are the module's own, without NaN."""
    given = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    own = module.state_dict()
    for name in sorted({*own, *given}):
        ours, theirs = (_kind(weights.get(name)) for weights in (own, given))
        if ours != theirs:
            raise UnreadableFile(f"{path}: {prefix}{name} is {theirs} there, and {ours} in this guide: save it again")
        if given[name].isnan().any():
            raise UnreadableFile(f"{path}: {prefix}{name} has NaN: write guide.fit(*args) and save it again")
    module.load_state_dict(given)


def _kind(value: Tensor | None) -> str:
    return "missing" if value is None else f"{value.dtype} of shape {tuple(value.shape)}"


def described(latents: Mapping[str, LatentSite]) -> dict[str, str]:
    """Support, shape and plates of every latent."""
    return {
        name: f"support {site.support}, shape {tuple(site.shape)}, plates {[plate for plate, *_ in site.plates]}"
        for name, site in latents.items()
    }


def check_described(saved: Saved, here: Mapping[str, str]) -> None:
    """Raises ``ValueError``, which shows the first difference, unless the model is described as in the file."""
    there = saved.words["sites"]
    for name in sorted({*there, *here}):
        if there.get(name) != here.get(name):
            raise ValueError(
                f"{saved.path} was saved with another model. {name}: there {there.get(name, 'missing')!s:.120}, here "
                f"{here.get(name, 'missing')}. Load it with the model that it was fitted to, or fit again"
            )


def check_density(path: Path, there: Tensor, here: Tensor) -> None:
    """Raises ``ValueError``, which shows the first difference, unless log densities are those of the file."""
    same = torch.isclose(here.double(), there.double(), RELATIVE, ABSOLUTE, equal_nan=True)
    if not same.all():
        worst = int((~same).nonzero()[0])
        raise ValueError(
            f"{path} was saved with another model: the log density at one point was {float(there[worst]):.6g} "
            f"and is {float(here[worst]):.6g} here. Load it with the model that it was fitted to, or fit again"
        )
