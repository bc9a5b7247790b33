"""Objectives: a loss per path."""

from amortized.objectives.base import Objective
from amortized.objectives.detailed_balance import DetailedBalance
from amortized.objectives.flows import StateFlow
from amortized.objectives.log_variance import LogVariance
from amortized.objectives.maximum_likelihood import MaximumLikelihood
from amortized.objectives.reverse_kl import ReverseKL
from amortized.objectives.score_function import ScoreFunction
from amortized.objectives.sub_trajectory_balance import SubTrajectoryBalance
from amortized.objectives.trajectory_balance import TrajectoryBalance

__all__ = [
    "DetailedBalance",
    "LogVariance",
    "MaximumLikelihood",
    "Objective",
    "ReverseKL",
    "ScoreFunction",
    "StateFlow",
    "SubTrajectoryBalance",
    "TrajectoryBalance",
]
