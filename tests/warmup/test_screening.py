"""What no known mode explains is found by landing there; what one explains, whatever its tails, is left alone."""

import math

import pytest
import torch

from amortized.mixtures.gaussian import GaussianMixture
from amortized.optimise.gaussians import LocalGaussians
from amortized.targets.callable import DensityTarget
from amortized.warmup.rays import cube_rays, explained, normal_rays
from amortized.warmup.screening import FEWEST, MOST, Screening, best_of_modes
from tests.known import seeded

DIM = 4


def gaussians(means: list[list[float]], sds: list[float], masses: list[float]) -> LocalGaussians:
    dim = len(means[0])
    elbo = torch.tensor(masses, dtype=torch.float64).log()
    factors = torch.tensor(sds, dtype=torch.float64)[:, None, None] * torch.eye(dim, dtype=torch.float64)
    return LocalGaussians(torch.tensor(means, dtype=torch.float64), factors, elbo)


def density(local: LocalGaussians) -> DensityTarget:
    mixture = GaussianMixture(local.elbo.exp(), local.mean, local.scale_tril)
    return DensityTarget(lambda x: mixture.log_prob(x), local.mean.shape[1], torch.float64)


BOTH = gaussians([[0.0] * DIM, [12.0, 9.0, 0.0, 0.0]], [1.5, 0.5], [0.5, 0.5])
ONE = BOTH.take(torch.tensor([0]))
DRAWS = 1.5 * torch.randn(500, DIM, generator=seeded(1), dtype=torch.float64)
LAWS = [normal_rays, cube_rays(DRAWS, 1.5 * torch.eye(DIM, dtype=torch.float64), 0)]


@pytest.mark.parametrize("law", LAWS)
def test_the_basin_of_an_unknown_narrow_mode_is_met(law):
    """Its basin is a ball of radius 5 at distance 15: over ten of the 32,768 points fall into it by either law."""
    found = Screening(density(BOTH), law, 60.0, seeded()).run(ONE, [0], 2**15, lambda: False)
    assert 0 < len(found.x) <= 12
    narrow = (found.x - BOTH.mean[1]).norm(dim=1) / 0.5
    wide = found.x.norm(dim=1) / 1.5
    assert bool((narrow < wide).all())
    assert torch.allclose(found.gap, found.x.norm(dim=1))


@pytest.mark.parametrize("law", LAWS)
def test_known_modes_leave_nothing_to_start_from(law):
    screening = Screening(density(BOTH), law, 60.0, seeded())
    assert len(screening.run(BOTH, [0, 1], 2**15, lambda: False).x) == 0
    assert screening.calls <= screening.target.calls and screening.calls >= 2**15


def test_heavy_tails_are_no_modes():
    """A Student-t falls far less than its Gaussian foretells, but its score leads to the mode everywhere."""
    target = DensityTarget(lambda x: -3.5 * torch.log1p(x.square().sum(-1) / 3), DIM, torch.float64)
    assert len(Screening(target, normal_rays, 60.0, seeded()).run(ONE, [0], 2**13, lambda: False).x) == 0


def test_the_density_along_rays_is_the_mixture_s():
    known = GaussianMixture(torch.tensor([2.0, 0.3]).double(), BOTH.mean, BOTH.scale_tril)
    for rays in normal_rays(known, 16, seeded()):
        points = rays.points()
        assert points.shape == (len(rays.centre), 8, DIM)
        expected = known.log_prob(points.flatten(0, 1)).reshape(points.shape[:2])
        assert torch.allclose(explained(known, rays), expected, rtol=1e-9)


def test_a_valley_parts_modes_and_a_bend_does_not():
    chain = gaussians(
        [[0.0, 0.0], [1.5, 0.5], [3.0, 2.0], [12.0, 9.0], [40.0, 0.0]], [1.0] * 5, [1, 0.9, 0.8, 0.7, 1e-9]
    )
    target = density(gaussians([[0.0, 0.0], [1.5, 0.5], [3.0, 2.0], [12.0, 9.0]], [1.0] * 4, [1, 1, 1, 1]))
    assert best_of_modes(target.log_prob_and_score, chain) == [0, 3]


def test_several_modes_are_worth_more_points_and_a_slow_density_fewer():
    x = torch.zeros(3, DIM, dtype=torch.float64)
    quick = Screening(density(BOTH), normal_rays, 1e6, seeded())
    assert [quick.points(modes, x) for modes in (1, 4, 1000)] == [FEWEST, 2 ** (9 + DIM) * 4, MOST]
    assert quick.calls == quick.target.calls > 0
    assert Screening(density(BOTH), normal_rays, 1e-9, seeded()).points(1, x) == 0


def test_it_stops_when_told():
    screening = Screening(density(BOTH), normal_rays, 60.0, seeded())
    assert len(screening.run(ONE, [0], 2**15, lambda: True).x) == 0 and screening.calls == 0


def test_the_laws_differ():
    """The farthest points of the one are normal and of the other in a cube: no coordinate over its half width."""
    known = GaussianMixture(torch.ones(1).double(), ONE.mean, ONE.scale_tril)
    normal, cube = (law(known, 4096, seeded())[0] for law in LAWS)
    assert float(normal.direction.abs().max()) > 3 > 3**0.5 >= float(cube.direction.abs().max())
    assert (
        abs(float(cube.direction.square().mean()) - 1) < 0.01 and abs(float(normal.direction.square().mean()) - 1) < 0.1
    )
    assert math.isclose(float(normal.radii[-1]), 60.0)


def slow(dim: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> DensityTarget:
    """N(0, I) whose every density takes so long by the wall clock."""
    clock = [0.0]
    monkeypatch.setattr("amortized.targets.cost.time.perf_counter", lambda: clock[0])

    def log_density(x: torch.Tensor) -> torch.Tensor:
        clock[0] += seconds * len(x)
        return -0.5 * x.square().sum(-1)

    return DensityTarget(log_density, dim)


def test_a_slow_density_is_timed_at_few_points(monkeypatch):
    screening = Screening(slow(2, 0.01, monkeypatch), normal_rays, 24.0, seeded())
    assert screening.points(1, torch.zeros(3, 2)) == 0 and screening.calls == 16


def test_so_many_points_are_looked_at_as_were_said():
    for points in (2_048, 8_192, 9_216):
        screening = Screening(density(ONE), normal_rays, 60.0, seeded())
        screening.run(ONE, [0], points, lambda: False)
        assert screening.calls == points


@pytest.mark.parametrize(
    ("microseconds", "looked", "cut", "word"),
    [
        (3.0, 2**20, False, ""),
        (50.0, 2**16, False, "looked for more modes at 65,536 of 1,048,576 points"),
        (60.0, 2**14, True, "too little time: looked for more modes at 16,384 of 1,048,576 points"),
    ],
)
def test_a_search_is_cut_below_a_sixteenth_of_its_points(microseconds, looked, cut, word, monkeypatch):
    """3.6 s are 15 % of 24 s: 2^20 points of 3.4 microseconds, 2^16 of 55."""
    screening = Screening(slow(10, 1e-6 * microseconds, monkeypatch), normal_rays, 24.0, seeded())
    assert screening.points(2, torch.zeros(3, 10)) == looked == screening.looked
    assert screening.cut is cut and str(screening).startswith(word) and (str(screening) == "") == (word == "")


def test_few_points_are_cut_in_few_dimensions(monkeypatch):
    screening = Screening(slow(1, 1e-3, monkeypatch), normal_rays, 24.0, seeded())
    assert screening.points(2, torch.zeros(3, 1)) == 2_048 and screening.cut
    assert screening.points(1, torch.zeros(3, 1)) == 0 and not screening.cut and str(screening) == ""


def test_a_search_that_is_stopped_is_cut():
    screening = Screening(density(ONE), normal_rays, 1e6, seeded())
    points = screening.points(2, torch.zeros(3, DIM, dtype=torch.float64))
    assert not screening.cut
    screening.run(ONE, [0], points, lambda: True)
    assert screening.cut and "at 0 of" in str(screening)


def test_a_search_of_few_calls_begins_again_where_it_found_a_mode(monkeypatch):
    """2,048 points, then the rest of 16,384; a new mode throws the points before it away."""
    screening = Screening(slow(10, 1e-4, monkeypatch), normal_rays, 24.0, seeded())
    screening.few_calls = True
    assert screening.points(2, torch.zeros(3, 10)) == 2_048 and screening.cut
    assert screening.points(3, torch.zeros(3, 10)) == 2_048 == screening.looked
    assert screening.points(3, torch.zeros(3, 10)) == screening.enough - 2_048 and not screening.cut
