"""The devices that are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def available_device(device: str | torch.device) -> torch.device:
    """``device`` as ``torch.device``; raises ``ValueError`` where this machine does not have it.

    >>> available_device("cpu")
    device(type='cpu')
    """
    try:
        wanted = torch.device(device)
        torch.zeros(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        present = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"device {str(device)!r} is not there ({reason}); this machine has {', '.join(present)}: type device='cpu'"
        ) from error
    return wanted


def placement(device: torch.device) -> AbstractContextManager:
    """A context in which tensors are made on the device; nothing to do on the CPU."""
    return nullcontext() if device.type == "cpu" else device


@contextmanager
def own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's global random state set by ``seed`` within, and as it was afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Torch's default dtype within, and as it was afterwards."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
