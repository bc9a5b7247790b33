"""Sums over discrete latents against sums written out."""

import itertools
import math

import pyro
import pyro.distributions as dist
import pyro.ops.special
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, config_enumerate

from amortized.targets.pyro.enumeration import batchable_logarithm
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.structure import discover
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError, undisturbed
from tests.targets import programs


def test_a_mixture_is_summed_row_by_row():
    target = PyroTarget(programs.mixture_of_two, (programs.DATA,))
    assert target.structure.discrete == ("z",)
    x = torch.randn(5, 3)
    sites = target.constrain(x)
    assert sites.keys() == {"weights", "locs"}
    joint = sites["weights"].log()[:, None] + dist.Normal(sites["locs"][:, None], 1.0).log_prob(programs.DATA[:, None])
    prior = dist.Dirichlet(torch.ones(2)).log_prob(sites["weights"]) + dist.Normal(0.0, 3.0).log_prob(
        sites["locs"]
    ).sum(-1)
    jacobian = sum(target.unpack(x)[1].values())
    torch.testing.assert_close(target.log_prob(x), joint.logsumexp(-1).sum(-1) + prior + jacobian)


def test_deterministic_sites_of_a_summed_out_latent_are_left_out():
    def model(y):
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        on = pyro.sample("on", dist.Bernoulli(0.3))
        pyro.deterministic("doubled", 2 * loc)
        pyro.deterministic("shifted", loc + on)
        pyro.sample("y", dist.Normal(loc + on, 1.0), obs=y)

    target = PyroTarget(model, (torch.tensor(0.5),))
    assert target.constrain(torch.zeros(2, 1)).keys() == {"loc", "doubled"}


def test_the_batchable_logarithm_is_pyros_own():
    x = torch.tensor([0.0, 0.5], requires_grad=True)
    own = pyro.ops.special._SafeLog
    want = pyro.ops.special.safe_log(x)
    (want_gradient,) = torch.autograd.grad(want.sum(), x)
    with batchable_logarithm():
        got = pyro.ops.special.safe_log(x)
        (gradient,) = torch.autograd.grad(got.sum(), x)
        batched = torch.func.vmap(torch.func.grad(pyro.ops.special.safe_log))(x.detach())
    assert got.equal(want) and gradient.equal(want_gradient) and batched.equal(want_gradient)
    assert pyro.ops.special._SafeLog is own


def density(model, a):
    program = Program(model, (), {}, discover(model, (), {}, seed=0))
    with undisturbed():
        return program.log_prob(a.reshape(1))


def by_hand(model, x, states):
    """``log Σ p(x, z)`` by a plain loop over all joint states, each a run with all sites given."""
    each = [itertools.product(*[values] * math.prod(shape)) for values, shape in states.values()]
    terms = []
    for joint in itertools.product(*each):
        given = {
            name: torch.tensor(one).reshape(shape)
            for (name, (_, shape)), one in zip(states.items(), joint, strict=True)
        }
        trace = poutine.trace(poutine.condition(model, {**x, **given})).get_trace()
        terms.append(trace.log_prob_sum())
    return torch.stack(terms).logsumexp(0)


def nested_plates():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    z = pyro.sample("z", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
    with pyro.plate("outer", 2, dim=-2):
        w = pyro.sample("w", dist.Bernoulli(torch.tensor([0.1, 0.5, 0.7])[z]))
        with pyro.plate("inner", 3, dim=-1):
            pyro.sample("y", dist.Normal(w + a * z, 1.0), obs=torch.arange(6.0).reshape(2, 3))


def chain():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    move = torch.stack([a.sigmoid(), 1 - a.sigmoid()])
    z = torch.tensor(0)
    for t in pyro.markov(range(4)):
        z = pyro.sample(f"z{t}", dist.Categorical(torch.stack([move, move.flip(0)])[z]))
        pyro.sample(f"y{t}", dist.Normal(1.5 * z, 1.0), obs=torch.tensor(0.5 * t))


def dependent_pairs():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    table = torch.arange(6.0).reshape(2, 3) * 0.3
    with pyro.plate("rows", 2):
        first = pyro.sample("first", dist.Bernoulli(a.sigmoid())).long()
        second = pyro.sample("second", dist.Categorical(torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])[first]))
        pyro.sample("y", dist.Normal(table[first, second] + a, 1.0), obs=torch.tensor([0.3, -1.0]))


def one_after_the_other():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    shift = pyro.sample("shift", dist.Categorical(torch.tensor([0.3, 0.7])))
    for i in pyro.plate("rows", 2):
        z = pyro.sample(f"z{i}", dist.Categorical(torch.tensor([0.1, 0.2, 0.7])))
        pyro.sample(f"y{i}", dist.Normal(a * z + shift, 1.0), obs=torch.tensor(1.0 + i))


@pytest.mark.parametrize(
    "model, states",
    [
        (nested_plates, {"z": ([0, 1, 2], ()), "w": ([0.0, 1.0], (2, 1))}),
        (chain, {f"z{t}": ([0, 1], ()) for t in range(4)}),
        (dependent_pairs, {"first": ([0.0, 1.0], (2,)), "second": ([0, 1, 2], (2,))}),
        (one_after_the_other, {"shift": ([0, 1], ()), "z0": ([0, 1, 2], ()), "z1": ([0, 1, 2], ())}),
    ],
)
def test_a_sum_written_out(model, states):
    for a in (torch.tensor(0.4), torch.tensor(-1.3)):
        torch.testing.assert_close(density(model, a), by_hand(model, {"a": a}, states), rtol=1e-5, atol=1e-5)


def test_data_of_double_precision():
    def model(y):
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        z = pyro.sample("z", dist.Categorical(torch.tensor([0.2, 0.8])))
        w = pyro.sample("w", dist.Categorical(torch.tensor([[0.3, 0.7], [0.6, 0.4]])[z]))
        pyro.sample("y", dist.Normal(a + w, 1.0), obs=y)

    y = torch.tensor(0.7, dtype=torch.float64)
    target = PyroTarget(model, (y,))
    a = torch.tensor(0.4, dtype=torch.float64)
    assert target.dtype == torch.float64 and target.batching == "vmap (captured)"
    want = by_hand(lambda: model(y), {"a": a}, {"z": ([0, 1], ()), "w": ([0, 1], ())})
    torch.testing.assert_close(target.log_prob(a.reshape(1, 1))[0], want, rtol=1e-6, atol=1e-6)


def elbo(model, x, nesting):
    """What ``TraceEnum_ELBO`` says of a model whose continuous latents are given."""
    given = poutine.condition(config_enumerate(model), x)
    return -TraceEnum_ELBO(max_plate_nesting=nesting).loss(given, lambda: None)


def partly_seen():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 2):
        seen = torch.tensor([True, False])
        z = pyro.sample("z", dist.Bernoulli(torch.sigmoid(a)), obs=torch.tensor([1.0, 0.0]), obs_mask=seen)
        pyro.sample("y", dist.Normal(z + a, 1.0), obs=torch.tensor([0.5, 1.0]))


def test_a_state_that_is_known_counts_once():
    a = torch.tensor(0.3)
    p = torch.sigmoid(a)
    one, zero = dist.Normal(1 + a, 1.0), dist.Normal(a, 1.0)
    seen = p.log() + one.log_prob(torch.tensor(0.5))
    unseen = (p * one.log_prob(torch.tensor(1.0)).exp() + (1 - p) * zero.log_prob(torch.tensor(1.0)).exp()).log()
    got = density(partly_seen, a)
    torch.testing.assert_close(got, dist.Normal(0.0, 1.0).log_prob(a) + seen + unseen)
    assert abs(float(got) + 3.8014) < 1e-4
    assert abs(float(got) - elbo(partly_seen, {"a": a}, 1)) < 1e-5


LENGTHS = torch.tensor([4, 2])
OBSERVED = torch.tensor([[0.1, 1.2], [1.7, -0.3], [0.2, 9.9], [1.4, 9.9]])


def ragged_chains():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    stay = torch.stack([a.sigmoid(), 1 - a.sigmoid()])
    with pyro.plate("sequences", 2, dim=-1):
        z = torch.zeros(2, dtype=torch.long)
        for t in pyro.markov(range(4)):
            with poutine.mask(mask=t < LENGTHS):
                z = pyro.sample(f"z{t}", dist.Categorical(torch.stack([stay, stay.flip(0)])[z]))
                pyro.sample(f"y{t}", dist.Normal(1.5 * z, 1.0), obs=OBSERVED[t])


def test_ragged_chains_are_the_forward_algorithm():
    a = torch.tensor(0.8)
    stay = torch.stack([a.sigmoid(), 1 - a.sigmoid()])
    moves = torch.stack([stay, stay.flip(0)]).log()
    total = dist.Normal(0.0, 1.0).log_prob(a)
    for sequence, length in enumerate(LENGTHS.tolist()):
        forward = torch.tensor([0.0, -torch.inf])
        for t in range(length):
            likelihood = dist.Normal(torch.tensor([0.0, 1.5]), 1.0).log_prob(OBSERVED[t, sequence])
            forward = (forward[:, None] + moves).logsumexp(0) + likelihood
        total = total + forward.logsumexp(0)
    got = density(ragged_chains, a)
    torch.testing.assert_close(got, total, rtol=1e-5, atol=1e-5)
    assert abs(float(got) - elbo(ragged_chains, {"a": a}, 1)) < 1e-4


def scaled():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with poutine.scale(scale=3.0), pyro.plate("rows", 2):
        z = pyro.sample("z", dist.Bernoulli(0.3))
        pyro.sample("y", dist.Normal(a + 2 * z, 1.0), obs=torch.tensor([0.5, 1.0]))


def subsampled():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 6, subsample=torch.tensor([0, 3])):
        z = pyro.sample("z", dist.Bernoulli(0.3))
        pyro.sample("y", dist.Normal(a + 2 * z, 1.0), obs=torch.tensor([0.5, 1.0]))


@pytest.mark.parametrize("model", [scaled, subsampled])
def test_a_scale_stands_outside_of_the_sum_over_the_states(model):
    a = torch.tensor(0.3)
    y = torch.tensor([0.5, 1.0])
    terms = [math.log(w) + dist.Normal(a + 2 * z, 1.0).log_prob(y) for z, w in ((0, 0.7), (1, 0.3))]
    want = dist.Normal(0.0, 1.0).log_prob(a) + 3 * torch.stack(terms).logsumexp(0).sum()
    got = density(model, a)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
    assert abs(float(got) - elbo(model, {"a": a}, 1)) < 1e-4


def test_groups_of_sites_may_differ_in_scale():
    def model():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        for name, scale in (("one", 1.0), ("two", 2.0)):
            with poutine.scale(scale=scale):
                z = pyro.sample(f"z_{name}", dist.Bernoulli(0.3))
                pyro.sample(f"y_{name}", dist.Normal(a + 2 * z, 1.0), obs=torch.tensor(0.5))

    a = torch.tensor(0.3)
    terms = [math.log(w) + dist.Normal(a + 2 * z, 1.0).log_prob(torch.tensor(0.5)) for z, w in ((0, 0.7), (1, 0.3))]
    want = dist.Normal(0.0, 1.0).log_prob(a) + 3 * torch.stack(terms).logsumexp(0)
    torch.testing.assert_close(density(model, a), want, rtol=1e-5, atol=1e-5)


def test_scales_that_differ_within_a_sum_are_refused():
    def model():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        z = pyro.sample("z", dist.Bernoulli(0.3))
        with poutine.scale(scale=2.0):
            pyro.sample("y", dist.Normal(a + z, 1.0), obs=torch.tensor(0.5))

    with pytest.raises(ModelError, match="'z' and 'y' share a summed-out latent and have scales of 1 and 2"):
        discover(model, (), {}, seed=0)


@pytest.mark.parametrize("by_handler", [True, False])
def test_a_mask_of_the_distribution_is_the_handlers(by_handler):
    """Of a masked row nothing is left: z sums to one, whichever way it was masked."""

    def model(y, known):
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", 2):
            law = dist.Bernoulli(0.25)
            if by_handler:
                with poutine.mask(mask=known):
                    z = pyro.sample("z", law)
                    pyro.sample("y", dist.Normal(z + a, 1.0), obs=y)
            else:
                z = pyro.sample("z", law.mask(known))
                pyro.sample("y", dist.Normal(z + a, 1.0).mask(known), obs=y)

    y = torch.tensor([0.5, -1.0])
    target = PyroTarget(model, (y, torch.tensor([True, False])))
    terms = torch.stack(
        [math.log(0.75) + dist.Normal(0.0, 1.0).log_prob(y[0]), math.log(0.25) + dist.Normal(1.0, 1.0).log_prob(y[0])]
    )
    want = dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0)) + terms.logsumexp(0)
    torch.testing.assert_close(target.log_prob(torch.zeros(1, 1))[0], want)


@pytest.mark.parametrize("infer", [{"enumerate": "sequential"}, {"enumerate": "parallel", "num_samples": 3}, {}])
def test_a_site_is_summed_whatever_way_it_asks_for(infer):
    def model():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        z = pyro.sample("z", dist.Bernoulli(0.3), infer=infer)
        pyro.sample("y", dist.Normal(a + z, 1.0), obs=torch.tensor(0.5))

    x = torch.tensor([[0.2]])
    likelihood = 0.7 * dist.Normal(0.2, 1.0).log_prob(torch.tensor(0.5)).exp()
    likelihood += 0.3 * dist.Normal(1.2, 1.0).log_prob(torch.tensor(0.5)).exp()
    want = dist.Normal(0.0, 1.0).log_prob(x[0]) + likelihood.log()
    torch.testing.assert_close(PyroTarget(model).log_prob(x), want)
