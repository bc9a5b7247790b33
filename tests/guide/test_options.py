"""Every option is said once: the constructor, the command line and the model's own error read it from the record."""

import copy
import inspect
from dataclasses import fields

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized import DiffusionGuide, LocalTo, TBGuide
from amortized.cli import parser
from amortized.guide.options import Options, words
from amortized.targets.pyro.arguments import GUIDE_OPTIONS

NAMES = {option.name for option in fields(Options)}


def model():
    pyro.sample("x", dist.Normal(0.0, 1.0))


def test_the_names_that_fit_does_not_take_are_the_options():
    assert GUIDE_OPTIONS == NAMES


@pytest.mark.parametrize("kind", [DiffusionGuide, TBGuide])
def test_the_constructor_has_the_options_with_their_defaults_and_words(kind):
    first, *named = inspect.signature(kind).parameters.values()
    assert first.name == "model" and {option.name for option in named} == NAMES
    assert all(option.default == getattr(Options, option.name) for option in named)
    help_text = " ".join(kind.__init__.__doc__.split())
    assert all(words(name) in help_text for name in NAMES)


def test_an_option_that_is_none_is_refused():
    with pytest.raises(TypeError, match="sed= is not an option of TBGuide: write seed="):
        TBGuide(model, sed=1)
    with pytest.raises(TypeError, match="its options are amortize, .* data are arguments of fit"):
        DiffusionGuide(model, x=1)


def test_a_model_that_was_called_instead_of_passed_is_refused():
    with pytest.raises(TypeError, match=r"model=None: write DiffusionGuide\(model\), the function itself"):
        DiffusionGuide(model())


def test_the_command_line_has_the_same_defaults():
    asked = parser().parse_args(["fit", "file.py"])
    assert all(getattr(asked, name) == getattr(Options, name) for name in ("seed", "max_seconds", "device"))


def test_a_replica_has_the_options_of_the_guide_but_its_seed():
    guide = DiffusionGuide(model, seed=3, replicas=4, max_seconds=5, exploration=0.1, progress=False)
    options = {**vars(guide.options), "seed": 5, "replicas": 1}
    other = guide._replica(5)
    assert vars(other.options) == options and other.recipe == guide.recipe


@pytest.mark.parametrize("amortize", [[], ("y", "y"), 3, ("y", LocalTo("rows")), ("y", 3)])
def test_what_names_no_data_is_refused(amortize):
    with pytest.raises(ValueError, match="amortize=.*write 'y'"):
        DiffusionGuide(model, amortize=amortize)


def test_a_sampler_for_many_data_sets_takes_an_embedding():
    with pytest.raises(ValueError, match="takes no embedding="):
        DiffusionGuide(model, amortize="y", sampler=lambda dim, reference: None)


def test_old_names_still_answer_and_say_what_to_write():
    def conjugate(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    guide = DiffusionGuide(conjugate, progress=False, max_seconds=10).fit(torch.tensor(1.0))
    for ask, new in (
        (lambda: guide.draw(10), r"write guide.draws\(n\)"),
        (lambda: guide.record(num_samples=10), r"write guide.draws\(n, y\)"),
        (lambda: guide.at().draw(10), r"write posterior.draws\(n\)"),
        (lambda: guide.at().record(10), r"write posterior.draws\(n\)"),
    ):
        with pytest.warns(DeprecationWarning, match=new) as found:
            assert len(ask()) == 10
        assert found[0].filename == __file__
    assert "verdict" in guide.draws(10).attributes
    assert "verdict" not in guide.at().draws(10, verdict=False).attributes


def test_a_copy_and_its_original_keep_the_model():
    guide = DiffusionGuide(model)
    other = copy.deepcopy(guide)
    assert guide.model is model and other.model is model


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_compile_takes_true_false_and_auto(value):
    with pytest.raises(ValueError, match="write 'auto', True or False"):
        DiffusionGuide(model, compile=value)


def test_an_amortized_fit_does_not_leave_compile_unsaid():
    with pytest.raises(ValueError, match="compile=True is of one posterior: leave it out beside amortize="):
        DiffusionGuide(model, amortize="y", compile=True)
