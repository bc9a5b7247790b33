"""Where a result was made: versions and machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pyro
import torch

import amortized

Facts = dict[str, str | int]


def provenance() -> dict[str, Facts]:
    """What every result keeps of where it was made: versions of the libraries, and the machine.

    >>> found = provenance()
    >>> list(found), list(found["versions"])
    (['versions', 'machine'], ['amortized', 'torch', 'pyro', 'python'])
    >>> list(found["machine"])
    ['platform', 'processor', 'cores', 'threads']
    """
    versions: Facts = {
        "amortized": amortized.__version__,
        "torch": torch.__version__,
        "pyro": pyro.__version__,
        "python": platform.python_version(),
    }
    machine: Facts = {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
    }
    return {"versions": versions, "machine": machine}


def cores() -> int:
    """Cores that this process may use: a container may have fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The model's name where Linux tells it, else what Python knows."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
