"""What a guide shows: a summary, the record in ArviZ, a report, and itself in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from amortized._torch import placement
from amortized.diagnostics.finding import TONES
from amortized.diagnostics.summary import Summary
from amortized.display import html
from amortized.display.text import shapes
from amortized.guide.answers import Answers
from amortized.guide.replicas import record_of
from amortized.results.draws import Draws, batch_to_arviz

if TYPE_CHECKING:
    from amortized.report import Page


ROWS = 20
"""Sites whose coordinates a notebook shows at most; ``guide.coordinates`` has all."""


class Shown(Answers):
    """``Answers``, and how they are shown."""

    def summary(
        self,
        *data: Any,
        num_samples: int | None = None,
        interval: str = "hdi",
        mass: float = 0.9,
        **named: Any,
    ) -> Summary:
        """Mean, sd, interval, Monte Carlo error, ESS and R-hat of every scalar.

        Args:
            *data: With ``amortize``, one data set.
            num_samples: As in ``draws``.
            interval: ``"hdi"``, the narrowest, or ``"quantiles"``, with equal tails.
            mass: Of the interval.
            **named: The data by name.

        Returns:
            A ``Summary``; it prints as a table, ``to_pandas()`` makes a data frame of it.
        """
        self._current("summary")
        return self.draws(num_samples, *data, **named).summary(interval, mass)

    def to_arviz(
        self,
        *data: Any,
        num_samples: int | None = None,
        correction: str = "best",
        coords: Mapping[str, Sequence[Any]] | None = None,
        dims: Mapping[str, Sequence[str]] | None = None,
        **named: Any,
    ) -> Any:
        """The record of ``draws`` in ArviZ, with predictions, prior, likelihood and data: ``Draws.to_arviz``.

        Several data sets are one record with the dimension ``data_set``.

        Args:
            *data: With ``amortize``, one data set or a batch of M.
            num_samples: As in ``draws``; of each data set.
            correction: As in ``Posterior.sample``.
            coords: ``{dimension: names of its places}``.
            dims: ``{site: names of its dimensions}``, in the place of the plates' names.
            **named: The data by name.
        """
        self._current("to_arviz")
        guides = [self, *self.others]
        with placement(self.device):
            found = [guide._unmoved("to_arviz").ask(lambda posterior: posterior, data, named) for guide in guides]
            fits = zip(*(one if isinstance(one, list) else [one] for one in found), strict=True)
            each = [record_of(one, self._all_seconds(), num_samples, correction)[0] for one in fits]
        return batch_to_arviz(each, coords, dims) if isinstance(found[0], list) else each[0].to_arviz(coords, dims)

    @overload
    def report(self, path: None = None, *data: Any, **named: Any) -> Page: ...
    @overload
    def report(self, path: str | Path, *data: Any, **named: Any) -> Path: ...

    def report(
        self,
        path: str | Path | None = None,
        *data: Any,
        baselines: Sequence[Draws] = (),
        title: str | None = None,
        code: str = "",
        **named: Any,
    ) -> Path | Page:
        """One page of HTML for a person: verdict, tables and pictures.

        Args:
            path: Where to write it. None: a notebook shows it.
            *data: With ``amortize``, one data set.
            baselines: Draws of other methods, shown beside the guide's.
            title: Heading of the page. None: the model's name.
            code: Python that makes the page again.
            **named: The data by name.

        Returns:
            The path, or the page if there is none.
        """
        from amortized.report import contents_of, page_of  # matplotlib and jinja2 load with the first page

        training = self._current("report").training_of_one
        draws, worst = record_of(self._posteriors(data, named), self._all_seconds(), after=baselines)
        shown = replace(
            contents_of(worst, draws, self.model),
            training=training,
            enough=self.plan.recipe.enough,
            baselines=tuple(baselines),
            code=code,
        )
        page = page_of(replace(shown, title=title or shown.title))
        return page if path is None else page.write(path)

    def _facts(self) -> dict[str, str]:
        """What is known of the guide already, as text; nothing is computed."""
        if self.fitted is None:
            return {"fit": "not yet: guide.fit(*args)"}
        record, options = self.fitted.training_record, self.plan.options
        latents = {name: site.shape for name, site in self.fitted.latents.items()}
        facts = {
            "fit": "prepared, not trained" if record is None else f"{self.seconds:.1f} s, seed {options.seed}",
            "replicas": f"{1 + len(self.others)}" if self.others else "",
            "sites": shapes(latents),
            "draws of": "" if record is None else record.source,
            "data sets": f"one posterior for each, amortize={options.amortize!r}" if options.amortize else "",
        }
        if record is not None and options.amortize is None:
            of_posterior = self.fitted.posterior((), {}).facts()
            facts |= {name: of_posterior[name] for name in ("log evidence", "verdict") if name in of_posterior}
        return {name: text for name, text in facts.items() if text}

    @property
    def _title(self) -> str:
        return f"{self.plan.name}({getattr(self.model, '__name__', type(self.model).__name__)})"

    def __repr__(self) -> str:
        return "\n".join([self._title, *(f"  {name}: {text}" for name, text in self._facts().items())])

    def _repr_html_(self) -> str:
        facts = self._facts()
        coordinates = [] if self.fitted is None else list(self.fitted.coordinates.items())[:ROWS]
        chosen = [html.table(["site", "coordinates"], coordinates, words=(0, 1))] if coordinates else []
        return html.card(self._title, html.facts(facts), *chosen, tone=TONES.get(facts.get("verdict", ""), ""))
