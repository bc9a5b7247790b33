"""What is advised is what can be typed, and changes something."""

import dataclasses
import shlex
from argparse import Namespace
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized import DiffusionGuide, Recipe
from amortized.cli import parser
from amortized.cli.fit import typed
from amortized.diagnostics.remedies import NON_CENTRED, in_python, in_shell
from amortized.guide.named import TBGuide


def model():
    pyro.sample("x", dist.Normal(0.0, 1.0))


def test_python_runs_what_is_typed():
    for name, kind in (("DiffusionGuide", DiffusionGuide), ("TBGuide", TBGuide)):
        said = in_python(name, 3, 4, 60.0, 0.9).train
        code = said[said.index(name + "(") :].rstrip(".")
        known = {name: kind, "Recipe": Recipe, "dataclasses": dataclasses, "model": model}
        made = eval(code, known)
        assert (made.options.seed, made.options.max_seconds) == (3, 600)
        assert (made.recipe.steps, made.recipe.enough, made.recipe.patience) == (5_000, 0.97, 10)
        assert type(made.recipe.objective(1)) is type(kind.default_recipe.objective(1))


@pytest.mark.parametrize("enough", [0.9, 0.97, 0.99])
def test_training_is_sent_past_where_it_was_content(enough):
    said = in_python("DiffusionGuide", 0, 1, 60.0, enough).train
    assert enough < float(said.split("enough=")[1].split(",")[0]) < 1


def test_the_shell_takes_what_is_typed():
    asked = Namespace(file=Path("my model.py"), model="other", device="cpu")
    said_of = dataclasses.asdict(in_shell(typed(asked), 3, 60.0))
    assert said_of.pop("funnel") == NON_CENTRED
    for said in said_of.values():
        line = said[said.index("amortized ") :].split(",")[0].rstrip(".")
        found = parser().parse_args(shlex.split(line)[1:])
        assert (found.seed, found.model, str(found.file)) == (4, "other", "my model.py")


def test_no_replica_has_the_seed_that_is_advised():
    guide = DiffusionGuide(model, seed=3, replicas=4)
    assert guide.plan.untried == 7 and guide._replica(5).plan.untried == 7


def test_a_model_is_written_non_centred_as_advised():
    """The two names in it are Pyro's."""
    from pyro.infer.reparam import LocScaleReparam

    def centred():
        scale = pyro.sample("scale", dist.HalfNormal(1.0))
        return pyro.sample("effects", dist.Normal(0.0, scale))

    code = NON_CENTRED[NON_CENTRED.index("pyro.") : NON_CENTRED.index("). SITE") + 1].replace("'SITE'", "'effects'")
    moved = eval(code, {"pyro": pyro, "model": centred, "LocScaleReparam": LocScaleReparam})
    with torch.no_grad():
        assert "effects_decentered" in pyro.poutine.trace(moved).get_trace().nodes


def test_a_fit_as_written_is_sent_to_the_default_coordinates():
    asked = "DiffusionGuide", 0, 1, 60.0, 0.9
    assert in_python(*asked).funnel == NON_CENTRED
    as_written = DiffusionGuide(model, coordinates="centred").options.coordinates
    assert "coordinates='auto'" in in_python(*asked, as_written).funnel
    assert DiffusionGuide(model).options.coordinates == "auto"
