"""The compiled density: the same values for every batch size, and the recorded one where compiling fails."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.affine import WhitenedTarget
from amortized.targets.compiler import REPAID, has_compiler
from amortized.targets.pyro.captured import Captured
from amortized.targets.pyro.compiled import Compiled
from amortized.targets.pyro.target import PyroTarget
from tests.known import seeded


def groups(y):
    scale = pyro.sample("scale", dist.HalfNormal(1.0))
    with pyro.plate("groups", len(y)):
        mean = pyro.sample("mean", dist.Normal(0.0, scale))
        pyro.sample("y", dist.StudentT(4.0, mean, 1.0), obs=y)


def target() -> PyroTarget:
    return PyroTarget(groups, (torch.tensor([0.3, -1.0, 2.0]),))


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler here")
def test_values_scores_and_troubles_are_those_of_the_recorded_density():
    plain, fast = target(), target()
    fast.compiles = True
    assert fast.quicken(0.0) and fast.batching == "vmap (compiled)" and isinstance(fast._batch, Compiled)
    for count in (1, 2, 7, 64):
        x = torch.randn(count, 4, generator=seeded())
        for mine, want in zip(fast.log_prob_and_score(x), plain.log_prob_and_score(x), strict=True):
            torch.testing.assert_close(mine, want, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(fast.log_prob(x), plain.log_prob(x), rtol=1e-5, atol=1e-5)
    beyond = torch.full((3, 4), 1e30)
    assert torch.equal(fast.log_prob(beyond), plain.log_prob(beyond)) and fast.nonfinite == plain.nonfinite
    assert fast.recheck(torch.randn(8, 4, generator=seeded())) and isinstance(fast._batch, Compiled)
    white = WhitenedTarget(fast, torch.zeros(4), torch.eye(4))
    assert white.quicken(0.0)


def test_short_runs_and_a_refusal_leave_the_density_as_it_is():
    found = target()
    assert not found.quicken(REPAID - 1) and type(found._batch) is Captured
    found.compiles = False
    assert not found.quicken(1e9) and type(found._batch) is Captured and found.not_compiled == ""


def test_a_density_of_many_operators_is_compiled_only_if_asked_for(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)
    monkeypatch.setattr("amortized.targets.pyro.target.MOST_NODES", 3)
    found = target()
    assert not found.quicken(1e9)
    found.compiles = True
    assert found.quicken(1e9)


def test_without_a_compiler_the_recorded_density_goes_on(monkeypatch):
    """And it is not tried a second time."""
    asked = []

    def fails(*_, **__):
        asked.append(1)
        raise RuntimeError("no compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", fails)
    found = target()
    assert not found.quicken(1e9) and not found.quicken(1e9)
    assert found.not_compiled == "RuntimeError: no compiler" and asked == [1]
    assert found.log_prob(torch.zeros(2, 4)).isfinite().all()


def test_a_compiled_density_of_other_values_is_not_taken(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda graph, **_: lambda x: (graph(x)[0] + 1.0, graph(x)[1]))
    found = target()
    assert not found.quicken(1e9) and found.not_compiled == "its values differ"
    assert type(found._batch) is Captured
