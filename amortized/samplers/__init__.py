"""Samplers: presets that name a process and a policy."""

from amortized.samplers.base import DiffusionSampler
from amortized.samplers.gflownet import GFlowNet

__all__ = ["DiffusionSampler", "GFlowNet"]
