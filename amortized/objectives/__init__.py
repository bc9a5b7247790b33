"""Objectives: a loss per path."""

from amortized.objectives.base import Objective
from amortized.objectives.log_variance import LogVariance
from amortized.objectives.maximum_likelihood import MaximumLikelihood
from amortized.objectives.trajectory_balance import TrajectoryBalance

__all__ = ["LogVariance", "MaximumLikelihood", "Objective", "TrajectoryBalance"]
