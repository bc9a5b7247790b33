"""Coverage of modes for histograms that are written down."""

import math

import pytest
import torch

from amortized.metrics.modes import entropic_mode_coverage, largest_mode_weight_error, mode_weights

UNIFORM = torch.full((8,), 1 / 8)


def test_equal_visits_are_full_coverage():
    labels = torch.arange(8).repeat(5)
    assert entropic_mode_coverage(labels, UNIFORM) == pytest.approx(1)
    assert largest_mode_weight_error(labels, UNIFORM) == pytest.approx(0)


@pytest.mark.parametrize("found", [1, 2, 4])
def test_lost_modes_leave_the_ratio_of_the_logs(found):
    labels = torch.arange(found).repeat(16)
    assert entropic_mode_coverage(labels, UNIFORM) == pytest.approx(math.log(found) / math.log(8))
    assert largest_mode_weight_error(labels, UNIFORM) == pytest.approx(1 / found - 1 / 8)


def test_for_equal_weights_it_is_the_normalised_entropy():
    labels = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    entropy = -sum(part * math.log(part) for part in (0.5, 0.3, 0.2))
    assert entropic_mode_coverage(labels, torch.full((3,), 1 / 3)) == pytest.approx(entropy / math.log(3), abs=1e-6)


def test_unequal_weights_are_met_by_unequal_visits():
    weights = torch.tensor([0.75, 0.25])
    assert entropic_mode_coverage(torch.tensor([0, 0, 0, 1]), weights) == pytest.approx(1)
    assert entropic_mode_coverage(torch.tensor([0, 1]), weights) < 1
    assert entropic_mode_coverage(torch.tensor([1, 1]), weights) == pytest.approx(0)
    assert entropic_mode_coverage(torch.tensor([0, 0]), weights) == pytest.approx(1 - math.log(4 / 3) / math.log(4))


def test_groups_are_judged_each_by_itself():
    """Two blocks of two wells: the first as it should be, the second collapsed into one well."""
    labels = torch.tensor([[0, 0], [1, 0]])
    assert mode_weights(labels, 2).tolist() == [[0.5, 0.5], [1.0, 0.0]]
    weights = torch.tensor([0.5, 0.5])
    assert entropic_mode_coverage(labels, weights) == pytest.approx(0.5)
    assert largest_mode_weight_error(labels, weights) == pytest.approx(0.5)
    assert largest_mode_weight_error(labels, torch.tensor([[0.5, 0.5], [0.9, 0.1]])) == pytest.approx(0.1)


def test_wrong_labels_and_weights_are_named():
    labels = torch.tensor([0, 3])
    with pytest.raises(ValueError, match=r"from 0 to 3, should lie in 0 … 1; write mode_weights\(labels, 4\)"):
        mode_weights(labels, 2)
    with pytest.raises(ValueError, match="float32"):
        mode_weights(torch.tensor([0.0]), 2)
    with pytest.raises(ValueError, match="positive"):
        entropic_mode_coverage(labels, torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="sum to"):
        largest_mode_weight_error(labels, torch.tensor([1.0, 1.0]))
