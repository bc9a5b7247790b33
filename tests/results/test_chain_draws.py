"""Draws of chains: as many as asked for, equally many of each chain, more moves where there are too few."""

from dataclasses import replace

import torch

from amortized.mcmc.many_chains import run_chains
from amortized.results.chain_draws import extended, taken
from amortized.targets.callable import DensityTarget
from tests.known import seeded


def normal() -> DensityTarget:
    return DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)


def test_draws_are_evenly_spread_over_all_chains():
    found = run_chains(normal(), torch.randn(8, 2, generator=seeded()), 20.0, seeded(1))
    rows = found.draws.flatten(0, 1)
    x, number = taken(found, 12)  # eight chains do not divide twelve: six cuts of two draws
    assert number == 6 and x.shape == (12, 2)
    assert torch.equal(x[[0, -1]], rows[[0, -1]])
    assert taken(found, 7)[1] == 7  # a prime: one draw of each cut
    each, number = taken(found, len(rows))
    assert number == 8 and torch.equal(each, rows)


def test_no_chain_is_left_out():
    found = run_chains(normal(), torch.randn(8, 2, generator=seeded()), 20.0, seeded(1))
    which = torch.arange(64.0)[:, None, None].expand(64, 200, 1)  # says of each draw which chain it is from
    for count in (4_000, 1_000, 100):  # 64 divides none
        each = taken(replace(found, draws=which), count)[0][:, 0].long().bincount(minlength=64)
        assert each.min() >= count // 64 and each.max() <= count // 64 + 1


def test_no_number_of_draws_comes_from_a_few_chains_alone():
    found = run_chains(normal(), torch.randn(8, 2, generator=seeded()), 20.0, seeded(1))
    assert found.draws.shape[1] >= 67
    of = {tuple(row): chain for chain, rows in enumerate(found.draws.tolist()) for row in rows}
    for count in (67, 2 * 61, 3 * 59):  # divided by one chain, by two, by three
        x, number = taken(found, count)
        assert number == 1 and {of[tuple(row)] for row in x.tolist()} == set(range(8))


def test_chains_go_on_where_there_are_too_few_draws():
    target = normal()
    found = run_chains(target, torch.randn(8, 2, generator=seeded()), 20.0, seeded(1))
    wanted = found.draws[..., 0].numel() + 100
    longer = extended(found, target, wanted, seeded(2))
    assert longer.draws[..., 0].numel() >= wanted
    assert torch.equal(longer.draws[:, : found.draws.shape[1]], found.draws)
    x, _ = taken(longer, wanted)
    # independent draws would have an error of 1 / sqrt(900) = .033; chains may have three times as much
    assert len(x) == wanted and float(x.mean(0).abs().max()) < 0.15
