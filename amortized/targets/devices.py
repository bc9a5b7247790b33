"""The devices that are there."""

from __future__ import annotations

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
