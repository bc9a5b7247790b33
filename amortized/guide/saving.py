"""What a file of an amortized guide holds, and the guide that it gives back.

The file names no class and no function to call. The guide's own class and options build its parts, and the file fills
in numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from amortized._types import Tensor
from amortized.guide.many import Call, Many
from amortized.guide.options import Options
from amortized.guide.plan import Plan
from amortized.policies.uncontrolled import Uncontrolled
from amortized.samplers import DiffusionSampler
from amortized.storage.file import UnreadableFile, read
from amortized.storage.tree import packed, unpacked
from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.trace import ModelError
from amortized.training.evaluation import Evaluation
from amortized.training.record import Training

FORMAT = 1
"""Of the words; it rises when their meaning changes."""
GIVEN_AGAIN = ("embedding", "sampler", "recipe")
"""Options that are code. They are not saved, and the user gives them again."""
POINTS, TOLERANCE = 4, 1e-4
"""Points at which the density is compared, and the part by which float32 on another machine may differ."""


@dataclass(frozen=True)
class Saved:
    """The content of a file, read and not yet compared with a model."""

    path: Path
    words: dict[str, Any]
    tensors: dict[str, Tensor]

    def options(self, again: Mapping[str, Any]) -> dict[str, Any]:
        """Options by name, with those that the user gives again.

        Raises:
            TypeError: One of them is missing, or was not there when the guide was saved.
        """
        had = self.words["given"]
        for name in GIVEN_AGAIN:
            if (name in had) != (again.get(name) is not None):
                what = "was saved with" if name in had else "was saved without"
                typed = f"give the same {name}= to load" if name in had else f"leave {name}= out"
                raise TypeError(f"the guide of {self.path} {what} {name}=: {typed}")
        options = dict(self.words["options"])
        if isinstance(options["amortize"], dict):
            options["amortize"] = LocalTo(options["amortize"]["local to"])
        return {**options, **again}


def content_of(fits: list[tuple[Many, float]], plan: Plan, version: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and words of a guide.

    Args:
        fits: What the guide and each replica learned, with the seconds of each.
        plan: The guide's.
        version: Of the library.
    """
    first, tensors = fits[0][0], {}
    options = {one.name: getattr(plan.options, one.name) for one in fields(Options) if one.name not in GIVEN_AGAIN}
    local = options["amortize"]
    options["amortize"] = {"local to": local.plate} if isinstance(local, LocalTo) else local
    options["device"] = str(options["device"])
    words = {
        "format": FORMAT,
        "version": version,
        "guide": plan.name,
        "dtype": str(torch.get_default_dtype()),
        "options": options,
        "given": [name for name in GIVEN_AGAIN if getattr(plan.options, name) is not None],
        "args": packed(first.call.args, "args", tensors),
        "kwargs": packed(first.call.kwargs, "kwargs", tensors),
        "sites": described(first.target),
        "fits": [_fit_words(fit, seconds, f"fit{place}", tensors) for place, (fit, seconds) in enumerate(fits)],
    }
    return tensors, words


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


def rebuilt(saved: Saved, model: Callable, plans: list[Plan]) -> list[tuple[Many, float]]:
    """What the guide and each replica had learned, with the seconds of each.

    Raises:
        UnreadableFile: The numbers are not those of such a guide.
        ValueError: The model has other sites, or another density, than the one that was saved.
    """
    try:
        args, kwargs = (unpacked(saved.words[name], saved.tensors) for name in ("args", "kwargs"))
        if len(saved.words["fits"]) != len(plans):
            raise ValueError(f"{len(saved.words['fits'])} fits for {len(plans)} replicas")
        call = Call(tuple(args), dict(kwargs))
        found = zip(saved.words["fits"], plans, strict=True)
        return [_fit(saved, words, model, call, plan, f"fit{place}") for place, (words, plan) in enumerate(found)]
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
        raise UnreadableFile(f"{saved.path} does not fit a guide ({cause}): write guide.save(path) again") from error


def described(target: ConditionalTarget) -> dict[str, str]:
    """Support, shape and plates of every latent, the shape of the data, and how the density is batched."""
    found = {
        name: f"support {site.support}, shape {tuple(site.shape)}, plates {[plate for plate, *_ in site.plates]}"
        for name, site in target.latents.items()
    }
    parts = [f"{part.name} {tuple(part.shape)}" for part in target.contexts.parts]
    return {**found, "(data)": ", ".join(parts), "(batching)": target.joint.batching}


def _fit_words(fit: Many, seconds: float, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    record, target = fit.training_record, fit.target
    assert record is not None
    _check_shared(fit.sampler, record)
    for part, module in (("sampler", fit.sampler), ("gaussian", fit.family.gaussian)):
        tensors.update({f"{name}.{part}.{key}": value for key, value in module.state_dict().items()})
    points, values = _density(target)
    centring = {key: site.centring for key, site in target.latents.items() if site.centring is not None}
    numbers = {"times": record.sampling.times, "generator": fit.generator.get_state(), "points": points}
    tensors.update({f"{name}.{key}": value for key, value in {**numbers, "values": values}.items()})
    return {
        "centring": packed(centring, f"{name}.centring", tensors),
        "coordinates": fit.coordinates,
        "attributes": fit.attributes,
        "seconds": seconds,
        "calls": target.joint.calls,
        "kept": record.kept is not None,
        "bridge_losses": record.bridge_losses,
        "losses": record.losses,
        "evaluations": [[step, asdict(found)] for step, found in record.evaluations],
        "skipped": record.skipped,
        "source": record.source,
        "outcome": record.outcome,
        "cut_short": record.cut_short,
    }


def _fit(saved: Saved, words: dict[str, Any], model: Callable, call: Call, plan: Plan, name: str) -> tuple[Many, float]:
    tensors = saved.tensors
    try:
        fit = Many.untrained(model, call, plan, unpacked(words["centring"], tensors))
    except ModelError as error:
        raise ValueError(
            f"{saved.path} was saved with another model, this one does not take its data: {error}"
        ) from error
    _check_same(saved, fit.target, tensors[f"{name}.points"], tensors[f"{name}.values"])
    _load(saved.path, fit.sampler, tensors, f"{name}.sampler.")
    _load(saved.path, fit.family.gaussian, tensors, f"{name}.gaussian.")
    sampling = fit.sampler.process.on(tensors[f"{name}.times"].double())
    fit.generator.set_state(tensors[f"{name}.generator"])
    fit.coordinates, fit.attributes = dict(words["coordinates"]), dict(words["attributes"])
    fit.target.joint.calls = int(words["calls"])
    source, outcome, cut_short = (str(words[key]) for key in ("source", "outcome", "cut_short"))
    fit.training_record = Training(
        sampling,
        bridge_losses=list(words["bridge_losses"]),
        losses=list(words["losses"]),
        evaluations=[(step, Evaluation(**figures)) for step, figures in words["evaluations"]],
        skipped=int(words["skipped"]),
        kept=DiffusionSampler(sampling, Uncontrolled(fit.target.dim)) if words["kept"] else None,
        source=source,
        outcome=outcome,
        cut_short=cut_short,
    )
    return fit, float(words["seconds"])


def _load(path: Path, module: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
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


@torch.no_grad()
def _density(target: ConditionalTarget, points: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Points ``(N, D)`` near 0, and log R there given the first data set."""
    if points is None:
        generator = torch.Generator().manual_seed(0)
        points = torch.randn(POINTS, target.dim, generator=generator).to(target.device, target.dtype)
    return points, target.at(target.rows[:1]).log_prob(points)


def _check_same(saved: Saved, target: ConditionalTarget, points: Tensor, values: Tensor) -> None:
    """Raises ``ValueError``, which shows the difference, unless sites and density are those that were saved."""
    there, here = saved.words["sites"], described(target)
    for name in sorted({*there, *here}):
        if there.get(name) != here.get(name):
            raise ValueError(
                f"{saved.path} was saved with another model. {name}: there {there.get(name, 'missing')!s:.120}, here "
                f"{here.get(name, 'missing')}. Load it with the model that it was fitted to, or fit again"
            )
    found = _density(target, points.to(target.device))[1]
    same = torch.isclose(found.double(), values.to(found.device).double(), TOLERANCE, TOLERANCE, equal_nan=True)
    if not same.all():
        worst = int((~same).nonzero()[0])
        raise ValueError(
            f"{saved.path} was saved with another model: the log density at one point was {float(values[worst]):.6g} "
            f"and is {float(found[worst]):.6g} here. Load it with the model that it was fitted to, or fit again"
        )


def _check_shared(sampler: DiffusionSampler, record: Training) -> None:
    """Raises ``TypeError`` where the process that draws has learned parts of its own, which no file would hold."""
    ours, drawn = sampler.process.state_dict(), record.sampling.state_dict()
    if ours.keys() != drawn.keys() or not all(torch.equal(ours[name], drawn[name]) for name in ours):
        raise TypeError("the process that draws is not the trained one, and cannot be saved: write guide.fit(*args)")
