"""The page on adding a part: its code is dropped into the package as one file, found, and kept to the contract."""

import re
import sys
from pathlib import Path

import pytest
import torch

import amortized.objectives
from amortized.behaviours import Behaviour, OnPolicy
from amortized.behaviours.mixture import concatenated
from amortized.objectives import LogVariance, Objective
from amortized.path import reverse_rollout, rollout
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.linear import LinearProcess
from tests.contracts import test_objectives as contracts
from tests.contracts.discovery import concrete_classes
from tests.known import isotropic, network, seeded
from tests.training import test_loop as test_fit

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
OBJECTIVE, PROCESS, BEHAVIOUR = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def objective_class(tmp_path, monkeypatch) -> type[Objective]:
    """The page's objective, saved beside the others and found by nothing but its place."""
    (tmp_path / "pairwise.py").write_text(OBJECTIVE)
    monkeypatch.setattr(amortized.objectives, "__path__", [*amortized.objectives.__path__, str(tmp_path)])
    known = set(contracts.OBJECTIVES)
    (found,) = [found for found in concrete_classes(amortized.objectives, Objective) if found not in known]
    yield found
    del sys.modules["amortized.objectives.pairwise"], amortized.objectives.pairwise


def test_the_objective_is_one_short_file_that_keeps_the_contract(objective_class, in_double_precision):
    assert len(OBJECTIVE.splitlines()) < 60
    for process_class in contracts.PROCESSES:
        contracts.test_at_the_solution_there_is_nothing_to_learn(objective_class, process_class, None)
        contracts.test_away_from_the_solution_there_is(objective_class, process_class, None)
        contracts.test_the_gradient_is_the_slope_of_the_loss(objective_class, process_class, None)
    contracts.test_paths_outside_the_support_do_not_poison_the_batch(objective_class)


def test_the_objective_trains(objective_class):
    test_fit.trains(OrnsteinUhlenbeck(4), objective_class, OnPolicy(), 100)


def test_the_process_keeps_the_contract(in_double_precision):
    names = {"LinearProcess": LinearProcess, "Tensor": torch.Tensor}
    exec(PROCESS, names)
    contracts.test_at_the_solution_there_is_nothing_to_learn(LogVariance, names["Cubic"], None)


def test_the_behaviour_proposes_whole_paths():
    names = {
        "Behaviour": Behaviour,
        "concatenated": concatenated,
        "rollout": rollout,
        "reverse_rollout": reverse_rollout,
    }
    exec(BEHAVIOUR, names)
    with torch.no_grad():
        path = names["Antithetic"]().propose(OrnsteinUhlenbeck(4), network(2), isotropic(2), 6, seeded())
    assert path.states.shape == (5, 6, 2)
    torch.testing.assert_close(path.log_target, isotropic(2).log_prob(path.ends).double())
