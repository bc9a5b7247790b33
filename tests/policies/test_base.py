"""The contract of a policy cannot be built by itself and asks for no score."""

import pytest

from amortized.policies import Policy


def test_the_contract_alone_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Policy()  # type: ignore[abstract]
    assert Policy.needs_score is False
