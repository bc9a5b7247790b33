"""Pyro's own No-U-Turn sampler on any target, the baseline of every comparison."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import pyro
import torch
from pyro.infer import NUTS

from amortized._types import Sites, Tensor
from amortized.baselines.chains import chain_draws
from amortized.baselines.counts import DRAWS_OF_A_CHAIN, check_counts
from amortized.baselines.record import Run
from amortized.results.draws import Draws
from amortized.targets.base import Target
from amortized.warmup.starts import uniform_starts


class Chain(NamedTuple):
    """Of one chain: unconstrained ``states: (draws, D)``, divergences after the warm-up, density calls."""

    states: np.ndarray
    divergences: int
    calls: int


def run(
    target: Target | Callable,
    args: Sequence = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    chains: int = 4,
    draws: int = 1_000,
    warmup: int = 1_000,
    jobs: int | None = None,
    full_mass: bool = False,
    seed: int = 0,
) -> Draws:
    """Chains of `pyro.infer.NUTS` from dispersed starts. Hoffman and Gelman (2014), JMLR 15.

    The kernel gets the density and the gradient of the target. So it runs on models that ``NUTS(model)`` cannot start
    on, as those with ``ImproperUniform``.

    Args:
        target: a density, or a Pyro model, whose arguments are ``args`` and ``kwargs``.
        chains: how many.
        draws: states of each chain.
        warmup: moves that adapt the step size and the metric, and are thrown away.
        jobs: processes that share the chains; one a core by default. The chains run in turn on a GPU, and where
            processes cannot be forked. Draws do not depend on it.
        full_mass: whether the metric is a matrix, or a diagonal.
        seed: of all randomness.

    Returns:
        Draws with ``attributes``: ``divergences`` after the warm-up; ``rhat``, the largest split R-hat of an
        unconstrained coordinate; ``ess``, the smallest effective sample size.

    Raises:
        ValueError: for fewer than one chain or four draws of it, and where no start has a finite density.

    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=1)
    >>> found = run(normal, chains=2, draws=50, warmup=50)
    >>> found.sites["x"].shape, found.chains, found.attributes["divergences"]
    (torch.Size([100, 1]), 2, 0)
    """
    check_counts({"chains": (chains, 1), "draws": (draws, DRAWS_OF_A_CHAIN), "warmup": (warmup, 0)})
    this = Run(target, args, kwargs)
    target, starts = this.target, uniform_starts(this.target, chains, seed)

    def one_chain(index: int) -> Chain:
        return run_chain(target, starts[index], draws, warmup, seed * 1_000 + index, full_mass)

    jobs = min(chains, jobs or available_cores())
    if jobs > 1 and can_fork(target):
        results = in_processes(one_chain, chains, jobs)
        target.calls += sum(chain.calls for chain in results)
    else:
        results = [one_chain(index) for index in range(chains)]
    states = torch.from_numpy(np.stack([chain.states for chain in results])).to(target.device)
    divergences = sum(chain.divergences for chain in results)
    return chain_draws(this, "nuts", states, {"divergences": divergences})


def run_chain(target: Target, start: Tensor, draws: int, warmup: int, seed: int, full_mass: bool = False) -> Chain:
    """One chain from ``start: (D,)``; the caller's random state is left as it was."""
    before = target.calls

    def potential(site: Sites) -> Tensor:
        return -target.log_prob(site["x"][None].to(target.dtype))[0].to(site["x"])

    kernel = NUTS(potential_fn=potential, full_mass=full_mass)
    kernel.initial_params = {"x": start.clone()}
    states = np.empty((draws, target.dim), dtype=start.cpu().numpy().dtype)
    with torch.random.fork_rng(), pyro.validation_enabled(False):
        torch.manual_seed(seed)
        kernel.setup(warmup)
        params = kernel.initial_params
        for step in range(warmup + draws):
            params = kernel.sample(params)
            if step >= warmup:
                states[step - warmup] = params["x"].detach().cpu().numpy()
    return Chain(states, len(kernel.diagnostics()["divergences"]), target.calls - before)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_fork(target: Target) -> bool:
    """Whether processes can be forked: autograd's device threads do not survive it, so none may have been started."""
    return sys.platform == "linux" and target.device.type == "cpu" and not torch.cuda.is_available()


def in_processes(task: Callable[[int], Chain], count: int, jobs: int) -> list[Chain]:
    """``[task(0), …, task(count - 1)]``, by ``jobs`` forked processes of one thread each."""
    context = multiprocessing.get_context("fork")
    workers = []
    for job in range(jobs):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(task, range(job, count, jobs), sender), daemon=True)
        process.start()
        sender.close()
        workers.append((process, receiver))
    results: dict[int, Chain] = {}
    try:
        for process, receiver in workers:
            answer = receive(process, receiver)
            if isinstance(answer, Exception):
                raise answer
            results.update(answer)
    finally:
        for process, _ in workers:
            process.terminate()
            process.join()
    return [results[index] for index in range(count)]


def receive(process: Any, receiver: Connection) -> dict[int, Chain] | Exception:
    """The chains of a process by their indices, or the error that ended it."""
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        return RuntimeError(f"a process of chains died (exit code {process.exitcode}); run again with jobs=1")


def work(task: Callable[[int], Chain], indices: range, sender: Connection) -> None:
    """What a forked process does: its tasks, one after the other, and one message at the end."""
    torch.set_num_threads(1)
    try:
        sender.send({index: task(index) for index in indices})
    except Exception as error:
        sender.send(error)
