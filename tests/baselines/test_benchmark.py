"""The cells of ``benchmarks/baselines.py``: what they count, and that their records are JSON."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from amortized.baselines import nested, svi
from amortized.files.model import imported

SCRIPT = imported(Path(__file__).parents[2] / "benchmarks" / "baselines.py")
MODEL = "gaussian_mixture_25"


def test_building_the_density_is_counted_for_nested_sampling(monkeypatch: pytest.MonkeyPatch):
    class Slow(SCRIPT.PyroTarget):
        def __init__(self, *parts):
            time.sleep(0.3)
            super().__init__(*parts)

    def at_once(target, *, draws: int, **_):
        states = torch.zeros(draws, target.dim)
        return SCRIPT.Draws(target.constrain(states), "nested", states, target, seconds=0.01)

    monkeypatch.setattr(SCRIPT, "PyroTarget", Slow)
    monkeypatch.setattr(nested, "run", at_once)
    draws, seconds = SCRIPT.run_nested(SCRIPT.MODELS / f"{MODEL}.py", 0, 0.01)
    assert draws.seconds == seconds > 0.3


def test_a_record_with_infinities_is_json():
    record = {"elbo": -math.inf, "attributes": {"ess": math.nan, "steps": 3, "guide": "AutoNormal"}, "modes": None}
    expected = {"elbo": None, "attributes": {"ess": None, "steps": 3, "guide": "AutoNormal"}, "modes": None}
    assert SCRIPT.finite(record) == expected


def test_a_cell_whose_bound_is_infinite_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    drawn = svi.run

    def unbounded(*arguments, **options):
        draws = drawn(*arguments, **options)
        return replace(draws, attributes={**draws.attributes, "elbo": -math.inf})

    monkeypatch.setattr(svi, "run", unbounded)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr("sys.argv", ["baselines.py", MODEL, "--method", "AutoNormal", "--budget", "0.003"])
    SCRIPT.main()
    record = json.loads(capsys.readouterr().out)
    assert record["attributes"]["elbo"] is None and math.isfinite(record["log_evidence"])
