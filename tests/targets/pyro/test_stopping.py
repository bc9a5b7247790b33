"""Draws are constrained by a run of the model that ends at its last latent site."""

import pyro
import pyro.distributions as dist
import torch

from amortized.targets.pyro.target import PyroTarget


def model(runs):
    def simulated():
        scale = pyro.sample("scale", dist.HalfNormal(1.0))
        mean = pyro.sample("mean", dist.Normal(0.0, scale))
        runs.append(1)
        pyro.sample("y", dist.Normal(mean, 1.0), obs=torch.tensor(0.5))

    return simulated


def test_what_follows_the_last_latent_is_not_run():
    runs = []
    target = PyroTarget(model(runs))
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    before = len(runs)
    sites = target.constrain(x)
    assert len(runs) == before
    whole = target.program.unpack(x[0])[0]
    assert all(torch.equal(sites[name][0], value) for name, value in whole.items())


def test_a_deterministic_site_needs_the_whole_run():
    def model():
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.deterministic("double", 2 * mean)
        pyro.sample("y", dist.Normal(mean, 1.0), obs=torch.tensor(0.5))

    sites = PyroTarget(model).constrain(torch.ones(3, 1))
    assert torch.equal(sites["double"], 2 * sites["mean"])
