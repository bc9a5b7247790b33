"""Sums over discrete latents against sums written out."""

import pyro
import pyro.distributions as dist
import pyro.ops.special
import torch

from amortized.targets.enumeration import batchable_logarithm
from amortized.targets.pyro_model import PyroTarget
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
