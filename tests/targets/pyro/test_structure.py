"""What one run tells: places, shapes, dtype, observed sites, plates."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer.reparam import (
    DiscreteCosineReparam,
    LocScaleReparam,
    ProjectedNormalReparam,
    SplitReparam,
    TransformReparam,
)

from amortized.targets.pyro.structure import discover
from amortized.targets.pyro.trace import ModelError
from tests.targets.programs import PROGRAMS


def structure(name):
    example = PROGRAMS[name]
    return discover(example.model, example.args, example.kwargs, seed=0)


def test_places_cover_x_without_overlap():
    for name in ("nested_plates", "correlated_effects", "sequential_plate"):
        found = structure(name)
        places = torch.cat([torch.arange(found.dim)[site.slice] for site in found.latents.values()])
        assert places.equal(torch.arange(found.dim))
        assert all(site.size == site.unconstrained_shape.numel() for site in found.latents.values())


def test_shapes_with_plates():
    found = structure("nested_plates")
    assert {name: tuple(site.shape) for name, site in found.latents.items()} == {"a": (2, 1), "b": (3,), "c": (2, 3)}
    assert found.plate_depth == 2
    assert found.observed == {"y": (2, 3)}


def test_improper_distributions_are_never_sampled(monkeypatch):
    def sample(self, sample_shape=()):
        raise AssertionError("sampled")

    monkeypatch.setattr(dist.Normal, "sample", sample)

    def model():
        pyro.sample("x", dist.ImproperUniform(constraints.positive, (), (4,)))

    assert discover(model, (), {}, 0).dim == 4


def test_dtype_of_mixed_models():
    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0), obs=y)

    assert discover(model, (torch.tensor(1.0),), {}, 0).dtype == torch.float32
    assert discover(model, (torch.tensor(1.0, dtype=torch.float64),), {}, 0).dtype == torch.float64


def test_deterministic_and_discrete_sites():
    assert structure("deterministic").deterministic == {"scale": (), "doubled": (4,)}
    assert structure("markov_chain").discrete == ("z_0", "z_1", "z_2", "z_3")


def test_an_error_of_the_model_itself_is_raised_as_it_is():
    def model():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        raise RuntimeError(f"my own {type(x).__name__}")

    with pytest.raises(RuntimeError, match="my own Tensor"):
        discover(model, (), {}, 0)


def test_a_distribution_without_support():
    class Odd(dist.TorchDistribution):
        arg_constraints = {}

        def log_prob(self, value):
            return -value.square()

    with pytest.raises(ModelError, match="'odd': Odd does not say what its support is"):
        discover(lambda: pyro.sample("odd", Odd()), (), {}, 0)


def test_a_tensor_on_another_device_is_named():
    """What PyTorch says on a GPU, said here by the model itself."""

    def model():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices")

    with pytest.raises(ModelError, match="mixes tensors of several devices"):
        discover(model, (), {}, seed=0)


def schools(y):
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 5.0)), pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("school", 3):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, 1.0), obs=y)


def exponential(y):
    rate = pyro.sample("rate", dist.TransformedDistribution(dist.Normal(0.0, 2.0), [dist.transforms.ExpTransform()]))
    pyro.sample("y", dist.Normal(rate, 1.0).expand([3]).to_event(1), obs=y)


def on_a_sphere(y):
    direction = pyro.sample("direction", dist.ProjectedNormal(torch.ones(3)))
    pyro.sample("y", dist.Normal(direction, 1.0).to_event(1), obs=y)


def in_a_basis(y):
    path = pyro.sample("path", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    pyro.sample("y", dist.Normal(path, 1.0).to_event(1), obs=y)


@pytest.mark.parametrize(
    "model, config, latents, functions",
    [
        (schools, {"theta": LocScaleReparam(0.0)}, ["mu", "tau", "theta_decentered"], {"theta": (3,)}),
        (
            exponential,
            {"rate": TransformReparam(), "rate_base": LocScaleReparam(0.5)},
            ["rate_base_decentered"],
            {"rate": (), "rate_base": ()},
        ),
        (on_a_sphere, {"direction": ProjectedNormalReparam()}, ["direction_normal"], {"direction": (3,)}),
        (in_a_basis, {"path": DiscreteCosineReparam()}, ["path_dct"], {"path": (3,)}),
        (in_a_basis, {"path": SplitReparam([1, 2], -1)}, ["path_split_0", "path_split_1"], {"path": (3,)}),
    ],
)
def test_a_reparametrized_site_is_a_function_of_others(model, config, latents, functions):
    found = discover(poutine.reparam(model, config), (torch.ones(3),), {}, 0)
    assert list(found.latents) == latents and list(found.observed) == list(found.observations) == ["y"]
    assert {name: tuple(shape) for name, shape in found.deterministic.items()} == functions


def test_an_observed_site_that_is_reparametrized_is_refused():
    with pytest.raises(ModelError, match="'y' is reparametrized to 'y_decentered', whose density lacks the Jacobian"):
        discover(poutine.reparam(schools, {"y": LocScaleReparam(0.0)}), (torch.ones(3),), {}, 0)
