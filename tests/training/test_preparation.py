"""What a fit starts from: draws of a warm-up, shuffled and whitened with their densities, and a sampler of one seed."""

from functools import partial

import pytest
import torch

from amortized.mixtures.gaussian import GaussianMixture
from amortized.samplers import GFlowNet
from amortized.targets.base import Target
from amortized.targets.callable import DensityTarget
from amortized.training import preparation
from amortized.training.preparation import Prepared, prepare, warm_up_checked
from amortized.warmup import WarmUp
from amortized.weights import Estimate
from tests.known import gaussian, seeded

FACTOR = torch.tensor([[0.5, 0.0], [0.3, 5.0]]).double()
MEAN = torch.tensor([1.0, -2.0]).double()
LAW = GaussianMixture(torch.ones(1).double(), MEAN[None], FACTOR[None])


def presets(expensive: bool):
    return partial(GFlowNet, langevin=not expensive)


def prepared(monkeypatch: pytest.MonkeyPatch, seed: int, generator_seed: int = 0) -> tuple[Prepared, torch.Tensor]:
    """With a warm-up that hands on 200 draws whose first coordinates rise; them too, with their generator's seed."""
    target = gaussian([1.0, -2.0], (FACTOR @ FACTOR.mT).float(), log_partition=0.7)

    def warmed(target: Target, *, generator: torch.Generator, **_) -> WarmUp:
        assert generator.initial_seed() == generator_seed
        draws = LAW.sample(200, seeded(1)).to(target.dtype)
        draws = draws[draws[:, 0].argsort()]
        evidence = Estimate(0.7, 0.01)
        return WarmUp(draws, target.log_prob(draws), MEAN, FACTOR, LAW, None, evidence, True, "", 200, 0.1)

    monkeypatch.setattr(preparation, "warm_up", warmed)
    generator = seeded(generator_seed)
    made = prepare(target, warm_up_checked(target, generator, 10.0), presets, generator, seed)
    return made, made.warm.draws


def test_ends_are_the_draws_in_another_order_with_the_density_that_the_sampler_sees(monkeypatch):
    made, draws = prepared(monkeypatch, 0)
    torch.testing.assert_close(made.log_ends, made.white.log_prob(made.ends).double(), rtol=1e-4, atol=1e-4)
    back = made.white.unwhiten(made.ends)
    torch.testing.assert_close(back[back[:, 0].argsort()], draws)
    assert abs(float((back[:, 0].diff() > 0).double().mean()) - 0.5) < 5 * (0.25 / 200) ** 0.5


def test_a_sampler_starts_from_the_mixture_or_from_a_normal(monkeypatch):
    made, _ = prepared(monkeypatch, 0)
    normal = prepare(made.white.target, made.warm, presets, seeded(), 0, "normal")
    assert normal.sampler.process.reference is None is not made.sampler.process.reference


def test_the_seed_sets_the_network_and_the_generator_the_order(monkeypatch):
    def weights(made: Prepared) -> torch.Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in made.sampler.parameters()])

    one, same, other, turned = (
        prepared(monkeypatch, seed, order)[0] for seed, order in ((3, 0), (3, 0), (4, 0), (3, 1))
    )
    assert torch.equal(weights(one), weights(same)) and torch.equal(one.ends, same.ends)
    assert not torch.equal(weights(one), weights(other)) and torch.equal(one.ends, other.ends)
    assert torch.equal(weights(one), weights(turned)) and not torch.equal(one.ends, turned.ends)


def test_the_callers_random_state_is_left_alone(monkeypatch):
    state = torch.get_rng_state()
    prepared(monkeypatch, 0)
    assert torch.equal(torch.get_rng_state(), state)


class Mended(DensityTarget):
    """N(0, 1) until it is looked at again, N(3, 1) from then on."""

    def __init__(self):
        self.mean, self.looked = 0.0, 0
        super().__init__(lambda x: -0.5 * (x - self.mean).square().sum(-1), 1)

    def recheck(self, x):
        changed, self.mean = self.mean == 0.0, 3.0
        self.looked += 1
        return not changed


@pytest.mark.parametrize(("changes", "warm_ups", "last"), [(0, 1, "look"), (2, 3, "look"), (9, 4, "warm-up")])
def test_draws_come_from_the_density_that_stayed(changes, warm_ups, last, monkeypatch):
    """Captured, vmap, loop: three looks. Were it mended on and on, a last warm-up would follow the last look."""
    target, seen = gaussian([0.0, 0.0], torch.eye(2)), []

    def recheck(_: torch.Tensor) -> bool:
        seen.append("look")
        return seen.count("look") > changes

    def warmed(target: Target, **_) -> WarmUp:
        seen.append("warm-up")
        draws = LAW.sample(200, seeded(1)).to(target.dtype)
        evidence = Estimate(0.7, 0.01)
        return WarmUp(draws, target.log_prob(draws), MEAN, FACTOR, LAW, None, evidence, True, "", 200, 0.1)

    monkeypatch.setattr(target, "recheck", recheck)
    monkeypatch.setattr(preparation, "warm_up", warmed)
    warm_up_checked(target, seeded(), 10.0)
    assert seen.count("warm-up") == warm_ups and seen[-1] == last


def test_a_density_that_was_mended_is_warmed_up_again():
    target = Mended()
    generator = torch.Generator().manual_seed(0)
    warm = warm_up_checked(target, generator, max_seconds=20.0, max_calls=3_000)
    made = prepare(target, warm, presets, generator, 0)
    assert target.looked == 2
    assert abs(float(made.warm.draws.mean()) - 3.0) < 0.2  # 2,048 draws, some alike: over four of their errors
    torch.testing.assert_close(made.log_ends, made.white.log_prob(made.ends), rtol=1e-4, atol=1e-4)
