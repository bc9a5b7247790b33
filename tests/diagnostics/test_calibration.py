"""Exact posteriors pass, wrong ones are caught and named, on μ ~ N(0, 1), x ~ N(μ, 1), so that μ | x ~ N(x/2, 1/2)."""

import numpy as np
import pytest
import torch

from amortized._types import Sites
from amortized.diagnostics.calibration import Ranks, calibrate, expected_coverage, simulation_based_calibration

COUNT, DRAWS = 600, 100


def experiment(
    generator: torch.Generator,
    count: int = COUNT,
    draws: int = DRAWS,
    shift: float = 0.0,
    width: float = 1.0,
    dim: int = 1,
) -> tuple[Sites, Sites]:
    """Truths and draws of ``dim`` independent means, ``shift`` and ``width`` in deviations of the exact posterior."""
    mu = torch.randn(count, dim, generator=generator)
    x = mu + torch.randn(count, dim, generator=generator)
    noise = torch.randn(count, draws, dim, generator=generator)
    return {"mu": mu}, {"mu": x[:, None] / 2 + 0.5**0.5 * (shift + width * noise)}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_exact_posteriors_pass_and_say_so():
    found = calibrate(*experiment(generator(), dim=3), generator(1))
    assert found.passed and found.verdict == "calibrated"
    assert [scalar.name for scalar in found.scalars] == ["mu[0]", "mu[1]", "mu[2]"]
    assert "600 data sets, 100 draws each" in str(found) and str(found).count("passes") == 4


@pytest.mark.parametrize(
    ("shift", "width", "words"),
    [(0.0, 0.7, "too narrow"), (0.0, 1.4, "too wide"), (0.4, 1.0, "shifted up"), (-0.4, 1.0, "shifted down")]
    + [(5.0, 1.0, "shifted up"), (-5.0, 0.5, "shifted down"), (0.1, 0.5, "too narrow")],
)
def test_wrong_posteriors_are_named(shift: float, width: float, words: str):
    found = calibrate(*experiment(generator(), shift=shift, width=width), generator(1))
    assert not found.passed
    assert found.scalars[0].finding == words and f"mu[0] {words}" in found.verdict and "fails" in str(found)


@pytest.mark.parametrize(("shift", "width"), [(0.3, 1.0), (0.0, 0.8), (0.0, 1.25)])
def test_shift_and_width_are_measured(shift: float, width: float):
    """Within four standard errors, 1/√N and 1/√(2N) of the deviation of the scores, and 3 % for the finite L."""
    [found] = simulation_based_calibration(*experiment(generator(), count=3_000, draws=300, shift=shift, width=width))
    assert found.shift == pytest.approx(shift / width, abs=4 / width / 3_000**0.5 + 0.03)
    assert found.width == pytest.approx(width, rel=4 / 6_000**0.5 + 0.03)


def test_two_modes_for_one_are_caught():
    """Draws about ±0.95 with the exact mean and deviation."""
    mu, noise = torch.randn(2_000, generator=generator()), torch.randn(2, 2_000, 100, generator=generator(1))
    found = calibrate({"mu": mu}, {"mu": 0.95 * noise[0].sign() + 0.3 * noise[1]}, generator(3))
    assert not found.passed and abs(found.scalars[0].shift) < 0.1


def test_ranks_without_slope_or_curvature_are_of_the_wrong_shape():
    """Half of the ranks at each of the levels of the normal scores ±1: mean 0, deviation 1."""
    found = Ranks("mu", np.tile([159, 840], 500), 999)
    assert found.p_value < 1e-9 and found.finding == "of the wrong shape"


def test_false_alarms():
    """Of 200 exact experiments of two scalars at most 1 % fail on average: 2, and with three standard errors, 6.

    The p-values are uniform: their mean is 1/2 within three standard errors, 3 / √(12 · 200).
    """
    random = generator()
    found = [calibrate(*experiment(random, count=60, draws=19, dim=2), random) for _ in range(200)]
    assert sum(not one.passed for one in found) <= 6
    for p_values in ([one.scalars[0].p_value for one in found], [one.joint.p_value for one in found]):
        assert np.mean(p_values) == pytest.approx(0.5, abs=3 / (12 * 200) ** 0.5 + 0.02)


def test_expected_coverage_of_an_exact_posterior_is_the_credibility():
    """Fraction of ranks below α (L + 1) is α within four binomial standard errors."""
    found = expected_coverage(*experiment(generator(), count=2_000, dim=3), generator(1))
    for level in (0.1, 0.3, 0.5, 0.7, 0.9):
        covered = (found.ranks < level * (DRAWS + 1)).mean()
        assert covered == pytest.approx(level, abs=4 * (level * (1 - level) / 2_000) ** 0.5 + 1 / DRAWS)


def correlated(count: int, correlation: float) -> tuple[Sites, Sites]:
    """Truths with ``correlation`` about a mean that is seen, N(0, 9); draws about that mean without any."""
    mean = 3 * torch.randn(count, 2, generator=generator())
    factor = torch.linalg.cholesky(torch.tensor([[1.0, correlation], [correlation, 1.0]]))
    truth = mean + torch.randn(count, 2, generator=generator(1)) @ factor.T
    draws = mean[:, None] + torch.randn(count, DRAWS, 2, generator=generator(2))
    return {"a": truth[:, 0], "b": truth[:, 1]}, {"a": draws[..., 0], "b": draws[..., 1]}


def test_only_the_joint_check_sees_a_missing_correlation():
    found = calibrate(*correlated(2_000, 0.95), generator(3))
    assert found.failed == (found.joint,) and found.verdict.startswith("all jointly")
    assert calibrate(*correlated(2_000, 0.0), generator(3)).passed


def test_the_log_joint_as_a_site_sees_a_guide_that_ignores_the_data():
    """Draws from the prior pass both checks; −θ²/2 − (x − θ)²/2 is lower at them than at the truth."""
    truths, _ = experiment(generator())
    x = truths["mu"] + torch.randn(COUNT, 1, generator=generator(1))
    draws = {"mu": torch.randn(COUNT, DRAWS, 1, generator=generator(2))}
    assert calibrate(truths, draws, generator(3)).passed
    truths["log joint"] = -(truths["mu"].square() + (x - truths["mu"]).square()) / 2
    draws["log joint"] = -(draws["mu"].square() + (x[:, None] - draws["mu"]).square()) / 2
    found = calibrate(truths, draws, generator(3))
    assert found.failed[0].name == "log joint[0]" and found.failed[0].finding == "shifted down"


def test_joint_posterior_too_narrow_in_many_dimensions():
    exact, narrow = (expected_coverage(*experiment(generator(), dim=8, width=w), generator(1)) for w in (1.0, 0.8))
    assert exact.p_value > 0.01 and narrow.p_value < 1e-6 and "too narrow" in narrow.finding


def test_discrete_sites_are_ranked_at_random_among_equals():
    """z ~ Bernoulli(0.3) without data: exact draws pass, and fair coins are too high."""
    z, exact = torch.rand(COUNT, generator=generator()) < 0.3, torch.rand(COUNT, DRAWS, generator=generator(1))
    assert calibrate({"z": z.long()}, {"z": (exact < 0.3).long()}, generator(2)).passed
    wrong = calibrate({"z": z.long()}, {"z": (exact < 0.5).long()}, generator(2))
    assert not wrong.passed and wrong.scalars[0].finding.startswith("shifted up")


def test_what_never_varies_is_left_out():
    truths, draws = experiment(generator())
    truths["corner"], draws["corner"] = torch.ones(COUNT, 1), torch.ones(COUNT, DRAWS, 1)
    assert [found.name for found in simulation_based_calibration(truths, draws)] == ["mu[0]"]
    with pytest.raises(ValueError, match="no value of .*'corner'.* varies"):
        calibrate({"corner": truths["corner"]}, {"corner": draws["corner"]})


def test_same_generator_same_answer():
    truths, draws = experiment(generator())
    first, second = (calibrate(truths, draws, generator(5)) for _ in range(2))
    assert str(first) == str(second) and (first.joint.ranks == second.joint.ranks).all()


def test_table_of_many_scalars_shows_the_worst():
    truths, draws = experiment(generator(), dim=20)
    draws["mu"][..., 7] += 2.0
    text = str(calibrate(truths, draws, generator(1)))
    assert "and 8 scalars with larger p-values" in text and text.index("mu[7]") < text.index("all jointly")


def test_verdict_names_three_and_counts_the_rest():
    found = calibrate(*experiment(generator(), dim=6, width=0.5), generator(1))
    assert found.verdict.count(";") == 3 and found.verdict.endswith("4 more")


def test_a_check_fails_when_it_leaves_the_band():
    for width in (1.0, 0.7):
        found = calibrate(*experiment(generator(), width=width), generator(1))
        for check in found.checks:
            band = found.band(check)
            curve = np.searchsorted(np.sort(check.ranks), np.round(band.z * (check.draws + 1))) / len(check.ranks)
            left = bool(((curve < band.low - 1e-12) | (curve > band.high + 1e-12)).any())
            assert left == (check in found.failed)


def one(*shape: int) -> torch.Tensor:
    return torch.arange(float(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize(
    ("truths", "draws", "words"),
    [
        ({"mu": one(5)}, {"tau": one(5, 4)}, r"sites \['tau'\], should be those of truths, \['mu'\]"),
        ({"mu": one(5, 2)}, {"mu": one(5, 4)}, r"'mu': draws \(5, 4\), should be \(5, 'L', 2\)"),
        ({"mu": one(5)}, {"mu": one(6, 4)}, r"'mu': draws \(6, 4\), should be \(5, 'L'\)"),
        ({"mu": one(1)}, {"mu": one(1, 4)}, r"'mu': truths \(1,\) and draws \(1, 4\).* at least 2"),
        ({"mu": one(5)}, {"mu": one(5)}, r"'mu': truths \(5,\) and draws \(5,\)"),
        ({"mu": one(5), "tau": one(5)}, {"mu": one(5, 4), "tau": one(5, 3)}, "'mu': N and L are .* the same for all"),
        ({"mu": one(5)}, {"mu": one(5, 4).log()}, "'mu': 1 of 20 draws are not finite"),
        ({"mu": one(5) * torch.nan}, {"mu": one(5, 4)}, "'mu': 5 of 5 truths are not finite"),
    ],
)
def test_bad_arguments_name_the_site(truths: Sites, draws: Sites, words: str):
    for check in (simulation_based_calibration, expected_coverage, calibrate):
        with pytest.raises(ValueError, match=words):
            check(truths, draws)
