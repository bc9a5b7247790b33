"""vmap is preferred, an outer plate taken only where it is right, and what is taken agrees with the loop."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets import choosing
from amortized.targets.batching import Loop, Plate, Vmap
from amortized.targets.choosing import choose, dispersed_starts, reference
from amortized.targets.pyro_model import PyroTarget
from tests.targets.test_batching import program


def test_vmap_is_preferred():
    batching, truth = choose(program("eight_schools_centred"), seed=0)
    assert type(batching) is Vmap
    assert truth.x.shape == (choosing.COMPARED, 6) and truth.milliseconds > 0


def test_an_outer_plate_where_vmap_fails():
    class Squared(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.square()

        @staticmethod
        def backward(ctx, grad):
            return 2 * ctx.saved_tensors[0] * grad

    def model(y, broken):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("f", -Squared.apply(x.sum() if broken else x))
        pyro.sample("y", dist.Normal(x, 1.0), obs=y)

    with pytest.warns(UserWarning, match=r"outer plate instead of vmap \(vmap: it raises RuntimeError.*setup_context"):
        target = PyroTarget(model, (torch.tensor(1.0), False))
    assert target.batching == "plate"
    x = torch.randn(7, 1)
    want = dist.Normal(0.0, 1.0).log_prob(x[:, 0]) + dist.Normal(x[:, 0], 1.0).log_prob(torch.tensor(1.0))
    torch.testing.assert_close(target.log_prob(x), want - x[:, 0].square())
    assert target.constrain(x)["x"].equal(x[:, 0])
    with pytest.warns(UserWarning, match=r"(?s)one particle after the other.*plate: its log density is"):
        broken = PyroTarget(model, (torch.tensor(1.0), True))
    assert broken.batching == "loop"
    torch.testing.assert_close(broken.log_prob(x), target.log_prob(x))


def test_the_plate_is_wrong_for_models_that_sum_over_it():
    model = program("factor")
    truth = reference(model, seed=0)
    assert truth.differs(*Vmap(model).log_prob_and_score(truth.x)) is None
    assert truth.differs(*Loop(model).log_prob_and_score(truth.x)) is None
    try:
        differs = truth.differs(*Plate(model).log_prob_and_score(truth.x))
    except (RuntimeError, ValueError, IndexError) as error:
        differs = str(error)
    assert differs


def test_differences_are_told():
    truth = reference(program("real"), seed=0)
    assert truth.differs(truth.value, truth.score) is None
    assert "log density is" in str(truth.differs(truth.value + 1, truth.score))
    assert "largest gradient is" in str(truth.differs(truth.value, 2 * truth.score))
    assert "not finite" in str(truth.differs(truth.value * torch.nan, truth.score))


def test_starts_are_dispersed_and_repeatable():
    starts = dispersed_starts(64, 3, torch.float64, torch.device("cpu"), seed=3)
    assert starts.shape == (64, 3) and starts.dtype == torch.float64
    assert starts[0].equal(torch.zeros(3, dtype=torch.float64))
    assert starts.equal(dispersed_starts(64, 3, torch.float64, torch.device("cpu"), seed=3))
