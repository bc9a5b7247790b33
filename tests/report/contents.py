"""Contents of a page without a fit: three methods, one of which lies elsewhere, on one site and a vector."""

from dataclasses import replace

import numpy as np
import torch

from amortized.diagnostics.bracket import Bracket
from amortized.diagnostics.finding import Finding
from amortized.diagnostics.verdict import Diagnosis
from amortized.report import Contents
from amortized.results.draws import Draws
from amortized.training.evaluation import Evaluation
from amortized.training.record import Training
from amortized.weights import Estimate

BAD = Finding("effective draws", "1%", "over 30%", False, "too few paths count", "Train <longer>.")
EVIDENCE = Estimate(-2.0, 0.01)
FOUND = Diagnosis(0.9, 0.3, Bracket(Estimate(-2.1, 0.0), EVIDENCE, EVIDENCE, Estimate(-1.9, 0.0), 0.3), 0.0, (BAD,))


def made(entries: int = 2, **changes) -> Contents:
    random = np.random.default_rng(0)

    def draws(method: str, shift: float = 0.0) -> Draws:
        sites = {"mu<b>": random.normal(size=200), "x": shift + random.normal(size=(200, entries))}
        return Draws({name: torch.tensor(value) for name, value in sites.items()}, method, seconds=2.0, target_calls=99)

    training = Training(None)  # type: ignore[arg-type]
    training.evaluations = [(0, Evaluation(-3.0, -1.0, -2.0, 0.4, 0.5)), (30, Evaluation(-2.1, -1.9, -2.0, 0.9, 0.9))]
    training.losses = list(random.normal(size=30))
    parts = {
        "title": "schools & <script>alert(1)</script>",
        "draws": replace(draws("DiffusionGuide"), seconds=3.0, target_calls=12),
        "diagnosis": FOUND,
        "log_weights": random.normal(-2.0, 0.3, 500),
        "training": training,
        "enough": 0.9,
        "baselines": [draws("nuts", 5.0), draws("nuts")],
        "failed": {"smc": "ValueError: a < b"},
        "observed": {"y": random.normal(size=8)},
        "replicated": {"y": random.normal(size=(50, 8))},
        "truth": -2.0,
        "code": "guide.fit()",
        "environment": {"seed": "0"},
    }
    return Contents(**{**parts, **changes})
