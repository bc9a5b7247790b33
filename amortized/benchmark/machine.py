"""Where a result was made: versions and machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pyro
import torch

import amortized


def versions() -> dict[str, str]:
    """Of this library and of what its figures rest on.

    >>> list(versions())
    ['amortized', 'torch', 'pyro', 'python']
    """
    return {
        "amortized": amortized.__version__,
        "torch": torch.__version__,
        "pyro": pyro.__version__,
        "python": platform.python_version(),
    }


def machine() -> dict[str, str | int]:
    """Platform, processor, cores that this process may use, and threads that PyTorch uses.

    >>> list(machine())
    ['platform', 'processor', 'cores', 'threads']
    """
    return {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
    }


def cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The model's name where Linux tells it, else what Python knows."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
