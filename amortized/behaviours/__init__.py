"""Behaviours: where training paths come from."""

from amortized.behaviours.alternate import Alternate
from amortized.behaviours.base import Behaviour
from amortized.behaviours.buffer import ContextBuffers, ReplayBuffer
from amortized.behaviours.exploration import Exploration
from amortized.behaviours.local_search import LocalSearch
from amortized.behaviours.mixture import Mixture
from amortized.behaviours.on_policy import OnPolicy
from amortized.behaviours.priorities import (
    ImportancePriority,
    Priority,
    RankPriority,
    RewardPriority,
    UniformPriority,
)
from amortized.behaviours.replay import Replay
from amortized.behaviours.searches import AnnealedSearch, HMCSearch, MALASearch, Search
from amortized.behaviours.sleep import Sleep

__all__ = [
    "Alternate",
    "AnnealedSearch",
    "Behaviour",
    "ContextBuffers",
    "Exploration",
    "HMCSearch",
    "ImportancePriority",
    "LocalSearch",
    "MALASearch",
    "Mixture",
    "OnPolicy",
    "Priority",
    "RankPriority",
    "Replay",
    "ReplayBuffer",
    "RewardPriority",
    "Search",
    "Sleep",
    "UniformPriority",
]
