"""The contract of a behaviour cannot be built by itself and claims nothing."""

import pytest

from amortized.behaviours import Behaviour


def test_the_contract_alone_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Behaviour()  # type: ignore[abstract]
    assert Behaviour.on_policy is False
