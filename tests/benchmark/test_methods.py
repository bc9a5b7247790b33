"""Methods by name: what is in a name, and a short run of each row of the published table."""

import math
from dataclasses import replace

import pytest
import torch

from amortized.benchmark.budget import Budget
from amortized.benchmark.methods import BASES, method_named
from amortized.processes import PinnedBrownian
from tests.known import gaussian, isotropic

PUBLISHED = [
    "dis", "dds", "pis", "pis-lp", "tb", "tb-expl", "vargrad-expl", "fl-subtb", "fl-subtb-lp", "tb-expl-ls",
    "tb-expl-lp", "tb-expl-lp-ls", "vargrad-expl-lp-ls",
]  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_row_of_the_table_trains_by_its_name(name):
    target = gaussian([0.3, -0.2], [[0.5, 0.2], [0.2, 0.4]])
    trained = method_named(name)(target, 1.0, Budget(steps=2), seed=0)
    assert trained.steps == len(trained.losses) == 2
    assert torch.tensor(trained.losses).isfinite().all()
    assert trained.energy_calls > 0
    assert trained.sampler.policy.needs_score == ("lp" in name.split("-") or name == "dds")
    ends, log_weights = trained.sampler.sample(trained.target, 5)
    assert ends.shape == (5, 2) and log_weights.isfinite().all()


def test_the_same_seed_trains_the_same_sampler():
    target = gaussian([0.3, -0.2], [[0.5, 0.2], [0.2, 0.4]])
    one, same, other = (method_named("tb-expl-lp-ls")(target, 1.0, Budget(steps=3), seed) for seed in (1, 1, 2))
    assert one.losses == same.losses != other.losses


def test_a_name_says_its_parts():
    parts = method_named("fl-subtb-lp-lv")
    assert parts.objective is BASES["fl-subtb"].objective and parts.langevin and parts.learned_variance
    assert method_named("tb").process is PinnedBrownian and not method_named("tb").langevin


@pytest.mark.parametrize("name", ["", "nuts", "tb-lp-lp", "tb-best", "subtbx", "expl", "guide-lp"])
def test_an_unknown_name_is_told_the_known_parts(name):
    with pytest.raises(ValueError, match="write one of guide, guide-long, guide-mixture, pis.*-expl, -lp, -ls, -lv"):
        method_named(name)


def test_a_method_that_sees_the_score_has_it_compiled_where_that_is_repaid(monkeypatch):
    """2 steps of 16 paths on 4 steps are 128 calls."""
    asked = []
    monkeypatch.setattr("amortized.benchmark.methods.quicken", lambda target, x, *rest: asked.append((len(x), *rest)))
    for name in ("tb", "tb-lp"):
        method = replace(method_named(name), batch=16, training_steps=4)
        method(isotropic(2), 1.0, Budget(steps=2), seed=0)
    assert asked == [(128, 128, math.inf)]
