"""The contract of a behaviour cannot be built by itself and claims nothing."""

import pytest

from amortized.behaviours import Behaviour, OnPolicy


def test_the_contract_alone_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Behaviour()  # type: ignore[abstract]
    assert Behaviour.on_policy is False


def test_paths_are_fresh_unless_a_behaviour_says_otherwise():
    assert OnPolicy().fresh(3).tolist() == [True, True, True]
