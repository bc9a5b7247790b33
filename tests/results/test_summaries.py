"""Figures of a summary where they are known: Gaussians, weights, chains, and ArviZ's own of the same draws."""

import arviz
import numpy as np
import pytest
import torch

from amortized.results.arviz import is_one
from amortized.results.draws import Draws
from amortized.results.summaries import repeats_merged
from amortized.weights import systematic

PATHS = {"source": "paths", "correction": "best"}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_independent_draws_are_worth_their_number():
    row = Draws({"x": normal(4_000)}, "guide", attributes=dict(PATHS)).summary()["x"]
    # mean, sd and the ends of a 90 % interval: standard errors .016, .011 and about .03 (a flat optimum: 6 of each)
    assert abs(row.mean) < 6 * 0.016 and abs(row.sd - 1) < 6 * 0.011
    assert abs(row.low + 1.645) < 0.2 and abs(row.high - 1.645) < 0.2
    assert row.mcse == pytest.approx(row.sd / 4_000**0.5) and row.ess_bulk == pytest.approx(4_000)
    assert np.isnan(row.rhat), "one fit has no R-hat"


def test_the_error_of_resampled_paths_is_that_of_their_means():
    """Paths of N(.5, 1) for N(0, 1), 200 times: the spread of the means is the MCSE.

    The std of 200 means is known to 5 %: they agree within 20 %, four standard errors. For weights alone the variance
    is ``e^¼ (1 + ¼) / N = 1.6 / N``, that of independent draws 1 / N.
    """
    means, errors = [], []
    for seed in range(200):
        pool = 0.5 + normal(400, seed=seed)
        rows = systematic(-0.5 * pool, 400, torch.Generator().manual_seed(seed))
        row = Draws({"x": pool[rows]}, "guide", attributes=dict(PATHS)).summary()["x"]
        means.append(row.mean)
        errors.append(row.mcse)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.2)
    assert np.mean(errors) > 1.2 * 1 / 400**0.5


def test_weighted_draws_count_by_their_weights():
    """``∫ p²/q = 4/√7`` and ``∫ x² p²/q = 16 / 7^1.5`` for p = N(0, 1) and q = N(0, 2²)."""
    pool = 2 * normal(4_000)
    row = Draws({"x": pool}, "svi", log_weights=-0.5 * pool.square() * 0.75).summary()["x"]
    assert abs(row.mean) < 5 * row.mcse and row.sd == pytest.approx(1, abs=0.08)
    assert row.mcse == pytest.approx((16 / 7**1.5 / 4_000) ** 0.5, rel=0.05)
    assert row.ess_bulk == pytest.approx(4_000 * 7**0.5 / 4, rel=0.05)


@pytest.mark.skipif(is_one(arviz), reason="ArviZ 1.x names the arguments and columns of its summary otherwise")
def test_chains_have_arviz_s_figures():
    """An autoregressive chain of correlation .5 is worth a third of its draws, by ours and by ArviZ's formula."""
    chains = normal(4, 1_000, 2)
    for place in range(1, 1_000):
        chains[:, place] = 0.5 * chains[:, place - 1] + 0.75**0.5 * chains[:, place]
    draws = Draws({"x": chains.flatten(0, 1)}, "nuts", chains=4)
    theirs = arviz.summary(chains[..., 1].numpy()[..., None], hdi_prob=0.9, round_to="none").iloc[0]
    ours = draws.summary()["x[1]"]
    assert ours.mean == pytest.approx(theirs["mean"]) and ours.sd == pytest.approx(theirs["sd"], rel=1e-3)
    assert ours.ess_bulk == pytest.approx(theirs["ess_bulk"], rel=0.02)
    assert ours.ess_tail == pytest.approx(theirs["ess_tail"], rel=0.02)
    assert ours.mcse == pytest.approx(theirs["mcse_mean"], rel=0.02)
    assert ours.rhat == pytest.approx(theirs["r_hat"], abs=2e-3)
    assert (ours.low, ours.high) == pytest.approx((theirs["hdi_5%"], theirs["hdi_95%"]), abs=0.03)


def test_fits_that_disagree_are_worth_little():
    apart = torch.cat([normal(500), normal(500, seed=1) + 3.0])
    row = Draws({"x": apart}, "guide", chains=2, attributes=dict(PATHS)).summary()["x"]
    assert row.rhat > 1.5 and row.ess_bulk < 20 and row.mcse > 0.3


def test_what_is_not_known_is_not_said():
    moved = Draws({"x": normal(100)}, "guide", attributes={**PATHS, "correction": "mcmc"}).summary()
    assert np.isnan([moved["x"].mcse, moved["x"].ess_bulk, moved["x"].rhat]).all()
    assert "not known" in moved.note and "–" in str(moved)
    families = Draws({"x": normal(1_000)}, "smc", attributes={"ess": 50.0}).summary()["x"]
    assert families.ess_bulk == 50 and families.mcse == pytest.approx(families.sd / 50**0.5)


def test_copies_of_a_path_count_once():
    merged = repeats_merged(torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, 2.0], [1.0, 2.0]]))
    assert merged.tolist() == [0.75, 0.25, 0.0, 0.0]


def test_quantiles_by_choice_and_unknown_words():
    draws = Draws({"x": torch.linspace(0.0, 1.0, 1_001)}, "nuts")
    row = draws.summary("quantiles", 0.8)["x"]
    assert (row.low, row.high) == pytest.approx((0.1, 0.9), abs=2e-3)
    assert draws.summary("quantiles", 0.8).interval == ("10 %", "90 %")
    with pytest.raises(ValueError, match="write one of 'hdi', 'quantiles'"):
        draws.summary("median")
    with pytest.raises(ValueError, match="between 0 and 1"):
        draws.summary(mass=90)


def test_long_vectors_are_folded_and_nothing_is_lost():
    found = Draws({"w": normal(200, 40), "mu": normal(200, seed=1), "constant": torch.ones(200)}, "nuts").summary()
    lines = str(found).split("\n")
    assert len(found.rows) == 41 and len(lines) == 1 + 3 + 1 + 1 + 1
    assert "w, 37 more" in lines[4] and "≥" in lines[4] and lines[5].startswith("mu")
    frame = found.to_pandas()
    assert frame.shape == (41, 8) and {"mcse_mean", "ess_bulk", "ess_tail", "r_hat"} < set(frame.columns)


def test_reprs_are_short_and_names_are_escaped():
    many = Draws({f"<b>{k}</b>": normal(100, seed=k) for k in range(20)}, "nuts", chains=2)
    assert len(repr(many).split("\n")) <= 15 and len(repr(many.summary()).split("\n")) == 15
    for shown in (many._repr_html_(), many.summary()._repr_html_()):
        assert "<b>" not in shown and "&lt;b&gt;19" in shown and "\u2212" in shown
