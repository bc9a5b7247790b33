"""Every named guide fits a conjugate model, and refuses what would bias it."""

from dataclasses import replace

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Predictive

import amortized
from amortized import DiffusionGuide, OffPolicy, PISGuide, Recipe, TBGuide
from amortized.processes import PinnedBrownian
from amortized.processes.mixture_reference import MixtureReference
from amortized.training.recipe import PAYING, on_policy

GUIDES = [
    amortized.PISGuide,
    amortized.DDSGuide,
    amortized.DISGuide,
    amortized.TBGuide,
    amortized.VarGradGuide,
    amortized.DBGuide,
    amortized.SubTBGuide,
    amortized.FLSubTBGuide,
    amortized.MixtureGuide,
]
OTHERS = (amortized.DDSGuide, amortized.DBGuide)
"""Their processes and objectives learn in tests/training/test_loop.py; their other parts are those of a guide above."""
every_guide = pytest.mark.parametrize(
    "guide_class",
    [pytest.param(guide, id=guide.__name__, marks=[pytest.mark.slow] * (guide in OTHERS)) for guide in GUIDES],
)
DATA = torch.tensor([1.0, 2.0, 3.0])


def model(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


@every_guide
def test_it_finds_the_posterior_and_the_evidence(guide_class):
    """Closed form: mean 24/13, deviation 13^-1/2; five standard errors of 2 000 draws; even=1 trains the mixture."""
    quick = replace(guide_class.default_recipe, steps=8, batch=32, every=8, held_out=128, refinements=(1,), enough=2.0)
    quick = replace(quick, bridge_steps=min(quick.bridge_steps, 8), even=1.0)
    guide = guide_class(model, recipe=quick, progress=False).fit(DATA)
    assert len(guide.training_record.losses) > 0
    draws = guide.sample(2_000)["mean"]
    assert abs(float(draws.mean()) - 24 / 13) < 5 * (13 * 2_000) ** -0.5
    covariance = 0.25 * torch.eye(3) + torch.ones(3, 3)
    exact = float(dist.MultivariateNormal(torch.zeros(3), covariance).log_prob(DATA))
    evidence = guide.log_evidence()
    assert abs(evidence.value - exact) < 4 * evidence.std_error + 1e-3
    assert Predictive(model, guide=guide, num_samples=3)(DATA)["mean"].numel() == 3
    assert guide.at().draws(10, verdict=False).method == guide_class.__name__


@pytest.mark.parametrize(("reference", "starts_from"), [(None, None), ("mixture", MixtureReference)])
def test_a_guide_named_after_a_method_is_that_method(reference, starts_from):
    """The posterior is normal, so the untrained sampler is exact; enough=0 would end the training before it began."""
    quick = replace(PISGuide.default_recipe, steps=8, batch=16, every=4, held_out=128, refinements=(1,), enough=0.0)
    guide = PISGuide(model, reference=reference, recipe=quick, progress=False).fit(DATA)
    start = guide.sampler.process.reference
    assert start is None if starts_from is None else isinstance(start, starts_from)
    record = guide.training_record
    assert len(record.losses) == 4 and not record.bridge_losses
    assert record.kept is None and record.source == "trained sampler"
    assert isinstance(record.sampling, PinnedBrownian)


def test_where_a_guide_starts():
    """A published method starts from N(0, I), the default and its mixture from the warm-up."""
    starts = {guide.__name__: guide(model).plan.reference for guide in (DiffusionGuide, *GUIDES)}
    assert {name for name, start in starts.items() if start == "mixture"} == {"DiffusionGuide", "MixtureGuide"}
    assert DiffusionGuide(model, reference="normal").plan.reference == "normal"
    with pytest.raises(ValueError, match="reference='normal' for MixtureGuide, whose 64 Gaussians are the reference"):
        amortized.MixtureGuide(model, reference="normal")
    with pytest.raises(ValueError, match="reference='point': write 'mixture' or 'normal'"):
        PISGuide(model, reference="point")
    with pytest.raises(ValueError, match="reference='mixture' is of one posterior"):
        PISGuide(model, amortize="y", reference="mixture")


def test_only_its_objective_trains_a_method():
    """Bridges train any sampler by maximum likelihood. Over many data sets they come first, where paths may be any."""
    for kind in GUIDES[:-1]:
        assert kind.default_recipe.bridge_steps == 0 and kind.default_recipe.always
    assert TBGuide(model, amortize="y").recipe.bridge_steps > 0 == PISGuide(model, amortize="y").recipe.bridge_steps


def test_parts_are_named_at_the_constructor():
    guide = TBGuide(model, exploration=0.3, local_search=False, langevin=False)
    assert guide.recipe.behaviour == OffPolicy(exploration=0.3, local_search=False)
    assert guide.options.langevin is False
    assert DiffusionGuide(model).recipe == PAYING


@pytest.mark.parametrize(
    ("options", "named"), [({"exploration": 0.2}, "exploration=0.2"), ({"local_search": True}, "local_search=True")]
)
def test_reverse_kl_refuses_paths_that_are_not_its_own(options, named):
    with pytest.raises(ValueError, match=f"{named}: ReverseKL.*Write TBGuide"):
        PISGuide(model, **options)
    with pytest.raises(ValueError, match="ReverseKL is biased"):
        replace(PISGuide.default_recipe, behaviour=OffPolicy())
    assert PISGuide.default_recipe.behaviour is on_policy


def test_a_recipe_of_another_objective_is_refused():
    with pytest.raises(ValueError, match=r"TBGuide trains TrajectoryBalance, this recipe LogVariance.*TBGuide"):
        TBGuide(model, recipe=Recipe(steps=100))
    assert TBGuide(model, recipe=replace(TBGuide.default_recipe, steps=100)).recipe.steps == 100


def test_what_asks_for_nothing_is_taken():
    assert PISGuide(model, exploration=0.0, local_search=False).recipe == PISGuide.default_recipe
    with pytest.raises(ValueError, match="langevin=False with sampler="):
        DiffusionGuide(model, sampler=amortized.GFlowNet, langevin=False)


def test_a_mixture_is_for_one_posterior():
    guide = amortized.MixtureGuide(model)
    assert guide.plan.components == 64 and DiffusionGuide(model).plan.components is None
    with pytest.raises(ValueError, match="amortize='y' with a mixture of 64 Gaussians"):
        amortized.MixtureGuide(model, amortize="y")
