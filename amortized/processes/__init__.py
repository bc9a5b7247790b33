"""Processes: noising chains and the kernels that a control steers back."""

from amortized.processes.base import Process
from amortized.processes.brownian import PinnedBrownian
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from amortized.processes.product_reference import ProductReference
from amortized.processes.reference import Reference
from amortized.processes.underdamped import Underdamped
from amortized.processes.variance_preserving import VariancePreserving

__all__ = [
    "MixtureReference",
    "OrnsteinUhlenbeck",
    "PinnedBrownian",
    "Process",
    "ProductReference",
    "Reference",
    "Underdamped",
    "VariancePreserving",
]
