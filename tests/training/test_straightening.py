"""Straightened coordinates: what has no bend, no time or no better weights stays as it is."""

from amortized.samplers import GFlowNet
from amortized.targets.callable import DensityTarget
from amortized.training.candidates import Candidate, candidate
from amortized.training.preparation import Prepared, prepare
from amortized.training.recipe import PAYING
from amortized.training.straightening import in_straight_coordinates
from amortized.warmup import WarmUp, warm_up
from tests.known import isotropic, seeded


def maker(expensive):
    return lambda dim, start: GFlowNet(dim, steps=8, reference=start, langevin=False)


def prepared(target, warm: WarmUp) -> Prepared:
    return prepare(target, warm, maker, seeded(3), 0)


def prepared_once(target: DensityTarget) -> tuple[Prepared, Candidate]:
    made = prepared(target, warm_up(target, draws=1_024, generator=seeded(), max_seconds=2.0))
    held_out = made.ends[:512], made.log_ends[:512]
    return made, candidate(made.sampler.process, made.white, held_out, (1,), 0.5, seeded(4))


def test_draws_without_a_bend_are_left_alone():
    made, untrained = prepared_once(isotropic(2))
    assert in_straight_coordinates(made, untrained, prepared, PAYING, 10.0, seeded(5)) == (made, untrained, "")


def test_no_time_is_left_alone():
    made, untrained = prepared_once(isotropic(2))
    calls = made.white.calls
    assert in_straight_coordinates(made, untrained, prepared, PAYING, 1.0, seeded(5))[0] is made
    assert made.white.calls == calls
