"""The contract tests see the classes that are there."""

import amortized.behaviours
import amortized.objectives
import amortized.policies
import amortized.processes
from amortized.behaviours.base import Behaviour
from amortized.objectives.base import Objective
from amortized.policies.base import Policy
from amortized.processes.base import Process
from tests.contracts.discovery import build, concrete_classes


def names(package, contract) -> set[str]:
    return {member.__name__ for member in concrete_classes(package, contract)}


def test_known_classes_are_found_and_contracts_are_not():
    assert {"OrnsteinUhlenbeck", "PinnedBrownian"} <= names(amortized.processes, Process) - {"Process"}
    assert {"LogVariance", "MaximumLikelihood", "TrajectoryBalance"} <= names(amortized.objectives, Objective)
    assert {"Exploration", "LocalSearch", "Mixture", "OnPolicy", "Replay"} <= names(amortized.behaviours, Behaviour)
    assert {"LangevinMLP"} <= names(amortized.policies, Policy) - {"Policy"}


def test_a_class_is_built_from_the_parts_that_it_names():
    class Needs:
        def __init__(self, dim: int, *others: int, width: int = 3):
            self.all = dim, others, width

    assert build(Needs, dim=2, others=(), unused="x").all == (2, (), 3)
