"""Behaviours: where training paths come from."""

from amortized.behaviours.base import Behaviour
from amortized.behaviours.exploration import Exploration
from amortized.behaviours.local_search import LocalSearch
from amortized.behaviours.mixture import Mixture
from amortized.behaviours.on_policy import OnPolicy
from amortized.behaviours.replay import Replay, ReplayBuffer

__all__ = ["Behaviour", "Exploration", "LocalSearch", "Mixture", "OnPolicy", "Replay", "ReplayBuffer"]
