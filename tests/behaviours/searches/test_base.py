"""What a run of chains keeps, and what it refuses."""

import pytest
import torch

from amortized.behaviours.searches import HMCSearch, MALASearch
from amortized.behaviours.searches.base import run_chains
from amortized.mcmc.state import Info, State


def counting(state: State, step_size: torch.Tensor) -> tuple[State, Info]:
    """The first chain moves by its step at every move, the second never."""
    moved = torch.stack([state.x[0] + step_size, state.x[1]])
    return State(moved, moved[:, 0], state.score), Info(torch.tensor([1.0, 0.0]))


def start() -> State:
    return State(torch.zeros(2, 1), torch.zeros(2), torch.zeros(2, 1))


def test_without_a_burn_in_the_last_state_of_each_chain_is_found():
    found, step_size = run_chains(counting, start(), 5, torch.tensor(1.0), None, None)
    assert found.ends[:, 0].tolist() == [5.0, 0.0] and found.log_target.tolist() == [5.0, 0.0]
    assert found.acceptance_rate == 0.5 and float(step_size) == 1.0


def test_with_a_burn_in_every_later_move_is_found():
    found, _ = run_chains(counting, start(), 5, torch.tensor(1.0), None, 2)
    assert found.ends[:, 0].tolist() == [3.0, 4.0, 5.0]


def test_the_step_is_adapted_during_the_burn_in_only():
    first = torch.tensor(1.0)
    _, shorter = run_chains(counting, start(), 3, first, 0.4, 2)
    _, longer = run_chains(counting, start(), 9, first, 0.4, 2)
    _, throughout = run_chains(counting, start(), 9, first, 0.4, None)
    assert torch.equal(shorter, longer) and throughout > longer > first


def test_no_moves_find_the_starts():
    assert torch.equal(run_chains(counting, start(), 0, torch.tensor(1.0), 0.5, None)[0].ends, torch.zeros(2, 1))


@pytest.mark.parametrize("search_class", [MALASearch, HMCSearch])
def test_impossible_numbers_are_refused(search_class):
    with pytest.raises(ValueError, match="burn_in=10 of 10 steps"):
        search_class(steps=10, burn_in=10)
    with pytest.raises(ValueError, match="step_size=0"):
        search_class(step_size=0)
