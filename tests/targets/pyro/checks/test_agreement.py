"""vmap is preferred, an outer plate taken only where it is right, and what is taken agrees with the loop."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.pyro.batching import Loop, Plate, Vmap
from amortized.targets.pyro.checks.agreement import choose, disagreement, still_agreeing
from amortized.targets.pyro.checks.loop_values import COMPARED, loop_values, loop_values_at
from amortized.targets.pyro.target import PyroTarget
from tests.targets.pyro.test_batching import program


def test_vmap_is_preferred():
    batching, truth = choose(program("eight_schools_centred"), seed=0)
    assert type(batching) is Vmap
    assert truth.x.shape == (COMPARED, 6) and truth.milliseconds > 0


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
    with pytest.warns(UserWarning, match=r"(?s)one particle after the other.*plate: its log density is") as told:
        broken = PyroTarget(model, (torch.tensor(1.0), True))
    assert told[-1].filename == __file__
    assert broken.batching == "loop"
    torch.testing.assert_close(broken.log_prob(x), target.log_prob(x))


def test_the_plate_is_wrong_for_models_that_sum_over_it():
    model = program("factor")
    truth = loop_values(model, seed=0)
    assert truth.differs(*Vmap(model).log_prob_and_score(truth.x)) is None
    assert truth.differs(*Loop(model).log_prob_and_score(truth.x)) is None
    try:
        differs = truth.differs(*Plate(model).log_prob_and_score(truth.x))
    except (RuntimeError, ValueError, IndexError) as error:
        differs = str(error)
    assert differs


def coupled(y):
    """One particle's guard rejects its neighbours where all are run at once."""
    a = pyro.sample("a", dist.Normal(0.0, 10.0))
    rate = a.exp()
    if (rate > 1e6).any():
        pyro.factor("reject", torch.tensor(-1e10))
    pyro.sample("y", dist.Poisson(rate.clamp(max=1e6)), obs=y)


def test_particles_that_an_outer_plate_couples_are_run_alone():
    with pytest.warns(UserWarning, match="one particle after the other.*plate: beside an extreme point its log densit"):
        target = PyroTarget(coupled, (torch.tensor(3.0),))
    one = torch.tensor([[1.0]])
    want = dist.Normal(0.0, 10.0).log_prob(one[0]) + dist.Poisson(one[0].exp()).log_prob(torch.tensor(3.0))
    torch.testing.assert_close(target.log_prob(one), want)
    torch.testing.assert_close(target.log_prob(torch.tensor([[1.0], [20.0]]))[:1], want)


@pytest.mark.parametrize("coupling", [torch.Tensor.all, torch.Tensor.max, torch.Tensor.min, torch.Tensor.mean])
def test_other_couplings_are_found_too(coupling):
    def model(y):
        a = pyro.sample("a", dist.Normal(0.0, 10.0))
        if coupling(a.abs() if coupling is not torch.Tensor.all else a.abs() > 15.0) > 12.0 * (
            coupling is not torch.Tensor.all
        ):
            pyro.factor("reject", torch.tensor(-1e3))
        pyro.sample("y", dist.Normal(a, 1.0), obs=y)

    with pytest.warns(UserWarning, match="one particle after the other.*plate:"):
        target = PyroTarget(model, (torch.tensor(3.0),))
    x = torch.tensor([[1.0], [20.0], [-40.0]])
    together, alone = target.log_prob(x), torch.cat([target.log_prob(row[None]) for row in x])
    assert together.equal(alone) and together[1] < -1e3 < together[0]


def test_a_way_that_couples_at_the_draws_alone_gives_way_with_one_warning():
    """Between 4.0 and 4.4 lies no point that the build looks at."""

    def model():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        inside = (a > 4.0) & (a < 4.4)
        if inside.any():
            pyro.factor("reject", torch.tensor(-50.0))

    with pytest.warns(UserWarning, match="outer plate instead of vmap"):
        target = PyroTarget(model)
    draws = torch.linspace(3.5, 4.6, 50)[:, None]
    with pytest.warns(UserWarning, match="one particle after the other.*at draws of the posterior: plate: ") as told:
        assert not target.recheck(draws)
    assert len(told) == 1 and target.batching == "loop"
    assert target.recheck(draws)
    assert target.log_prob(torch.tensor([[0.0], [4.2]])).tolist()[0] == pytest.approx(-0.919, abs=1e-3)


def test_a_captured_graph_that_is_wrong_at_the_draws_gives_way_to_vmap():
    def model(y):
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(a, 1.0), obs=y)

    target = PyroTarget(model, (torch.ones(()),))
    draws = 3.0 + torch.randn(50, 1)
    assert target.batching == "vmap (captured)" and target.recheck(draws)
    right = target.log_prob(draws)
    graph = target._batch.with_score
    target._batch.with_score = lambda x: (graph(x)[0] + (x[:, 0] > 1.0), graph(x)[1])
    with pytest.warns(UserWarning, match="is batched by vmap from now on .at draws of the posterior: vmap .capt"):
        assert not target.recheck(draws)
    assert target.batching == "vmap"
    torch.testing.assert_close(target.log_prob(draws), right)


def test_a_point_far_out_is_no_disagreement_where_rounding_alone_differs():
    """A candidate that rounds otherwise at an extreme point, alone and in a batch alike, is kept."""
    model = program("real")
    truth = loop_values_at(model, torch.zeros(2, 1), torch.full((1, 1), 1e4), 1.0)

    class Rounding(Vmap):
        def log_prob_and_score(self, x):
            value, score = super().log_prob_and_score(x)
            return torch.where(x[:, 0] > 1e3, 1.1 * value, value), score

    assert disagreement(Rounding(model), truth) is None
    kept = Rounding(model)
    assert still_agreeing(kept, [], truth) is kept
