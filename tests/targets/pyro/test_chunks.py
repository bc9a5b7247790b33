"""Chunks of a batch: what a particle takes, and that a result does not depend on them."""

import pyro
import pyro.distributions as dist
import torch

from amortized.targets.pyro.chunks import ELEMENTS, elements_a_particle, particles_together
from amortized.targets.pyro.target import PyroTarget

ROWS = 20_000


def model(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.StudentT(4.0, mean, 1.0), obs=y)


def test_data_do_not_count_but_what_is_made_of_them_and_a_particle_does():
    data = torch.ones(1_000, 50)

    def evaluate(x):
        return (x @ data.mT.expand(50, 1_000)).sum(-1)

    assert elements_a_particle(evaluate, torch.zeros(4, 50)) == 1_000


def test_particles_times_elements_stay_under_the_bound():
    for elements in (1, 513, 100_000, 1_000_000):
        together = particles_together(elements, torch.device("cpu"))
        assert together == 1 or together * elements <= ELEMENTS["cpu"]
    assert particles_together(10**9, torch.device("cpu")) == 1


def test_a_density_of_many_rows_is_evaluated_in_chunks_with_the_same_result():
    target = PyroTarget(model, (torch.randn(ROWS, generator=torch.Generator().manual_seed(0)),))
    assert target.together == ELEMENTS["cpu"] // ROWS
    x = torch.linspace(-0.1, 0.1, 2 * target.together + 3)[:, None]
    value, score = target.log_prob_and_score(x)
    alone = [target.log_prob_and_score(row[None]) for row in x[::20]]
    # sums of 20,000 terms of about 2 nats in float32 round to some 1e-6 of their size
    assert torch.allclose(value[::20], torch.cat([one[0] for one in alone]), rtol=3e-6)
    assert torch.allclose(score[::20], torch.cat([one[1] for one in alone]), rtol=1e-4, atol=0.1)
