"""The façade: a Pyro guide whose posterior is a trained diffusion sampler."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuide
from torch.utils import _pytree as pytree

from amortized._types import Sites, Tensor
from amortized.diagnostics import arviz
from amortized.diagnostics.evaluation import reverse_log_weights
from amortized.diagnostics.verdict import Diagnosis, diagnose
from amortized.diagnostics.weights import log_evidence
from amortized.draws import Draws, Estimate, by_chain
from amortized.path import rollout
from amortized.preparation import MakeSampler, prepare
from amortized.recipe import Recipe, Training, train
from amortized.samplers import DiffusionSampler, GFlowNet
from amortized.samplers.corrections import corrected
from amortized.targets.devices import available_device
from amortized.targets.pyro_model import PyroTarget

PATHS = 8_000
DEAR_PATHS = 2_000


class DiffusionGuide(AutoGuide):
    """Posterior draws, log evidence and a verdict for any Pyro model: warm up, whiten, train, weigh.

    ``sampler``: makes the sampler from ``(dim, reference)``, for instance ``partial(GFlowNet, steps=32)``; by default a
    ``GFlowNet`` that sees the density's gradient as ``langevin`` says or, if that is None, unless one was measured to
    cost over 50 microseconds a particle. ``recipe``: how it is trained, of which ``exploration`` (share of extra noise)
    and ``local_search`` change the behaviour; ``ValueError`` where that would be biased. ``seed``: the same seed gives
    the same draws on the same machine, as long as no time limit cuts the work short. ``max_seconds``: limit of ``fit``,
    wall clock, which a density of over a millisecond a particle can overrun. ``device``: where the model's arguments,
    the network and the chains go.

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

    def __init__(
        self,
        model: Callable,
        *,
        sampler: MakeSampler | None = None,
        recipe: Recipe | None = None,
        langevin: bool | None = None,
        exploration: float | None = None,
        local_search: bool | None = None,
        seed: int = 0,
        max_seconds: float = 60.0,
        device: torch.device | str = "cpu",
        progress: bool = True,
    ):
        super().__init__(model)
        if sampler is not None and langevin is not None:
            raise ValueError(f"langevin={langevin} with sampler=: write partial(GFlowNet, langevin={langevin}) there")
        self.make_sampler = sampler
        self.langevin = langevin
        self.recipe = self._own(recipe or self.default_recipe).with_behaviour(exploration, local_search)
        self.seed = seed
        self.max_seconds = max_seconds
        if not max_seconds > 0:
            raise ValueError(f"max_seconds={max_seconds}: write a positive number of seconds, for instance 60")
        self.device = available_device(device)
        self.progress = progress
        self.training_record: Training | None = None
        self.log_weights: Tensor | None = None
        self.seconds = 0.0

    def _own(self, recipe: Recipe) -> Recipe:
        """The recipe, if it trains what this guide is named after."""
        own, given = type(self.default_recipe.objective(1)), type(recipe.objective(1))
        if type(self) is not DiffusionGuide and own is not given:
            name = type(self).__name__
            raise ValueError(
                f"recipe: {name} trains {own.__name__}, this recipe {given.__name__}; write "
                f"dataclasses.replace({name}.default_recipe, ...), or DiffusionGuide(model, recipe=recipe)"
            )
        return recipe

    def fit(self, *args: Any, **kwargs: Any) -> DiffusionGuide:
        """Warm up, whiten, train and weigh, on the model's own arguments; returns the guide itself.

        Raises ``ModelError`` where the model has no density to learn, ``ValueError`` where it is finite at no start.
        """
        began = time.perf_counter()
        if self.prototype_trace is not None:
            self.target.check_arguments(*self._placed(args, kwargs))
        self._setup_prototype(*args, **kwargs)
        left = max(0.0, 0.85 * self.max_seconds - (time.perf_counter() - began))
        job = self.sampler, self.white, (self.ends, self.log_ends), self.recipe, left
        with self._placement():
            self.training_record = train(*job, self.generator, self.progress)
            self._weigh()
        self.seconds = time.perf_counter() - began
        if skipped := self.training_record.skipped:
            warnings.warn(f"{skipped} training steps had no finite gradient and were skipped", stacklevel=2)
        return self

    def to(self, device: torch.device | str) -> DiffusionGuide:
        """Choose where ``fit`` will run; raises ``RuntimeError`` once fitted: the density was captured where it is."""
        if self.prototype_trace is not None and available_device(device) != self.device:
            raise RuntimeError(
                f"this guide lives on {self.device}: write DiffusionGuide(model, device={str(device)!r}) and fit again"
            )
        self.device = available_device(device)
        return self

    def _placement(self) -> AbstractContextManager:
        return nullcontext() if self.device.type == "cpu" else self.device

    def _placed(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return pytree.tree_map_only(Tensor, lambda tensor: tensor.to(self.device), (args, kwargs))

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        """What needs no training: the density, the warm-up, whitened coordinates and a fresh sampler."""
        args, kwargs = self._placed(args, kwargs)
        generator = torch.Generator(self.device).manual_seed(self.seed)
        with self._placement():
            capture_seconds = min(20.0, 0.2 * self.max_seconds)
            target = PyroTarget(self.model, args, kwargs, seed=self.seed, capture_seconds=capture_seconds)
            made = prepare(
                target,
                self.make_sampler,
                self.langevin,
                generator,
                self.seed,
                0.5 * self.max_seconds,
                self.progress,
                type(self).preset,
            )
        self.target, self.white, self.warm, self.generator = target, made.white, made.warm, generator
        self.sampler, self.ends, self.log_ends = made.sampler, made.ends, made.log_ends
        self.paths = DEAR_PATHS if made.dear else PATHS
        self.training_record = self.log_weights = None
        self.prototype_trace = target.latents

    @torch.no_grad()
    def _weigh(self) -> None:
        """Fresh paths, and paths noised back from held-out draws: what every later judgement reads."""
        trained = self._trained()
        _, self.log_weights = trained.sample(self.white, self.paths, self.generator)
        parts = trained.process, trained.policy, self.white
        held_out = self.ends[: self.recipe.held_out], self.log_ends[: self.recipe.held_out]
        self.reverse_log_weights = reverse_log_weights(*parts, held_out, self.generator)

    def _trained(self) -> DiffusionSampler:
        record = self.training_record
        return self.sampler if record is None else DiffusionSampler(record.sampling, self.sampler.policy)

    def _weights(self, asked: str) -> Tensor:
        """Log weights of fresh paths, drawn anew where SVI has moved the policy since."""
        if self.prototype_trace is None:
            raise RuntimeError(
                f"{type(self).__name__}.{asked} came before fit: write guide.fit(*args) with the model's arguments"
            )
        if self.log_weights is None:
            with self._placement():
                self._weigh()
        assert self.log_weights is not None
        return self.log_weights

    def draw(self, num_samples: int, correction: str = "resample") -> Draws:
        """``num_samples`` posterior draws with their record; ``correction`` as in ``sample``."""
        return self._draw(num_samples, correction)[0]

    def _draw(self, num_samples: int, correction: str) -> tuple[Draws, Tensor]:
        self._weights("sample")
        if not (isinstance(num_samples, int) and num_samples > 0):
            raise ValueError(f"num_samples={num_samples!r}: write a whole number from 1, for instance 4_000")
        began, calls = time.perf_counter(), self.target.calls
        with self._placement():
            ends, weights = corrected(
                self._trained(), self.white, num_samples, correction, self._weights("sample"), self.generator
            )
            x = self.white.unwhiten(ends)
            sites = self.target.constrain(x)
        draws = Draws(
            sites=sites,
            method=type(self).__name__,
            log_weights=weights,
            log_evidence=self.log_evidence(),
            seconds=time.perf_counter() - began,
            target_calls=self.target.calls - calls,
            attributes={"seed": self.seed, "correction": correction, "fit_seconds": self.seconds},
        )
        return draws, x

    def sample(self, num_samples: int, correction: str = "resample") -> Sites:
        """Posterior draws ``{site: (num_samples, *event)}`` in the model's own space, deterministic sites included.

        ``correction="resample"`` draws paths in excess and resamples them by their weights; ``"none"`` returns the
        sampler's own draws; ``"mcmc"`` resamples and then makes 50 MALA moves each; ``"sequential"`` resamples on
        the way, along the path.
        """
        return self.draw(num_samples, correction).sites

    def log_evidence(self) -> Estimate:
        """log Z in nats with its standard error, from up to 8,000 fresh paths at the end of ``fit``."""
        return log_evidence(self._weights("log_evidence"))

    def diagnose(self) -> Diagnosis:
        """Whether to trust the draws: weights, bounds, agreement with the warm-up, and a verdict in plain words."""
        fresh, warm = self._weights("diagnose"), self.warm
        return diagnose(fresh, self.reverse_log_weights, warm.log_evidence, warm.trustworthy, warm.status)

    def median(self, *args: Any, **kwargs: Any) -> Sites:
        """Posterior median of every latent site, from 4,000 draws; the model's arguments are accepted and ignored."""
        return {name: value[0] for name, value in self.quantiles([0.5]).items()}

    def quantiles(self, quantiles: list[float], *args: Any, **kwargs: Any) -> Sites:
        """Posterior quantiles ``{site: (len(quantiles), *event)}`` from 4,000 draws."""
        self._weights("quantiles")
        levels = torch.as_tensor(quantiles, device=self.device)
        if not bool(((levels >= 0) & (levels <= 1)).all()):
            raise ValueError(f"quantiles={quantiles}: write levels between 0 and 1, for instance [0.05, 0.5, 0.95]")
        draws = self.sample(4_000)
        return {name: draws[name].quantile(levels.to(draws[name].dtype), dim=0) for name in self.target.latents}

    def to_arviz(self, num_samples: int = 4_000) -> Any:
        """The posterior in ArviZ: posterior, sample_stats, log_likelihood, observed_data, and how it was made."""
        self._weights("to_arviz")
        draws, x = self._draw(num_samples, "resample")
        with self._placement():
            log_likelihood = self.target.pointwise_log_likelihood(x)
            log_prob = self.target.log_prob(x)
        evidence = self.log_evidence()
        return arviz.inference_data(
            {
                "posterior": draws.arrays(),
                "sample_stats": {"lp": by_chain(log_prob)},
                "log_likelihood": {name: by_chain(value) for name, value in log_likelihood.items()},
                "observed_data": {name: value.cpu().numpy() for name, value in self.target.observations.items()},
            },
            {
                "method": draws.method,
                "seed": self.seed,
                "seconds": self.seconds,
                "target_calls": self.target.calls,
                "log_evidence": evidence.value,
                "log_evidence_std_error": evidence.std_error,
                "verdict": self.diagnose().verdict,
            },
        )

    def forward(self, *args: Any, **kwargs: Any) -> Sites:
        """One draw as a Pyro guide: every latent as a ``Delta``, and one factor with the log density of them all.

        The factor is ``log p₀ + Σ (log P_F − log P_B) − log |det dz/dx|``, so that ``Trace_ELBO`` sees a valid lower
        bound on the extended space of paths. An enclosing plate (vectorized particles, ``Predictive(parallel=True)``)
        asks for several draws at once. The grid is the one of training, which may be coarser than ``sample``'s. Before
        ``fit``, the first call warms up and whitens on ``args`` and leaves the training to SVI.
        """
        if self.prototype_trace is None:
            with poutine.block():
                self._setup_prototype(*args, **kwargs)
        if torch.is_grad_enabled():
            self.log_weights = None
        sampler = self.sampler
        plates = dist.Normal(torch.zeros((), device=self.device), 1.0).mask(False)
        shape = pyro.sample("_amortized_plates", plates, infer={"is_auxiliary": True}).shape
        with self._placement(), poutine.block():
            path = rollout(sampler.process, sampler.policy, self.white, shape.numel(), evaluate_ends=False)
            values, log_dets = self.target.unpack(self.white.unwhiten(path.ends))
        log_jacobian = self.white.log_det + torch.stack(list(log_dets.values())).sum(0)
        pyro.factor("_amortized_path", (path.log_proposal - log_jacobian).reshape(shape), has_rsample=True)
        frames = {plate for site in self.target.latents.values() for plate in site.plates}
        opened = {name: pyro.plate(name, size, dim=dim) for name, size, dim in sorted(frames)}
        draws = {}
        for name, site in self.target.latents.items():
            plate_dims = len(site.shape) - site.event_dim
            value = values[name].reshape(shape[: max(0, len(shape) - plate_dims)] + site.shape)
            with ExitStack() as stack:
                for plate, _, _ in site.plates:
                    stack.enter_context(opened[plate])
                draws[name] = pyro.sample(name, dist.Delta(value, event_dim=site.event_dim))
        return draws
