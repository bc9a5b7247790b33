"""What several processes share of a guide for many data sets: its fit, and the data sets that it answers for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import torch

from amortized._types import Generator, Sites, Tensor
from amortized.guide.plan import Plan
from amortized.parallel.group import current
from amortized.storage.file import digest
from amortized.storage.version import VERSION
from amortized.targets.conditional.target import ConditionalTarget
from amortized.training.run import Run

Answer = TypeVar("Answer")


def run_of(target: ConditionalTarget, plan: Plan, generator: Generator) -> Run:
    """The processes that train together, and what they have reached; each draws noise of its own from now on.

    Args:
        target: in the coordinates of the fit.
        plan: the guide's.
        generator: of this process.

    Raises:
        ValueError: The processes have different data or coordinates, or the checkpoint is of another fit.
    """
    group, options = current(), plan.options
    sites = {name: f"{site.support} {tuple(site.shape)}" for name, site in target.latents.items()}
    centring = {name: site.centring.cpu() for name, site in target.latents.items() if site.centring is not None}
    words = json.dumps([VERSION, plan.name, repr(options.amortize), options.seed, sites])
    fingerprint = digest({"": target.rows.cpu(), **centring}, words)
    group.ranks.check_same(
        fingerprint, "other data or coordinates than process 0: let data() give the same values every time"
    )
    run = Run(group.ranks, group.checkpoint, fingerprint)
    generator.manual_seed(group.ranks.seed(options.seed, run.writings))
    return run


def on_all(rows: Tensor, generator: Generator, answer: Callable[[Tensor], list[Answer]]) -> list[Answer]:
    """The answers for contexts ``(M, C)``, on every process; each answers for its part, from noise of its own."""
    ranks = current().ranks
    if len(rows) < ranks.size or ranks.size == 1:
        return answer(rows)
    seed = int(ranks.same(int(torch.randint(2**31, (), generator=generator, device=generator.device))))
    generator.manual_seed(ranks.seed(seed, again=1))
    own = ranks.shard(len(rows))
    return [found for part in ranks.gathered(answer(rows[own.start : own.stop])) for found in part]


def on_host(sites: Sites) -> Sites:
    """The values where other processes can read them: on the CPU, if there are others."""
    return sites if current().ranks.size == 1 else {name: value.cpu() for name, value in sites.items()}
