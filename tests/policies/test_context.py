"""What an embedding is shown: standardised parts, missing rows still missing, tails pulled in."""

import pytest
import torch
from torch import nn

from amortized.policies.context import HEAVY_TAIL, LINEAR, ContextReader
from tests.known import seeded


class Flat(nn.Module):
    """All numbers of all parts, side by side."""

    def forward(self, *parts):
        return torch.cat([part.flatten(1) for part in parts], 1)


def halves(rows: torch.Tensor) -> list[torch.Tensor]:
    return list(rows.split([2, rows.shape[1] - 2], 1))


def test_every_position_is_standardised():
    rows = torch.randn(4_000, 3, generator=seeded(), dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1e4]) + 500.0
    reader = ContextReader(Flat(), halves, rows)
    out = reader(rows)
    assert reader.size == 3 and out.dtype == torch.float32
    torch.testing.assert_close(out.mean(0), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(out.std(0), torch.ones(3), rtol=2e-2, atol=0)  # tails are pulled in by asinh
    torch.testing.assert_close(reader(rows[:7]), out[:7])


def test_a_position_that_never_moves_is_zero():
    rows = torch.cat([torch.randn(50, 1), torch.full((50, 2), 3.0)], 1)
    out = ContextReader(Flat(), halves, rows)(rows)
    assert out.isfinite().all() and (out[:, 1:] == 0).all()


def test_rows_of_sets_share_a_scale_and_missing_ones_stay_missing():
    """Two numbers a row: the scale is that of the column over all rows of all sets."""
    sets = torch.randn(200, 4, 2, generator=seeded()) * torch.tensor([1.0, 50.0]) + 3
    sets[::2, 2:] = torch.nan
    reader = ContextReader(Flat(), lambda rows: [rows.unflatten(1, (4, 2))], sets.flatten(1), sets=True)
    out = reader(sets.flatten(1)).unflatten(1, (4, 2))
    assert torch.equal(out.isnan(), sets.isnan())
    there = out.flatten(0, 1)[~sets.flatten(0, 1).isnan().any(1)]
    torch.testing.assert_close(there.mean(0), torch.zeros(2), rtol=0, atol=2e-3)
    torch.testing.assert_close(there.std(0), torch.ones(2), rtol=2e-2, atol=0)
    one = sets[:1].clone()
    one[0, :, 1] = one[0, 0, 1]
    column = reader(one.flatten(1)).unflatten(1, (4, 2))[0, :2, 1]
    assert column[0] == column[1]


def test_heavy_tails_are_compressed_and_keep_their_order():
    """Cauchy draws: plain standardising would leave all but a few within 0.01 of zero."""
    values = dist_cauchy(4_000)
    rows = torch.stack([values, torch.randn(4_000, generator=seeded(2)).double()], 1)
    out = ContextReader(Flat(), lambda rows: [rows], rows)(rows)
    assert float(((values - values.mean()) / values.std()).abs().max()) > HEAVY_TAIL
    assert out[:, 0].abs().max() < HEAVY_TAIL
    order = values.argsort()
    assert (out[order, 0].diff() >= 0).all()
    assert 0.2 < float(out[:, 0].quantile(0.75) - out[:, 0].quantile(0.25)) < 2
    standard = (rows[:, 1] - rows[:, 1].mean()) / rows[:, 1].std()
    torch.testing.assert_close(out[:, 1].double(), LINEAR * (standard / LINEAR).asinh(), rtol=1e-3, atol=1e-4)


def dist_cauchy(count: int) -> torch.Tensor:
    return torch.tan(3.14159 * (torch.rand(count, generator=seeded(), dtype=torch.float64) - 0.5))


@pytest.mark.parametrize(
    ("embedding", "shape"),
    [(lambda x: x[:, None], r"\(2, 1, 3\)"), (lambda x: x.sum(1), r"\(2,\)"), (lambda x: x[:1], r"\(1, 3\)")],
)
def test_an_embedding_of_another_shape_is_refused(embedding, shape):
    class Wrong(nn.Module):
        def forward(self, x):
            return embedding(x)

    with pytest.raises(ValueError, match=rf"embedding: gives {shape} for 2 contexts, should be \(2, size\)"):
        ContextReader(Wrong(), lambda rows: [rows], torch.randn(10, 3))


def test_its_scales_travel_with_its_weights():
    rows = 5 + torch.randn(40, 3)
    reader, other = (ContextReader(Flat(), halves, given) for given in (rows, torch.randn(40, 3)))
    other.load_state_dict(reader.state_dict())
    assert torch.equal(other(rows), reader(rows))
