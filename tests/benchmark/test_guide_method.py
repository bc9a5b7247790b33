"""The guide as a method: its warm-up is part of the budget."""

import pytest

from amortized.benchmark import guide_method
from amortized.benchmark.budget import Budget
from amortized.benchmark.guide_method import GuideMethod
from amortized.training.preparation import warm_up_checked
from tests.known import isotropic


def test_half_of_the_energy_calls_are_for_the_warm_up(monkeypatch: pytest.MonkeyPatch):
    """Not a bound on the whole: the warm-up looks at its limit between stages, and the last judgement is counted."""
    asked = []

    def recorded(target, generator, seconds, max_calls, components):
        asked.append(max_calls)
        return warm_up_checked(target, generator, seconds, max_calls, components)

    monkeypatch.setattr(guide_method, "warm_up_checked", recorded)
    trained = GuideMethod()(isotropic(2), 1.0, Budget(energy_calls=60_000), 0)
    assert asked == [30_000] and trained.energy_calls > 60_000
    assert trained.network_calls > 0 and trained.steps == len(trained.losses)


def test_a_budget_of_steps_is_refused():
    with pytest.raises(ValueError, match="write --seconds or --energy-calls"):
        GuideMethod()(isotropic(2), 1.0, Budget(steps=5), 0)
