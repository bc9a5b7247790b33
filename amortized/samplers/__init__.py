"""Samplers: presets that name a process and a policy."""

from amortized.samplers.base import DiffusionSampler
from amortized.samplers.dds import DDS
from amortized.samplers.dis import DIS
from amortized.samplers.gflownet import GFlowNet
from amortized.samplers.pis import PIS
from amortized.samplers.sequential import SequentialDraws, sample_sequentially
from amortized.samplers.underdamped import UDS

__all__ = ["DDS", "DIS", "PIS", "UDS", "DiffusionSampler", "GFlowNet", "SequentialDraws", "sample_sequentially"]
