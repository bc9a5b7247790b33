"""What one run tells: places, shapes, dtype, observed sites, plates."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints

from amortized.targets.structure import discover
from amortized.targets.tracing import ModelError
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
