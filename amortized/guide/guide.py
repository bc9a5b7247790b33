"""The façade: a Pyro guide whose posterior is a trained diffusion sampler."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from typing import Any

import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuide
from torch import nn

from amortized._torch import available_device, placement
from amortized._types import Sites, Tensor
from amortized.amortization.training import check_options, for_contexts
from amortized.diagnostics.calibration import Calibration
from amortized.guide.many import Many
from amortized.guide.options import Settings, limit, whole_seed
from amortized.guide.pyro_protocol import emit, quantiles_of
from amortized.guide.replicas import alike, record_of
from amortized.guide.single import Single
from amortized.report import contents_of, write
from amortized.results.draws import Draws
from amortized.results.posterior import Posterior, check_count
from amortized.samplers import DiffusionSampler, GFlowNet
from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.conditional.model import as_data_sets
from amortized.targets.pyro.data import call_with_tensors
from amortized.targets.pyro.failures import tell
from amortized.training.recipe import Recipe

SECONDS, SECONDS_FOR_MANY = 60.0, 300.0


class DiffusionGuide(AutoGuide):
    """Posterior draws, log evidence and a verdict for any Pyro model: warm up, whiten, train, weigh.

    ``amortize``: names of arguments or observed sites, or ``LocalTo`` a plate: the guide is fitted to all data sets at
    once, along a first dimension, and methods take the data, ``sample(n, y)``, which ``embedding`` reads: by default
    ``Perceptron()``, ``DeepSets()`` for sets of different size.
    ``sampler``: makes the sampler from ``(dim, reference)``, for instance ``partial(GFlowNet, steps=32)``; by default a
    ``GFlowNet`` that sees the density's gradient as ``langevin`` says or, if that is None, unless one was measured to
    cost over 50 microseconds a particle. ``recipe``: how it is trained, of which ``exploration`` (share of extra noise)
    and ``local_search`` change the behaviour; ``ValueError`` where that would be biased. ``seed``: the same seed gives
    the same draws on the same machine, as long as no time limit cuts the work short. ``max_seconds``: limit of ``fit``,
    60 or, amortized, 300, of wall clock; a density of over a millisecond a particle can overrun it. ``device``: where
    the model's arguments, the network and the chains go. ``replicas``: fits of seeds of their own, one after the other,
    each within ``max_seconds``: ``to_arviz`` shows them as chains, so that R-hat compares independent fits.

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
    default_recipe = Recipe()
    components: int | None = None

    def __init__(
        self,
        model: Callable,
        *,
        amortize: str | Sequence[str] | LocalTo | None = None,
        embedding: nn.Module | None = None,
        sampler: Callable[..., DiffusionSampler] | None = None,
        recipe: Recipe | None = None,
        langevin: bool | None = None,
        exploration: float | None = None,
        local_search: bool | None = None,
        seed: int = 0,
        max_seconds: float | None = None,
        device: torch.device | str = "cpu",
        progress: bool = True,
        replicas: int = 1,
    ):
        super().__init__(model)
        seed, seconds = whole_seed(seed), limit(max_seconds, SECONDS if amortize is None else SECONDS_FOR_MANY)
        own = self.default_recipe if amortize is None else for_contexts(self.default_recipe)
        if recipe is not None and type(self) is not DiffusionGuide:
            recipe.check_trains(type(self).__name__, own)
        self.recipe = (recipe or own).with_behaviour(exploration, local_search)
        check_options(amortize, embedding, sampler, self.recipe)
        check_count(replicas, "replicas")
        self.device = available_device(device)
        make = type(self).preset, sampler, langevin, self.components, seed, seconds
        self.settings = Settings(*make, self.device, progress, amortize, embedding, untried=seed + replicas)
        self.replicas, self.others = replicas, []
        self.fitted: Single | Many | None = None
        self.posterior, self.training_record, self.seconds = None, None, 0.0

    def fit(self, *args: Any, **kwargs: Any) -> DiffusionGuide:
        """Warm up, whiten, train and weigh, on the model's own arguments; returns the guide itself.

        With ``amortize`` the named arguments have one more dimension, the first: data sets. Raises ``ModelError`` where
        the model has no density to learn, ``ValueError`` where it is finite at no start.
        """
        began = time.perf_counter()
        args, kwargs = call_with_tensors(self.model, args, kwargs, self.device)
        if self.fitted is not None:
            self.fitted.check(args, kwargs)
        fitted = self._setup_prototype(*args, **kwargs)
        left = max(0.0, 0.85 * self.settings.max_seconds - (time.perf_counter() - began))
        with placement(self.device):
            self.training_record = fitted.train(self.recipe, left)
            if isinstance(fitted, Single):
                self._the_posterior().reverse_weights()
                self._the_posterior().weights()
        self.seconds = time.perf_counter() - began
        if skipped := self.training_record.skipped:
            tell(f"{skipped} training steps had no finite gradient and were skipped")
        seeds = range(self.settings.seed + 1, self.settings.seed + self.replicas)
        self.others = [alike(self, seed).fit(*args, **kwargs) for seed in seeds]
        return self

    def to(self, device: torch.device | str) -> DiffusionGuide:
        """Choose where ``fit`` will run; raises ``RuntimeError`` once fitted: the density was captured where it is."""
        if self.fitted is not None and available_device(device) != self.device:
            raise RuntimeError(
                f"this guide lives on {self.device}: write DiffusionGuide(model, device={str(device)!r}) and fit again"
            )
        self.device = available_device(device)
        self.settings = replace(self.settings, device=self.device)
        return self

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> Single | Many:
        """What needs no training: the density, coordinates in which it is near normal, and a fresh sampler."""
        kind = Single if self.settings.amortize is None else Many
        with placement(self.device):
            fitted = kind(self.model, args, kwargs, self.settings)
        self.fitted, self.sampler, self.prototype_trace = fitted, fitted.sampler, fitted.latents
        self.gaussian = fitted.gaussian if isinstance(fitted, Many) else None
        self.training_record = self.posterior = None
        return fitted

    @property
    def target(self) -> Any:
        """The density that was learned, in unconstrained coordinates: a ``PyroTarget`` or ``ConditionalTarget``."""
        return self._fitted("target").target

    def _fitted(self, asked: str) -> Single | Many:
        if self.fitted is None:
            raise RuntimeError(
                f"{type(self).__name__}.{asked} came before fit: write guide.fit(*args) with the model's arguments"
            )
        if asked not in ("forward", "target") and (moved := self.fitted.moved):
            raise RuntimeError(f"parameters of the model have moved since the fit ({moved[0]}): write guide.fit(*args)")
        if asked not in ("forward", "target", "at", "diagnose"):  # a diagnosis says itself that the model has changed
            self.fitted.target.check_unchanged()
        return self.fitted

    def _trained(self) -> DiffusionSampler:
        record = self.training_record
        return self.sampler if record is None else DiffusionSampler(record.sampling, self.sampler.policy)

    def _the_posterior(self) -> Posterior:
        """The only one, drawn from anew where SVI has moved the policy since."""
        if self.posterior is None:
            assert isinstance(self.fitted, Single)
            self.posterior = self.fitted.posterior(self._trained(), type(self).__name__, self.recipe)
        self.posterior.attributes["fit_seconds"] = self.seconds
        return self.posterior

    def at(self, *data: Any, **named: Any) -> Posterior:
        """The posterior given one data set, ``at(y)`` or ``at(y=y)`` (without ``amortize`` the only one, ``at()``)."""
        fitted = self._fitted("at")
        data = fitted.ordered(data, named)
        if isinstance(fitted, Single):
            return self._the_posterior()
        rows, alone = fitted.rows(data)
        if not alone:
            raise ValueError(f"{len(rows)} data sets at once: write [guide.at(y) for y in data]")
        with placement(self.device):
            return fitted.posterior(rows, self._trained(), type(self).__name__)

    def _of_each(self, asked: str, data: tuple, named: dict[str, Any]) -> Any:
        """What the posterior's method says, or a list of it for a batch of data sets."""
        fitted, ask = self._fitted(asked), methodcaller(asked)
        data = fitted.ordered(data, named)
        if isinstance(fitted, Single):
            return ask(self.at())
        rows, alone = fitted.rows(data)
        name, sampler = type(self).__name__, self._trained()
        with placement(self.device):
            found = [ask(fitted.posterior(row[None], sampler, name)) for row in rows]
        return found[0] if alone else found

    def draw(self, num_samples: int, *data: Any, correction: str = "resample", **named: Any) -> Draws:
        """``num_samples`` posterior draws with their record; ``correction`` as in ``sample``."""
        check_count(num_samples)
        return self.at(*data, **named).draw(num_samples, correction)

    def sample(self, num_samples: int, *data: Any, correction: str = "resample", **named: Any) -> Sites:
        """Posterior draws ``{site: (num_samples, *event)}`` in the model's own space, deterministic sites included.

        Of a batch of M data sets, ``{site: (M, num_samples, *event)}``. ``correction``: as in ``Posterior.sample``.
        """
        fitted = self._fitted("sample")
        check_count(num_samples)
        if isinstance(fitted, Single):
            return self.draw(num_samples, *data, correction=correction, **named).sites
        rows, alone = fitted.rows(fitted.ordered(data, named))
        with placement(self.device):
            sites = fitted.sample(rows, self._trained(), num_samples, correction)
        return {name: value[0] for name, value in sites.items()} if alone else sites

    def log_evidence(self, *data: Any, **named: Any) -> Any:
        """log Z in nats with its standard error, an ``Estimate``, from fresh paths; a list for a batch of data sets."""
        return self._of_each("log_evidence", data, named)

    def log_weights(self, count: int, *data: Any, **named: Any) -> Tensor:
        """Log weights ``(count, M)`` of fresh paths for M data sets, ``(count,)`` for one; in nats.

        Their mean bounds log Z from below (ELBO), as does the log mean weight of K of them (IWAE).
        """
        fitted = self._fitted("log_weights")
        check_count(count, "count")
        with placement(self.device):
            return fitted.log_weights(fitted.ordered(data, named), self._trained(), count)

    def diagnose(self, *data: Any, **named: Any) -> Any:
        """Whether to trust the draws, a ``Diagnosis`` with its verdict in words; a list for a batch of data sets."""
        return self._of_each("diagnose", data, named)

    def refine(self, *data: Any, seconds: float = 10.0, **named: Any) -> Posterior:
        """A posterior specialised to one data set: the sampler goes on training on it alone, ``seconds`` more."""
        fitted = self._fitted("refine")
        with placement(self.device):
            return fitted.refine(data, named, self._trained(), type(self).__name__, seconds)

    def calibrate(self, count: int = 1_000, draws: int = 99, correction: str = "resample") -> Calibration:
        """Simulation-based calibration and expected coverage: ``count`` fresh data sets from the model, ``draws`` each.

        Raises ``RuntimeError`` for a guide without ``amortize``, which would have to be fitted so many times.
        """
        with placement(self.device):
            return self._fitted("calibrate").calibrate(self._trained(), count, draws, correction)

    def median(self, *args: Any, **kwargs: Any) -> Sites:
        """Posterior median of every latent site, from 4,000 draws; of the data given, if the guide is amortized."""
        return {name: value[0] for name, value in self.quantiles([0.5], *args, **kwargs).items()}

    def quantiles(self, quantiles: list[float], *args: Any, **kwargs: Any) -> Sites:
        """Posterior quantiles ``{site: (len(quantiles), *event)}`` from 4,000 draws; ``(…, M, *event)`` of a batch."""
        fitted = self._fitted("quantiles")
        draws = self.sample(4_000, *args, **kwargs) if isinstance(fitted, Many) else self.sample(4_000)
        return quantiles_of(draws, fitted.latents, quantiles)

    def record(self, *data: Any, num_samples: int | None = None, correction: str = "resample", **named: Any) -> Draws:
        """4,000 draws with the verdict among their attributes; every replica is a chain, and has an equal share."""
        given = self._fitted("record").ordered(data, named)
        return record_of([self, *self.others], given, num_samples, correction)[0]

    def to_arviz(self, *data: Any, num_samples: int | None = None, correction: str = "resample", **named: Any) -> Any:
        """The posterior in ArviZ, as ``Draws.to_arviz``: ``record``, predictions, prior, likelihood and data."""
        return self.record(*data, num_samples=num_samples, correction=correction, **named).to_arviz()

    def report(
        self,
        path: str | Path,
        *data: Any,
        baselines: Sequence[Draws] = (),
        title: str | None = None,
        code: str = "",
        **named: Any,
    ) -> Path:
        """One page of HTML for a person: verdict, tables and pictures, other methods' draws beside them; its path."""
        fitted = self._fitted("report")
        training = self.training_record if isinstance(fitted, Single) else None
        draws, worst = record_of([self, *self.others], fitted.ordered(data, named), after=baselines)
        shown = replace(contents_of(worst, draws, self.model), training=training, enough=self.recipe.enough)
        return write(path, replace(shown, title=title or shown.title, baselines=tuple(baselines), code=code))

    def forward(self, *args: Any, **kwargs: Any) -> Sites:
        """One draw as a Pyro guide: every latent as a ``Delta``, and one factor with the log density of them all.

        ``Trace_ELBO`` then sees a valid bound on the extended space of paths. An enclosing plate asks for several draws
        at once. The grid is the one of training, maybe coarser than ``sample``'s. Before ``fit``, the first call
        prepares and SVI trains. An amortized guide takes one data set or, with ``LocalTo``, rows, a factor for each.
        """
        args, kwargs = call_with_tensors(self.model, args, kwargs, self.device)
        if self.fitted is None:
            with poutine.block():
                given = as_data_sets(self.model, self.settings.amortize, args, kwargs)
                self._setup_prototype(*given.args, **given.kwargs)
        if torch.is_grad_enabled():
            self.posterior = None
        _ = self.sampler, self.gaussian  # a PyroModule's parts become SVI's own when they are touched
        with placement(self.device):
            return emit(self._fitted("forward"), args, kwargs, self.device)
