"""The façade: a Pyro guide whose posterior is a trained diffusion sampler."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuide

import amortized.guide.saving as saving
from amortized._torch import placement
from amortized._types import Sites
from amortized.amortization.training import for_contexts
from amortized.guide.answers import Answers
from amortized.guide.checkpoint import Checkpoint
from amortized.guide.fitted import Fitted
from amortized.guide.many import Call, Many
from amortized.guide.options import Options, options_of, takes
from amortized.guide.plan import Plan
from amortized.guide.pyro_protocol import emit
from amortized.guide.shown import Shown
from amortized.guide.single import Single
from amortized.samplers import DiffusionSampler, GFlowNet
from amortized.storage.file import write
from amortized.storage.version import VERSION
from amortized.targets.conditional.model import as_data_sets
from amortized.targets.pyro.arguments import call_with_tensors
from amortized.targets.pyro.failures import tell
from amortized.training.recipe import PAYING, Recipe

PLANNED = 0.85
"""Part of ``max_seconds`` after which training ends: the weights of fresh paths take the rest."""


class DiffusionGuide(Shown, AutoGuide):  # pyright: ignore[reportIncompatibleVariableOverride]: any callable
    """Posterior draws, log evidence and a verdict for any Pyro model.

    ``fit`` finds the modes, whitens, trains a sampler and weighs its paths. ``help(DiffusionGuide.__init__)`` lists the
    options.

    >>> import pyro, pyro.distributions as dist
    >>> def model(y):
    ...     mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
    >>> guide = DiffusionGuide(model, progress=False).fit(torch.tensor(2.0))
    >>> posterior = guide.sample(4_000)
    >>> posterior["mean"].shape, abs(float(posterior["mean"].mean()) - 1.0) < 0.1
    (torch.Size([4000]), True)
    >>> guide.diagnose().verdict
    'trustworthy'
    """

    preset: Callable[..., DiffusionSampler] = GFlowNet
    default_recipe = PAYING
    reference: str = "mixture"
    components: int | None = None

    @takes(Options)
    def __init__(self, model: Callable, **named: Any):
        kind = type(self)
        if not callable(model):
            name = kind.__name__
            raise TypeError(f"model={model!r:.60}: write {name}(model), the function itself, and {name}.fit(*args)")
        super().__init__(model)
        options = options_of(kind.__name__, named)
        own = kind.default_recipe if options.amortize is None else for_contexts(kind.default_recipe)
        if options.recipe is not None and kind is not DiffusionGuide:
            options.recipe.check_trains(kind.__name__, own)
        recipe = (options.recipe or own).with_behaviour(options.exploration, options.local_search)
        untried = options.seed + options.replicas
        reference = options.reference or kind.reference
        self.plan = Plan(options, kind.__name__, kind.preset, recipe, kind.components, untried, reference)
        self.others: list[Answers] = []
        self.fitted: Fitted | None = None
        self._like: Single | None = None
        self.seconds = 0.0

    @property
    def options(self) -> Options:
        return self.plan.options

    @property
    def recipe(self) -> Recipe:
        return self.plan.recipe

    @property
    def coordinates(self) -> dict[str, str]:
        """What was chosen for each latent site, and why (``docs/coordinates.md``)."""
        return dict(self._prepared("coordinates").coordinates)

    def fit(self, *args: Any, **kwargs: Any) -> DiffusionGuide:
        """Warm up, whiten, train and weigh.

        Args:
            *args: The model's own arguments. With ``amortize`` the named ones have one more dimension, the first: data
                sets.
            **kwargs: The same by name.

        Returns:
            The guide itself.

        Raises:
            ModelError: The model has no density to learn.
            ValueError: The density is finite at no start, or the checkpoint is of another fit.
        """
        args, kwargs = call_with_tensors(self.model, args, kwargs, self.device)
        if self.fitted is not None:
            self.fitted.check(args, kwargs)
        self._fit(args, kwargs)
        options = self.options
        seeds = range(options.seed + 1, options.seed + options.replicas)
        self.others = [self._replica(seed).fit(*args, **kwargs) for seed in seeds]
        return self

    def _fit(self, args: tuple, kwargs: dict[str, Any]) -> None:
        """Prepare and train, or go on from what a checkpoint has kept."""
        began, folder = time.perf_counter(), self.options.checkpoint
        point = None if folder is None else Checkpoint(folder, self.plan)
        with placement(self.device):
            found = None if point is None else point.found(self.model, Call(args, kwargs))
        if found is None:
            fitted = self._prepare(args, kwargs)
            if point is not None:
                point.keep(fitted, time.perf_counter() - began)
        else:
            fitted, self.seconds = found
            self._hold(fitted)
            began -= self.seconds
        if fitted.training_record is not None:
            return
        left = max(0.0, PLANNED * self.plan.seconds - (time.perf_counter() - began))
        with placement(self.device):
            record = fitted.train(left)
        self.sampler = fitted.sampler  # another one where the coordinates were straightened
        self.zero_grad()  # SVI would add its first gradient to the last one of training
        self.seconds = fitted.attributes["fit_seconds"] = time.perf_counter() - began
        if record.skipped:
            tell(f"{record.skipped} training steps had no finite gradient and were skipped")
        if point is not None:
            point.keep(fitted, self.seconds)

    def to(self, device: torch.device | str) -> DiffusionGuide:  # pyright: ignore[reportIncompatibleMethodOverride]: no dtype
        """Choose where ``fit`` will run.

        Raises:
            RuntimeError: The guide is fitted: its density was captured on the other device.
        """
        plan = replace(self.plan, options=replace(self.options, device=device))
        if self.fitted is not None and plan.device != self.device:
            raise RuntimeError(
                f"this guide lives on {self.device}: write DiffusionGuide(model, device={str(device)!r}) and fit again"
            )
        self.plan = plan
        return self

    def __getstate__(self) -> dict[str, Any]:
        """All attributes. Pyro's own leaves the model out, and on Python 3.11 takes it from the original as well."""
        return self.__dict__.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> DiffusionGuide:
        other = memo[id(self)] = type(self).__new__(type(self))
        other.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return other

    def __copy__(self) -> DiffusionGuide:
        other = type(self).__new__(type(self))
        other.__setstate__(self.__getstate__())
        return other

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuses pickles: reading one runs whatever it says."""
        name = type(self).__name__
        raise TypeError(f"no pickle and no torch.save of a guide: write guide.save(path), {name}.load(path, model)")

    def save(self, path: str | Path) -> Path:
        """Write the guide as one file of numbers; the model's code is not in it (``docs/saving.md``).

        Args:
            path: The file, which appears whole or not at all.

        Returns:
            The path.

        Raises:
            RuntimeError: Nothing was fitted yet, or the model has changed since.
            TypeError: An amortized guide was not trained, or an argument of the model is no number.
        """
        self._current("save")
        fits = [(guide._unmoved("save"), guide.seconds) for guide in [self, *self.others]]
        return write(path, *saving.content_of(fits, self.plan, VERSION))

    @classmethod
    def load(cls, path: str | Path, model: Callable, **again: Any) -> DiffusionGuide:
        """The guide of a file of ``save``, with the model that it was fitted to.

        Args:
            path: The file. Reading it executes nothing.
            model: The same Pyro model.
            **again: ``embedding=``, ``sampler=`` and ``recipe=``, if the guide had them: they are code.

        Raises:
            UnreadableFile: The file is cut, changed, of another version, or no guide's.
            ValueError: The model has other sites or data, or another density; the message shows the difference.
            TypeError: One of ``again`` is missing, or one too many.
        """
        if unknown := [name for name in again if name not in saving.GIVEN_AGAIN]:
            raise TypeError(f"{unknown[0]}= is in the file: leave it out of load")
        saved = saving.opened(path, cls.__name__, VERSION)
        guide = cls(model, **saving.options_of(saved, again))
        seeds = range(guide.options.seed + 1, guide.options.seed + guide.options.replicas)
        guides = [guide, *(guide._replica(seed) for seed in seeds)]
        with placement(guide.device):
            found = saving.rebuilt(saved, model, [one.plan for one in guides])
        for one, (fitted, seconds) in zip(guides, found, strict=True):
            one._hold(fitted)
            one.seconds = seconds
        guide.others = list(guides[1:])
        return guide

    def _replica(self, seed: int) -> DiffusionGuide:
        """A guide with the same model and options, another seed, and no fit yet: its first takes over the density."""
        other = type(self)(self.model, **vars(replace(self.options, seed=seed, replicas=1)))
        other.plan = replace(other.plan, untried=self.plan.untried)
        other._like = self.fitted if isinstance(self.fitted, Single) else None
        return other

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        """What Pyro calls at the first use of a guide that is not fitted."""
        self._prepare(args, kwargs)

    def _prepare(self, args: tuple, kwargs: dict[str, Any]) -> Fitted:
        """What needs no training: the density, coordinates in which it is near normal, and a fresh sampler."""
        like, self._like = self._like, None  # another fit may have other data
        with placement(self.device):
            if self.options.amortize is None:
                fitted = Single(self.model, args, kwargs, self.plan, like)
            else:
                fitted = Many(self.model, args, kwargs, self.plan)
        self._hold(fitted)
        return fitted

    def _hold(self, fitted: Fitted) -> None:
        self.fitted, self.sampler, self.prototype_trace = fitted, fitted.sampler, fitted.latents
        self.gaussian = fitted.gaussian

    def forward(self, *args: Any, **kwargs: Any) -> Sites:
        """One draw as a Pyro guide: every latent as a ``Delta``, and one factor with the log density of them all.

        ``Trace_ELBO`` then sees a valid bound on the extended space of paths. An enclosing plate asks for several draws
        at once. The grid is that of training, which may be coarser than the grid of ``sample``. Before ``fit``, the
        first call prepares and SVI trains. An amortized guide takes one data set or, with ``LocalTo``, rows, each with
        a factor of its own.
        """
        args, kwargs = call_with_tensors(self.model, args, kwargs, self.device)
        if self.fitted is None:
            with poutine.block():
                given = as_data_sets(self.model, self.options.amortize, args, kwargs)
                self._setup_prototype(*given.args, **given.kwargs)
        fitted = self._prepared("forward")
        if torch.is_grad_enabled():
            fitted.sampler_moved()
        _ = self.sampler, self.gaussian  # a PyroModule's parts become SVI's own when they are touched
        with placement(self.device):
            return emit(fitted, args, kwargs, self.device)
