"""Processes: noising chains and the kernels that a control steers back."""

from amortized.processes.base import Process
from amortized.processes.brownian import PinnedBrownian
from amortized.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from amortized.processes.underdamped import Underdamped
from amortized.processes.variance_preserving import VariancePreserving

__all__ = ["OrnsteinUhlenbeck", "PinnedBrownian", "Process", "Underdamped", "VariancePreserving"]
