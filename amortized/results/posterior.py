"""One posterior with a trained sampler: draws, and the way to ArviZ."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from amortized._torch import placement
from amortized._types import Sites
from amortized.diagnostics.finding import TONES
from amortized.diagnostics.summary import Summary
from amortized.display import html
from amortized.display.text import shapes
from amortized.mcmc.many_chains import Chains
from amortized.results.chain_draws import extended, taken
from amortized.results.counts import NUM_SAMPLES, check_count
from amortized.results.draws import Draws
from amortized.results.judged import Judged, polished
from amortized.samplers.corrections import affordable_paths, check_correction, corrected, pool_size
from amortized.targets.pyro.failures import tell
from amortized.targets.transformed import to_origin
from amortized.weights import effective_sample_fraction

__all__ = ["NUM_SAMPLES", "Posterior", "check_count", "deprecated", "polished"]


@dataclass(frozen=True, eq=False)
class Posterior(Judged):
    """The posterior of one data set with a trained sampler: draws, log evidence and a verdict.

    The arguments are those of ``Judged``.
    """

    def sample(self, num_samples: int, correction: str = "best") -> Sites:
        """Posterior draws in the model's own space, in random order.

        Args:
            num_samples: How many.
            correction: ``"best"`` takes resampled paths if their weights hold, else draws of chains if these agree.
                ``diagnose()`` says which. ``"resample"`` draws more paths than needed and resamples them by their
                weights; hardly any appears twice. ``"none"`` returns the sampler's own draws. ``"mcmc"`` resamples,
                then makes 50 MALA moves each, with a step size that other chains have chosen. ``"sequential"``
                resamples on the way, along the path.

        Returns:
            ``{site: (num_samples, *event)}``, deterministic sites included.

        Raises:
            RuntimeError: The model or its data have changed since the fit.

        Warns where the draws are worth less than half as many independent ones, or take over half of ``max_seconds``.
        """
        drawn = self._drawn(num_samples, correction)
        if drawn.attributes["source"] == "paths":
            return drawn.sites
        order = torch.randperm(num_samples, generator=self.generator, device=self.generator.device)
        return {name: value[order] for name, value in drawn.sites.items()}

    def draws(self, num_samples: int = NUM_SAMPLES, correction: str = "best", verdict: bool = True) -> Draws:
        """The draws of ``sample`` as a record, with their cost and the verdict.

        Args:
            num_samples: How many.
            correction: As in ``sample``.
            verdict: False leaves the verdict out, whose checks take time at the first call.

        Returns:
            A ``Draws``; with the verdict, ``target_calls`` counts the fit and the checks too.
        """
        draws = self._drawn(num_samples, correction)
        if not verdict:
            return draws
        found = self.diagnose()
        judged: dict[str, float | int | str] = {
            "verdict": found.verdict,
            "evidence_verdict": found.evidence_verdict,
            "khat": found.khat,
            "ess_fraction": found.ess_fraction,
        }
        if found.checks.chains is not None:
            judged |= {"rhat": found.checks.chains.rhat, "ess": found.checks.chains.ess}
        return replace(draws, target_calls=self.target.calls, attributes={**draws.attributes, **judged})

    def _drawn(self, num_samples: int, correction: str) -> Draws:
        check_count(num_samples)
        check_correction(correction)
        if correction == "best" and self.chains is not None:
            return self._of_chains(num_samples, self.chains)
        pilot = self.pilot()
        began, calls = time.perf_counter(), self.target.calls
        with placement(self.white.device):
            self.target.check_unchanged()
            paths = self._paths(num_samples, correction)
            drawn = corrected(self.sampler, self.white, num_samples, correction, pilot, self.generator, paths)
            ends, log_weights = drawn
            x, _ = to_origin(self.white, ends)
            sites = self.target.constrain(x)
        return Draws(
            sites=sites,
            method=self.method,
            states=x,
            target=self.target,
            log_weights=log_weights,
            log_evidence=self.log_evidence(),
            seconds=time.perf_counter() - began,
            target_calls=self.target.calls - calls,
            attributes={**self.attributes, "correction": correction, "source": "paths"},
        )

    def _of_chains(self, num_samples: int, chains: Chains) -> Draws:
        """Draws of the chains, which go on where there are too few."""
        began, calls = time.perf_counter(), self.target.calls
        with placement(self.white.device):
            self.target.check_unchanged()
            if num_samples > chains.draws[..., 0].numel():
                chains = vars(self)["chains"] = extended(chains, self.white.target, num_samples, self.generator)
            states, number = taken(chains, num_samples)
            x, _ = to_origin(self.white.target, states)
            sites = self.target.constrain(x)
        return Draws(
            sites=sites,
            method=self.method,
            states=x,
            target=self.target,
            log_evidence=self.log_evidence(),
            chains=number,
            seconds=time.perf_counter() - began,
            target_calls=self.target.calls - calls,
            attributes={**self.attributes, "correction": "best", "source": "chains"},
        )

    def _paths(self, num_samples: int, correction: str) -> int:
        """How many paths to draw; warns where that is slow, or where most draws would repeat others."""
        weights = self.weights()
        wanted = pool_size(weights[:, None], num_samples)
        paths = affordable_paths(wanted, num_samples, self.fresh.seconds_a_path, self.draws_within)
        effective = effective_sample_fraction(weights) * paths
        if correction in ("best", "resample", "mcmc") and 2 * effective < num_samples:
            tell(
                f"{num_samples:,} draws from {paths:,} paths are worth about {effective:,.0f} independent ones: the "
                "weights are uneven. See print(guide.diagnose()) for what to do"
            )
        return paths

    def summary(
        self, num_samples: int = NUM_SAMPLES, correction: str = "best", interval: str = "hdi", mass: float = 0.9
    ) -> Summary:
        """Mean, sd, interval, error and ESS of every scalar, as ``Draws.summary``."""
        return self.draws(num_samples, correction, verdict=False).summary(interval, mass)

    def to_arviz(
        self,
        num_samples: int = NUM_SAMPLES,
        correction: str = "best",
        coords: Mapping[str, Sequence[Any]] | None = None,
        dims: Mapping[str, Sequence[str]] | None = None,
    ) -> Any:
        """The record of ``draws`` in ArviZ, as ``Draws.to_arviz``."""
        return self.draws(num_samples, correction).to_arviz(coords, dims)

    def facts(self) -> dict[str, str]:
        """What is known of the posterior already, as text; nothing is computed."""
        weighed = self.weighed is not None or "fresh" in vars(self)
        judged = self.diagnose() if "_look" in vars(self) else None
        known = {
            "sites": shapes({name: site.shape for name, site in self.target.latents.items()}),
            "paths": f"{self.paths:,}, " + ("weighed" if weighed else "not drawn yet"),
            "log evidence": str(self.log_evidence()) if weighed else "",
            "verdict": judged.verdict if judged else "not asked for yet: diagnose()",
            "its evidence": judged.evidence_verdict if judged else "",
        }
        return {name: text for name, text in known.items() if text}

    def __repr__(self) -> str:
        return "\n".join([f"posterior by {self.method}", *(f"  {name}: {text}" for name, text in self.facts().items())])

    def _repr_html_(self) -> str:
        facts = self.facts()
        return html.card(f"Posterior by {self.method}", html.facts(facts), tone=TONES.get(facts["verdict"], ""))

    def draw(self, num_samples: int, correction: str = "best") -> Draws:
        """Deprecated: ``draws(num_samples, verdict=False)``."""
        deprecated("posterior.draw(n)", "posterior.draws(n), which has the verdict too, or posterior.sample(n)")
        return self.draws(num_samples, correction, verdict=False)

    def record(self, num_samples: int, correction: str = "best") -> Draws:
        """Deprecated: ``draws``."""
        deprecated("posterior.record(n)", "posterior.draws(n)")
        return self.draws(num_samples, correction)


def deprecated(old: str, new: str) -> None:
    """Warn, at the caller of the caller, that a public name will go."""
    warnings.warn(f"{old} goes in the next release: write {new}", DeprecationWarning, stacklevel=3)
