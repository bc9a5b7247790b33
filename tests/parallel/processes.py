"""Two processes as ``torchrun`` starts them, but forked: the imports are those of the test."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import torch


def on_two(work: Callable[..., Any], *given: Any) -> list[int | None]:
    """Exit codes of two processes that each call ``work(*given)``; a negative one is a signal's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=_as_rank, args=(rank, port, work, given)) for rank in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join(100)
        process.kill()
        process.join()
    return [process.exitcode for process in started]


def _as_rank(rank: int, port: int, work: Callable[..., Any], given: tuple) -> None:
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in variables.items()})
    torch.set_num_threads(1)
    code = work(*given)
    sys.exit(code or 0)
