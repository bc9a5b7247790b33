"""Too few of anything is said before the density is called."""

import inspect

import pytest

from amortized import baselines
from amortized.baselines import hmc, mala, nested, nuts, smc, svi
from tests.baselines import known
from tests.contracts.discovery import modules_with

CHAINS = [("chains", 0, 1), ("draws", 3, 4)]
LEAST = {
    hmc: [*CHAINS, ("warmup", 0, 1), ("thin", 0, 1)],
    mala: [*CHAINS, ("warmup", 0, 1), ("thin", 0, 1)],
    nuts: [*CHAINS, ("warmup", -1, 0)],
    smc: [("particles", 0, 4)],
    svi: [("draws", 1, 2), ("particles", 0, 1), ("steps", 0, 1)],
    nested: [("live_points", 1, 2), ("draws", 0, 1)],
}
COUNTS = {name for cases in LEAST.values() for name, _, _ in cases}
FOUND = [
    (module, name)
    for module in modules_with(baselines, "run")
    for name in inspect.signature(module.run).parameters
    if name in COUNTS
]


@pytest.mark.parametrize(
    ("module", "name"), FOUND, ids=[f"{module.__name__.rpartition('.')[2]}-{name}" for module, name in FOUND]
)
def test_every_baseline_refuses_a_negative_count(module, name: str):
    target = known.skewed_mixture()
    with pytest.raises(ValueError, match=f"^{name}=-1: write a whole number from "):
        module.run(target, **{name: -1})
    assert target.calls == 0


@pytest.mark.parametrize(
    ("module", "name", "few", "least"),
    [(module, *case) for module, cases in LEAST.items() for case in cases],
    ids=lambda value: getattr(value, "__name__", str(value)).rpartition(".")[2],
)
def test_too_few_are_named_before_the_run(module, name: str, few: int, least: int):
    target = known.skewed_mixture()
    with pytest.raises(ValueError, match=f"^{name}={few}: write a whole number from {least}, for instance {name}=100$"):
        module.run(target, **{name: few})
    assert target.calls == 0


@pytest.mark.parametrize("module", [hmc, mala, nuts], ids=["hmc", "mala", "nuts"])
def test_the_fewest_draws_of_one_chain_are_enough(module):
    draws = module.run(known.skewed_mixture(), chains=1, draws=4, warmup=2)
    assert len(draws) == 4 and "rhat" in draws.attributes


def test_the_fewest_particles_and_draws_are_enough():
    model = known.conjugate, (known.CONJUGATE_DATA,)
    assert len(smc.run(*model, particles=4, islands=2)) == 8
    assert len(svi.run(known.skewed_mixture(), steps=1, particles=1, draws=2)) == 2
