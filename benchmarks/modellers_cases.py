"""The posteriors that modellers have: which models, in which form, and where their truth lies."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from support import MODELS, RESULTS

TRUTH = RESULTS / "modellers" / "truth"
"""A file for each truth: the model's name, and its options where they are not the default."""


@dataclass(frozen=True)
class Case:
    """One model with its data.

    Args:
        name: of the case.
        file: in ``models/``, without its ending.
        form: the function in the file.
        options: of the file's ``data``.
        truth: the file of the truth; two forms of a model may share it.
    """

    name: str
    file: str
    form: str = "model"
    options: tuple = ()
    truth: str = ""

    @cached_property
    def _content(self) -> dict[str, Any]:
        return runpy.run_path(str(MODELS / f"{self.file}.py"))

    @property
    def model(self) -> Callable[..., None]:
        return self._content[self.form]

    @property
    def arguments(self) -> tuple:
        return self._content["data"](*self.options)

    @property
    def known(self) -> dict[str, Any]:
        """``{"how": str, "log_evidence": [value, error] or None, "sites": {site: moments and quantiles}}``."""
        return json.loads((TRUTH / f"{self.truth or self.name}.json").read_text())


CASES = {
    case.name: case
    for case in (
        Case("funnel", "funnel"),
        Case("rosenbrock", "rosenbrock"),
        Case("eight_schools", "eight_schools", "centred"),
        Case("common_precision", "common_precision"),
        Case("ten_groups", "ten_groups"),
        Case("seeds", "seeds"),
        Case("varying_slopes", "varying_slopes"),
        Case("varying_slopes_non_centred", "varying_slopes", "non_centred", truth="varying_slopes"),
        Case("horseshoe", "horseshoe"),
        Case("horseshoe_non_centred", "horseshoe", "non_centred", truth="horseshoe"),
        Case("horseshoe_regularized", "horseshoe", "regularized"),
        Case("random_walk", "random_walk"),
        Case("random_walk_500", "random_walk", options=(500,)),
        Case("stochastic_volatility", "stochastic_volatility"),
        Case("item_response", "item_response"),
        Case("gaussian_process_counts", "gaussian_process_counts"),
        Case("correlated_effects", "correlated_effects"),
        Case("zero_inflated_counts", "zero_inflated_counts"),
        Case("tall_logistic", "tall_logistic"),
    )
}
