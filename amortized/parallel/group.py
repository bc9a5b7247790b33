"""The group of processes that ``torchrun`` has started, made and ended in one place."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

import torch
import torch.distributed as dist

from amortized.parallel.ranks import RankLost, Ranks

WAITED = 900.0
"""Seconds that a process waits for the others, three times the default limit of a fit on many data sets: stages of
unequal length lie between two messages. A process that was killed is noticed at once."""
NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What ``torchrun`` sets beside WORLD_SIZE."""


@dataclass(frozen=True)
class Group:
    """The processes that fit, draw and calibrate together.

    Args:
        ranks: this process among them.
        checkpoint: the file to which training on many data sets is saved, and from which it goes on; None: nothing is
            saved.
    """

    ranks: Ranks = Ranks()
    checkpoint: Path | None = None


_CURRENT: ContextVar[Group] = ContextVar("group", default=Group())  # noqa: B039 - it is frozen


def current() -> Group:
    """The group around the caller; outside of ``together`` this process alone."""
    return _CURRENT.get()


def started(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes ``torchrun`` has started; 1 without it.

    >>> started({}), started({"WORLD_SIZE": "4"})
    (1, 4)
    """
    text = environment.get("WORLD_SIZE", "1")
    return int(text) if text.isdecimal() else 1


@contextmanager
def together(checkpoint: Path | None = None, device: str = "cpu", waited: float = WAITED) -> Iterator[Group]:
    """Fits, draws and calibrations of amortized guides within are shared by all processes that ``torchrun`` started.

    Every process runs the same lines. The checkpoint is deleted at the end, unless an error or a kill came first.

    Args:
        checkpoint: where training on many data sets is saved. A file that is there already is resumed.
        device: of the guide; ``cuda`` talks by NCCL.
        waited: seconds that a process waits for the others.

    Raises:
        ValueError: the variables of ``torchrun`` are not all there.
        RankLost: another process has ended. The same lines go on from the checkpoint, on any number of processes.

    >>> with together() as group:
    ...     group.ranks
    Ranks(rank=0, size=1)
    """
    group = Group(_joined(device, waited), checkpoint)
    token = _CURRENT.set(group)
    try:
        with _terminable(group.ranks):
            yield group
        if checkpoint is not None and group.ranks.rank == 0:
            checkpoint.unlink(missing_ok=True)
    except RankLost as error:
        if checkpoint is None or not checkpoint.exists():
            raise
        raise RankLost(f"{error}; it goes on from {checkpoint}, on any number of processes") from error
    finally:
        _CURRENT.reset(token)
        if group.ranks.size > 1:
            dist.destroy_process_group()


def own_device(device: str) -> str:
    """``cuda`` as the GPU of this process; any other device as it is."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and started() > 1 else device


def _joined(device: str, waited: float) -> Ranks:
    size = started()
    if size == 1:
        return Ranks()
    if missing := [name for name in NEEDED if name not in os.environ]:
        raise ValueError(
            f"WORLD_SIZE={size} without {', '.join(missing)}: start with torchrun --nproc-per-node {size} -m "
            "amortized ..., or unset WORLD_SIZE"
        )
    if device.startswith("cuda"):
        torch.cuda.set_device(own_device(device))
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=waited))
    return Ranks(dist.get_rank(), size)


@contextmanager
def _terminable(ranks: Ranks) -> Iterator[None]:
    """SIGTERM, by which ``torchrun`` ends the processes that outlive a lost one, becomes ``RankLost``."""
    if ranks.size == 1 or threading.current_thread() is not threading.main_thread():
        yield
        return

    def lost(number: int, frame: FrameType | None) -> None:
        raise RankLost("another process of this run was lost: start the same command again")

    before = signal.signal(signal.SIGTERM, lost)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
