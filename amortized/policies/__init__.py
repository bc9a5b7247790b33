"""Policies: networks that steer a process, and what reads a context for them."""

from amortized.policies.base import Policy
from amortized.policies.conditional_gaussian import ConditionalGaussian
from amortized.policies.context import ContextReader
from amortized.policies.langevin_mlp import LangevinMLP

__all__ = ["ConditionalGaussian", "ContextReader", "LangevinMLP", "Policy"]
