"""Policies: networks that steer a process."""

from amortized.policies.base import Policy
from amortized.policies.langevin_mlp import LangevinMLP

__all__ = ["LangevinMLP", "Policy"]
